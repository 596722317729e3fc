/** `buildx imagetools`: images in registries, looked at and put together without a pull. */
import { InvalidParameter, NotFound, NotImplemented } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { formatPlatform } from "../../lib/platform.ts";
import { formatReference, normalize, parseReference } from "../../lib/reference.ts";
import { atLeast, defineCommand, exactly } from "../command.ts";
import type { CliContext } from "../context.ts";
import type { Entry } from "../manifest/lists.ts";
import { byDigest, fetchManifest, isList, manifestOf, pushList, type Remote } from "../manifest/remote.ts";
import { builderFlag, contextOfBuilder } from "./builders.ts";

type Descriptor = Entry["Descriptor"];

const fullName = (name: string) => formatReference(normalize(parseReference(name)));
const childrenOf = ({ Raw }: Remote) => (manifestOf(Raw) as { manifests?: Descriptor[] }).manifests ?? [];
const platformText = ({ platform }: Descriptor) =>
  platform ? formatPlatform({ ...platform, os: platform.os, architecture: platform.architecture }) : "";

export const inspect = defineCommand({
  name: "buildx imagetools inspect",
  usage: "[OPTIONS] NAME",
  summary: "Show what a registry has under a name",
  flags: {
    ...builderFlag,
    format: { kind: "string", help: "A Go template over Name and Manifest", default: "{{.Manifest}}" },
    raw: { kind: "bool", help: "Show the manifest as it is" },
  },
  arity: exactly(1),
  examples: ["buildx imagetools inspect reg.example/app:1"],
  async run(current, { flags, args: [name = ""] }) {
    const context = await contextOfBuilder(current, flags.builder);
    const remote = await fetchManifest(context, name);
    if (flags.raw) context.out(Buffer.from(remote.Raw, "base64"));
    else if (flags.format === "{{.Manifest}}") context.out(summary(name, remote));
    else {
      const { compileTemplate } = await import("../template/index.ts");
      const Manifest = { ...remote.Descriptor, ...(isList(remote) && { manifests: childrenOf(remote) }) };
      context.line(
        compileTemplate(flags.format)(JSON.parse(JSON.stringify({ Name: fullName(name), Manifest }))),
      );
    }
    return 0;
  },
});

function summary(name: string, remote: Remote): string {
  const { mediaType, digest } = remote.Descriptor;
  const head = `Name:      ${fullName(name)}\nMediaType: ${mediaType}\nDigest:    ${digest}\n`;
  if (!isList(remote)) return head;
  const children = childrenOf(remote).map((child) => {
    const platform = platformText(child);
    const lines = [`  Name:      ${byDigest(name, child.digest)}`, `  MediaType: ${child.mediaType}`];
    if (platform) lines.push(`  Platform:  ${platform}`);
    return `${lines.join("\n")}\n`;
  });
  return `${head}\nManifests: \n${children.join("\n")}`;
}

