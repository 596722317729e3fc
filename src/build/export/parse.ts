/** Outputs as clients name them: a type with attributes (BuildKit, exporter/containerimage/exptypes). */
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import { own } from "../../lib/own.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import { hostPlatform, parsePlatform } from "../graph/scope.ts";
import type { Annotation, AnnotationLevel, ImageFormat, LayerFormat, Output } from "./types.ts";

type Attributes = Readonly<Record<string, string>>;

const imageAttributes = [
  "name",
  "compression",
  "compression-level",
  "force-compression",
  "oci-mediatypes",
  "oci-artifact",
  "rewrite-timestamp",
  "source-date-epoch",
  "context",
];
const known: Record<string, readonly string[]> = {
  image: [
    ...imageAttributes,
    "push",
    "push-by-digest",
    "name-canonical",
    "unpack",
    "store",
    "dangling-name-prefix",
    "registry.insecure",
  ],
  oci: [...imageAttributes, "tar", "dest"],
  docker: [...imageAttributes, "tar", "dest"],
  tar: ["dest", "platform-split", "attestation-prefix"],
  local: ["dest", "platform-split", "attestation-prefix", "mode"],
  cacheonly: [],
};

/**
 * @param type `image`, `registry` (an image that is pushed), `moby` (the engine's own store), `oci`, `docker`, `tar`,
 *   `local`, `cacheonly`
 * @throws InvalidParameter, NotImplemented
 */
export function parseOutput(type: string, attributes: Attributes): Output {
  if (type === "registry") return parseOutput("image", { push: "true", ...attributes });
  if (type === "moby") return parseOutput("image", attributes);
  const names = own(known, type);
  if (!names) {
    const hint = didYouMean(type, [...Object.keys(known), "registry"]);
    throw new InvalidParameter(
      `unknown output type ${JSON.stringify(type)}${hint ? ` (${hint})` : ""}: image, registry, oci, docker, local, tar and cacheonly are there`,
    );
  }
  const takesAnnotations = names.includes("compression");
  for (const name of Object.keys(attributes)) {
    if (names.includes(name) || (takesAnnotations && name.startsWith("annotation"))) continue;
    const hint = didYouMean(name, [...names]);
    throw new InvalidParameter(
      `unknown attribute ${name} of the output type=${type}${hint ? ` (${hint})` : ""}`,
    );
  }
  const flag = (name: string, missing: boolean) => parseFlag(name, attributes[name], missing);
  switch (type) {
    case "image":
      if (flag("registry.insecure", false))
        throw new NotImplemented("registry.insecure is the daemon's to say: its option --insecure-registry");
      return {
        type,
        names: namesOf(attributes),
        store: flag("store", true),
        push: flag("push", false) || flag("push-by-digest", false),
        pushByDigest: flag("push-by-digest", false),
        nameCanonical: flag("name-canonical", false),
        format: imageFormat(attributes),
      };
    case "oci":
    case "docker":
      return {
        type,
        names: namesOf(attributes),
        directory: !flag("tar", true),
        format: imageFormat(attributes),
      };
    case "tar":
    case "local":
      if (attributes.mode && attributes.mode !== "copy")
        throw new NotImplemented(
          `mode=${attributes.mode} of the output type=local is not supported: copy is`,
        );
      return {
        type,
        platformSplit: flag("platform-split", type === "local"),
        attestationPrefix: prefixOf(attributes),
      };
    default:
      return { type: "cacheonly" };
  }
}

/** What is made when nothing else is said: an image in the store. */
export function imageOutput(names: string[]): Extract<Output, { type: "image" }> {
  const format = imageFormat({});
  return {
    type: "image",
    names,
    store: true,
    push: false,
    pushByDigest: false,
    nameCanonical: false,
    format,
  };
}

const namesOf = ({ name }: Attributes) => (name ?? "").split(",").filter(Boolean);

