import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { stringify } from "yaml";
import { defaultTag, formatReference, parseReference } from "../../lib/reference.ts";
import { ComposeError } from "../model/errors.ts";
import { startOrder } from "../model/graph.ts";
import { serviceHash } from "../model/hash.ts";
import { variablesOf } from "../model/interpolation.ts";
import { renderProject } from "../model/render.ts";
import type { Project, Service } from "../model/types.ts";
import { encodeImage } from "../run/engine.ts";
import { imageOf } from "../run/images.ts";
import { formatTable } from "../run/output.ts";
import { readFile, type Session } from "../run/session.ts";
import { defineCommand } from "./command.ts";

export const config = defineCommand({
  name: "config",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Parse, resolve and render compose file in canonical format",
  flags: {
    format: { type: "string", help: "Format the output. Values: [yaml | json]", default: "yaml" },
    hash: { type: "string", help: "Print the service config hash, one per line" },
    images: { type: "bool", help: "Print the image names, one per line" },
    networks: { type: "bool", help: "Print the network names, one per line" },
    "lock-image-digests": { type: "bool", help: "Produces an override file with image digests" },
    models: { type: "bool", help: "Print the model names, one per line" },
    "no-consistency": {
      type: "bool",
      help: "Don't check model consistency - warning: may produce invalid Compose output",
    },
    "no-env-resolution": { type: "bool", help: "Don't resolve service env files" },
    "no-normalize": { type: "bool", help: "Don't normalize compose model" },
    "no-path-resolution": { type: "bool", help: "Don't resolve file paths" },
    "no-interpolate": { type: "bool", help: "Don't interpolate environment variables" },
    output: { type: "string", short: "o", help: "Save to file (default to stdout)" },
    profiles: { type: "bool", help: "Print the profile names, one per line" },
    quiet: { type: "bool", short: "q", help: "Only validate the configuration, don't print anything" },
    services: { type: "bool", help: "Print the service names, one per line" },
    variables: { type: "bool", help: "Print model variables and default values" },
    volumes: { type: "bool", help: "Print the volume names, one per line" },
    environment: { type: "bool", help: "Print environment used for interpolation" },
    "resolve-image-digests": { type: "bool", help: "Pin image tags to digests" },
  },
  async run(session, flags, args) {
    const whole = session.project(args, {
      interpolate: !(flags["no-interpolate"] || flags.variables),
      allProfiles: flags.profiles,
      shownOnly: true,
      consistency: !flags["no-consistency"],
      resolveEnvironment: !flags["no-env-resolution"],
      normalize: !flags["no-normalize"],
      resolvePaths: !flags["no-path-resolution"],
    });
    for (const name of args)
      if (!whole.services[name]) throw ComposeError.at(undefined, `no such service: ${name}`);
    const project =
      args.length === 0
        ? whole
        : {
            ...whole,
            services: Object.fromEntries(
              Object.entries(whole.services).filter(([name]) => args.includes(name)),
            ),
          };
    const lines = (items: Iterable<string>) => {
      session.out.write([...items].map((item) => `${item}\n`).join(""));
      return 0;
    };
    if (flags.quiet) return 0;
    if (flags.services) return lines(startOrder(project.services));
    if (flags.volumes) return lines(Object.keys(project.volumes));
    if (flags.models)
      return lines(
        Object.values(project.models)
          .flatMap(({ model }) => model ?? [])
          .sort(),
      );
    if (flags.networks) return lines(Object.keys(project.networks));
    if (flags.images)
      return lines(
        Object.keys(project.services)
          .filter((name) => !project.services[name]!.provider)
          .map((name) => imageOf(project, name)),
      );
    if (flags.profiles)
      return lines(
        [...new Set(Object.values(project.services).flatMap(({ profiles }) => profiles ?? []))].sort(),
      );
    if (flags.environment)
      return lines(
        Object.entries(project.environment)
          .sort()
          .map(([name, value]) => `${name}=${value}`),
      );
    if (flags.hash !== undefined) {
      const wanted = flags.hash === "*" ? undefined : flags.hash.split(",");
      for (const name of wanted ?? [])
        if (!project.services[name]) throw ComposeError.at(undefined, `no such service: ${name}`);
      return lines(
        Object.entries(project.services)
          .filter(([name]) => !wanted || wanted.includes(name))
          .map(([name, service]) => `${name} ${serviceHash(service)}`),
      );
    }
    if (flags.variables) {
      const found = project.files.flatMap((file) => variablesOf(readFile(file) ?? ""));
      const rows = new Map(
        found.map(({ name, fallback, alternate, required }) => [
          name,
          [name, String(required), fallback ?? "", alternate ?? ""],
        ]),
      );
      session.out.write(
        formatTable(["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"], [...rows.values()].sort()),
      );
      return 0;
    }

    const lock = flags["lock-image-digests"];
    const pinned = lock || flags["resolve-image-digests"] ? await withDigests(session, project) : project;
    const data = lock ? imagesOnly(pinned) : renderProject(pinned, !flags["no-interpolate"]);
    const text =
      flags.format === "json"
        ? `${JSON.stringify(data, undefined, 2)}\n`
        : flags.format === "yaml"
          ? stringify(data, { compat: "yaml-1.1", lineWidth: 0, aliasDuplicateObjects: false })
          : undefined;
    if (text === undefined)
      throw ComposeError.at(undefined, `unsupported format ${JSON.stringify(flags.format)}`, "yaml or json");
    if (flags.output) writeFileSync(resolve(session.cwd, flags.output), text);
    else session.out.write(text);
    return 0;
  },
});

/** The project with each image named by the digest that its registry has for it now. */
async function withDigests(session: Session, project: Project): Promise<Project> {
  const services = await Promise.all(
    Object.entries(project.services).map(async ([name, service]): Promise<[string, Service]> => {
      const { image } = service;
      if (image === undefined) return [name, service];
      const reference = parseReference(image);
      if (reference.digest !== undefined) return [name, service];
      const auth = await session.context.registryAuth?.(image);
      const { Descriptor } = await session.client.call<{ Descriptor: { digest: string } }>(
        "GET",
        `/distribution/${encodeImage(image)}/json`,
        { headers: auth ? { "X-Registry-Auth": auth } : {} },
      );
      const tagged = formatReference({ ...reference, tag: reference.tag ?? defaultTag });
      return [name, { ...service, image: `${tagged}@${Descriptor.digest}` }];
    }),
  );
  return { ...project, services: Object.fromEntries(services) };
}

/** What `--lock-image-digests` prints: a file that goes over the project's own. */
const imagesOnly = ({ services }: Project) => ({
  services: Object.fromEntries(
    Object.entries(services).flatMap(([name, { image }]) => (image === undefined ? [] : [[name, { image }]])),
  ),
});
