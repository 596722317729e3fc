/** Services of Compose files as targets. Reading Compose files is another part's work, which is given. */
import { isAbsolute, relative } from "node:path";
import * as v from "valibot";
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import type { ServiceBuild } from "../../lib/service-build.ts";
import type { CliContext } from "../context.ts";
import type { Sources } from "./files.ts";
import { attestation, type Options, type OptionsField, parseOptions } from "./options.ts";
import { mergeTargets, type Target } from "./target.ts";

/** @param files absolute paths or `-`, which is `stdin`; each over those before @throws what is wrong with them */
export type ReadComposeBuilds = (
  files: string[],
  context: CliContext,
  stdin?: string,
) => Promise<ServiceBuild[]>;

/** @returns targets by name */
export async function composeTargets(
  context: CliContext,
  { composeFiles, stdin }: Pick<Sources, "composeFiles" | "stdin">,
): Promise<Map<string, Target>> {
  if (!context.composeBuilds) throw new NotImplemented("Compose files can't be read here");
  const builds = await context.composeBuilds(composeFiles, context, stdin);
  return new Map(
    builds.map((build) => [
      targetName(build.service),
      mergeTargets(targetOf(build, context.env), bakeExtension(build.service, build["x-bake"])),
    ]),
  );
}

export function targetOf(build: ServiceBuild, env: Record<string, string | undefined>): Target {
  const target: Target = {
    context: build.context && shortPath(build.context),
    dockerfile: build.dockerfile,
    "dockerfile-inline": build.dockerfile_inline,
    args: build.args && withEnvironment(build.args, env),
    labels: build.labels,
    tags: build.tags ?? (build.image === undefined ? undefined : [build.image]),
    "cache-from": build.cache_from?.map((text) => parseOptions("cache-from", text)),
    "cache-to": build.cache_to?.map((text) => parseOptions("cache-to", text)),
    contexts: build.additional_contexts && mapValues(build.additional_contexts, linked),
    ssh:
      build.ssh && Object.entries(build.ssh).map(([id, paths]): Options => (paths ? { id, paths } : { id })),
    secret: build.secrets?.map(
      ({ id, file, environment }): Options =>
        environment === undefined ? { id, src: shortPath(file ?? id) } : { id, env: environment },
    ),
    attest: attestationsOf(build),
    target: build.target,
    platforms: build.platforms,
    pull: build.pull,
    "no-cache": build.no_cache,
    network: build.network,
    entitlements: entitlementsOf(build),
    "shm-size": build.shm_size === undefined ? undefined : String(build.shm_size),
    ulimits:
      build.ulimits &&
      Object.entries(build.ulimits).map(([name, limit]) =>
        typeof limit === "number" ? `${name}=${limit}:${limit}` : `${name}=${limit.soft}:${limit.hard}`,
      ),
    "extra-hosts":
      build.extra_hosts &&
      Object.fromEntries(
        Object.entries(build.extra_hosts).map(([host, addresses]) => [host, addresses.join(",")]),
      ),
  };
  return Object.fromEntries(Object.entries(target).filter(([, value]) => value !== undefined));
}

/** What a service asks for by other keys is asked for too. */
function entitlementsOf({ entitlements = [], network, privileged }: ServiceBuild): string[] | undefined {
  const all = [
    ...entitlements,
    ...(network === "host" ? ["network.host"] : []),
    ...(privileged ? ["security.insecure"] : []),
  ];
  return all.length > 0 ? [...new Set(all)] : undefined;
}

/** Each of `provenance` and `sbom` that is said, as `attest` says it. */
function attestationsOf({ provenance, sbom }: ServiceBuild): Options[] | undefined {
  const all = Object.entries({ provenance, sbom }).flatMap(([type, value]) =>
    value === undefined ? [] : [attestation(type, value)],
  );
  return all.length > 0 ? all : undefined;
}

const mapValues = <T>(map: Record<string, T>, change: (value: T) => string) =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));

/** `service:NAME` is another service's image. */
const linked = (context: string) =>
  shortPath(context.replace(/^service:(.*)$/, (_, name: string) => `target:${targetName(name)}`));

/** Names of services may have dots, names of targets may not. */
export const targetName = (service: string) => service.replaceAll(".", "_");

/** As seen from here, where that is shorter. */
function shortPath(path: string): string {
  const inside = isAbsolute(path) ? relative(process.cwd(), path) || "." : path;
  return inside.startsWith("..") ? path : inside;
}

function withEnvironment(
  args: Record<string, string | null>,
  env: Record<string, string | undefined>,
): Record<string, string> {
  const entries = Object.entries(args).map(([name, value]) => [name, value ?? env[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

const texts = v.pipe(
  v.union([v.string(), v.array(v.string())]),
  v.transform((value) => (Array.isArray(value) ? value : [value])),
);
const options = (field: OptionsField) =>
  v.pipe(
    texts,
    v.transform((list): Options[] => list.map((text) => parseOptions(field, text))),
  );
const map = v.record(v.string(), v.pipe(v.union([v.string(), v.number(), v.boolean()]), v.transform(String)));
const extension = v.strictObject({
  args: v.optional(map),
  attest: v.optional(options("attest")),
  "cache-from": v.optional(options("cache-from")),
  "cache-to": v.optional(options("cache-to")),
  contexts: v.optional(map),
  labels: v.optional(map),
  "no-cache": v.optional(v.boolean()),
  "no-cache-filter": v.optional(texts),
  output: v.optional(options("output")),
  platforms: v.optional(texts),
  pull: v.optional(v.boolean()),
  secret: v.optional(options("secret")),
  ssh: v.optional(options("ssh")),
  tags: v.optional(texts),
});

/** `x-bake`: what Compose files can't say; a text may stand for a list of one. */
function bakeExtension(service: string, value: unknown): Target {
  if (value === undefined) return {};
  const parsed = v.safeParse(extension, value);
  if (!parsed.success)
    throw new InvalidParameter(
      `x-bake of ${service}: ${v.getDotPath(parsed.issues[0]) ?? ""} ${parsed.issues[0].message}`,
    );
  const fields = parsed.output;
  return Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined)) as Target;
}