function prefixOf({ "attestation-prefix": prefix = "" }: Attributes): string {
  if (/[/\0]/.test(prefix))
    throw new InvalidParameter(
      `invalid attestation-prefix ${JSON.stringify(prefix)}: it is part of a file's name`,
    );
  return prefix;
}

function imageFormat(attributes: Attributes): ImageFormat {
  const flag = (name: string, missing: boolean) => parseFlag(name, attributes[name], missing);
  return {
    ...parseLayerFormat(attributes),
    epoch: parseEpoch(attributes["source-date-epoch"]),
    force: flag("force-compression", false),
    oci: flag("oci-mediatypes", true),
    rewriteTimestamps: flag("rewrite-timestamp", true),
    annotations: Object.entries(attributes).flatMap(([name, value]) => parseAnnotation(name, value) ?? []),
  };
}

/** `compression` and `compression-level`. @throws InvalidParameter, NotImplemented */
export function parseLayerFormat(attributes: Attributes): Pick<LayerFormat, "compression" | "level"> {
  const compression = parseCompression(attributes.compression);
  return { compression, level: parseLevel(attributes["compression-level"], compression) };
}

function parseCompression(text: string | undefined): LayerFormat["compression"] {
  switch (text ?? "") {
    case "":
    case "gzip":
      return "gzip";
    case "zstd":
      return "zstd";
    case "uncompressed":
      return "none";
    case "estargz":
    case "nydus":
      throw new NotImplemented(`compression=${text} is not supported: use gzip, zstd or uncompressed`);
    default:
      throw new InvalidParameter(
        `unsupported compression ${JSON.stringify(text)}: gzip, zstd and uncompressed are there`,
      );
  }
}

const levels = { gzip: 9, zstd: 22, none: 0 } as const;

function parseLevel(text: string | undefined, compression: LayerFormat["compression"]): number | undefined {
  if (!text) return undefined;
  const highest = levels[compression];
  if (!/^\d{1,2}$/.test(text) || Number(text) > highest)
    throw new InvalidParameter(
      `invalid compression-level ${JSON.stringify(text)}: 0 to ${highest} is wanted`,
    );
  return compression === "none" ? undefined : Number(text);
}

/** Seconds (https://reproducible-builds.org/specs/source-date-epoch). @throws InvalidParameter */
export function parseEpoch(text: string | null | undefined): number | undefined {
  if (!text) return undefined;
  if (!/^\d{1,11}$/.test(text))
    throw new InvalidParameter(
      `invalid SOURCE_DATE_EPOCH ${JSON.stringify(text)}: seconds since 1970 are wanted`,
    );
  return Number(text);
}

const annotationName =
  /^annotation(?:-(manifest|index|manifest-descriptor|index-descriptor))?(?:\[([^\]]+)\])?\.(.+)$/;

/** `annotation.KEY`, `annotation-index.KEY`, `annotation[linux/arm64].KEY`. */
function parseAnnotation(name: string, value: string): Annotation | undefined {
  if (!name.startsWith("annotation")) return undefined;
  const [, level, platform, key] = annotationName.exec(name) ?? [];
  if (key === undefined)
    throw new InvalidParameter(`invalid annotation ${JSON.stringify(name)}: annotation.KEY is wanted`);
  const parsed = platform === undefined ? undefined : parsePlatform(platform, hostPlatform());
  if (platform !== undefined && !parsed)
    throw new InvalidParameter(
      `${JSON.stringify(platform)} is an invalid platform: os/architecture is wanted`,
    );
  return { level: (level as AnnotationLevel | undefined) ?? "manifest", platform: parsed, key, value };
}

/** Go's `strconv.ParseBool`; an attribute without value is true. */
export function parseFlag(name: string, text: string | undefined, missing: boolean): boolean {
  if (text === undefined) return missing;
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new InvalidParameter(`invalid value ${JSON.stringify(text)} for ${name}: true or false is wanted`);
}