export const create = defineCommand({
  name: "buildx imagetools create",
  usage: "[OPTIONS] [SOURCE...]",
  summary: "Put an image together from images in registries",
  flags: {
    ...builderFlag,
    annotation: { kind: "list", help: "Set an annotation on the index (KEY=VALUE)" },
    append: { kind: "bool", help: "Add to what the name has" },
    "dry-run": { kind: "bool", help: "Show the index, and push nothing" },
    file: { kind: "list", short: "f", help: "Sources from files; refused", hidden: true },
    "metadata-file": { kind: "string", help: "Write what was pushed to this file, as JSON" },
    platform: { kind: "list", short: "p", help: "Only images for these platforms" },
    "prefer-index": { kind: "bool", help: "Make an index of a single image too", default: "true" },
    progress: { kind: "string", help: "Accepted for buildx's sake", default: "auto", hidden: true },
    tag: { kind: "list", short: "t", help: "Name of the new image" },
  },
  arity: atLeast(0),
  examples: ["buildx imagetools create -t reg.example/app:1 reg.example/app:amd64 reg.example/app:arm64"],
  async run(current, { flags, args }) {
    const context = await contextOfBuilder(current, flags.builder);
    if (flags.file.length > 0) throw new NotImplemented("--file is not supported: name the sources");
    if (flags.tag.length === 0 && !flags["dry-run"])
      throw new InvalidParameter("can't push without a tag: -t NAME or --dry-run is wanted");
    if (flags.append && flags.tag.length !== 1)
      throw new InvalidParameter("--append needs one name with which to begin (-t)");
    const sources = [...(flags.append ? flags.tag : []), ...args];
    if (sources.length === 0) throw new InvalidParameter("no sources specified");
    const { bytes, mediaType, references } = await combine(context, sources, flags);
    if (flags["dry-run"]) {
      context.line(bytes.toString());
      return 0;
    }
    const pushed: Record<string, string> = {};
    for (const name of flags.tag) {
      const { Digest } = await pushList(context, name, { mediaType, bytes, sources: references });
      context.err(`pushed ${Digest} to ${fullName(name)}\n`);
      pushed["containerimage.digest"] = Digest;
    }
    if (flags["metadata-file"] !== undefined) {
      const names = flags.tag.map(fullName).join(",");
      await Bun.write(
        flags["metadata-file"],
        `${JSON.stringify({ ...pushed, "image.name": names }, undefined, 2)}\n`,
      );
    }
    return 0;
  },
});

interface Combined {
  bytes: Buffer;
  mediaType: string;
  /** Of the index's manifests, by digest. */
  references: string[];
}

/** One index over the images of all sources, or the one source as it is. */
async function combine(
  context: CliContext,
  sources: readonly string[],
  flags: { annotation: readonly string[]; platform: readonly string[]; "prefer-index": boolean },
): Promise<Combined> {
  const remotes = await Promise.all(
    sources.map(async (name) => ({ name, remote: await fetchManifest(context, name) })),
  );
  const wanted = flags.platform.flatMap((text) => text.split(","));
  const images = remotes
    .flatMap(({ name, remote }) =>
      (isList(remote) ? childrenOf(remote) : [remote.Descriptor]).map((descriptor) => ({ name, descriptor })),
    )
    .filter(({ descriptor }) => wanted.length === 0 || wanted.includes(platformText(descriptor)));
  if (images.length === 0) throw new NotFound(`no image for ${wanted.join(", ")} among the sources`);
  const references = [...new Set(images.map(({ name, descriptor }) => byDigest(name, descriptor.digest)))];
  const [only] = remotes;
  const asItIs = remotes.length === 1 && wanted.length === 0 && flags.annotation.length === 0;
  if (only && asItIs && (isList(only.remote) || !flags["prefer-index"])) {
    const bytes = Buffer.from(only.remote.Raw, "base64");
    return { bytes, mediaType: only.remote.Descriptor.mediaType, references };
  }
  const manifests = [...new Map(images.map(({ descriptor }) => [descriptor.digest, descriptor])).values()];
  const isOci =
    flags.annotation.length > 0 || manifests.every(({ mediaType }) => mediaType === mediaTypes.ociManifest);
  const mediaType = isOci ? mediaTypes.ociIndex : mediaTypes.dockerList;
  const annotations = flags.annotation.length > 0 ? annotationsOf(flags.annotation) : undefined;
  const index = { schemaVersion: 2, mediaType, manifests, annotations };
  return { bytes: Buffer.from(JSON.stringify(index, undefined, 2)), mediaType, references };
}

function annotationsOf(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((text) => {
      const [, level = "index", key = "", value = ""] = /^(?:([a-z-]+):)?([^=]+)=(.*)$/s.exec(text) ?? [];
      if (key === "")
        throw new InvalidParameter(`invalid annotation ${JSON.stringify(text)}: KEY=VALUE is wanted`);
      if (level !== "index")
        throw new NotImplemented(`annotations of ${level} are not supported: those of the index are`);
      return [key, value];
    }),
  );
}
