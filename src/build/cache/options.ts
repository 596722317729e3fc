/** `--cache-from` and `--cache-to` (buildx), as types with attributes. */
import { type Digest, isDigest } from "../../lib/digest.ts";
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import { formatReference, normalize, parseReference } from "../../lib/reference.ts";
import { parseFlag, parseLayerFormat } from "../export/parse.ts";
import type { LayerFormat } from "../export/types.ts";

type Attributes = Readonly<Record<string, string>>;

/**
 * Where steps may be taken from: a cache in a registry, an image (there or in the store) that brings its own, or a
 * directory of the client's.
 */
export type CacheSource =
  /** Normalized. */
  { ref: string } | { directory: string; digest: Digest };

export type CacheTarget =
  /** In the images that are written. */
  { type: "inline" } | StoredCache;

/** A cache that is a document of its own, with its layers beside. */
export type StoredCache = ({ type: "registry"; ref: string } | { type: "local"; directory: string }) & {
  /** Records of all steps, not of those alone whose layers are in the image. */
  all: boolean;
  ignoreError: boolean;
  format: LayerFormat;
  /** An image's manifest, which any registry takes; else an index, as BuildKit had it before 0.21. */
  imageManifest: boolean;
};

/** Clients' name of the directory of blobs with a cache. */
export const cacheDirectory = (directory: string) => `local:${directory}`;

/** For people: where a cache is. */
export function placeOf(cache: CacheSource | StoredCache): string {
  return "ref" in cache ? cache.ref : cache.directory;
}

/** @throws InvalidParameter, NotImplemented */
export function parseCacheSource(type: string, attributes: Attributes): CacheSource | undefined {
  // An inline cache is found by the image's name.
  if (type === "inline") return undefined;
  if (type === "registry") return { ref: refOf(attributes, "import") };
  if (type !== "local") throw notThere("import", type);
  const { src, digest } = attributes;
  if (!src) throw new InvalidParameter("a cache import of type local needs src=DIRECTORY");
  // Clients look a tag up in the directory's index: only they can.
  if (!digest || !isDigest(digest))
    throw new InvalidParameter(`a cache import of type local needs digest=sha256:..., not "${digest ?? ""}"`);
  return { directory: src, digest };
}

/** @throws InvalidParameter, NotImplemented */
export function parseCacheTarget(type: string, attributes: Attributes): CacheTarget {
  if (type === "inline") return { type };
  if (type !== "registry" && type !== "local") throw notThere("export", type);
  const { mode = "min" } = attributes;
  if (mode !== "min" && mode !== "max")
    throw new InvalidParameter(
      `invalid mode ${JSON.stringify(mode)} of a cache export: min or max is wanted`,
    );
  const stored = {
    all: mode === "max",
    ignoreError: parseFlag("ignore-error", attributes["ignore-error"], false),
    format: parseLayerFormat(attributes),
    imageManifest: parseFlag("image-manifest", attributes["image-manifest"], true),
  };
  if (type === "registry") return { type, ref: refOf(attributes, "export"), ...stored };
  const { dest } = attributes;
  if (!dest) throw new InvalidParameter("a cache export of type local needs dest=DIRECTORY");
  return { type, directory: dest, ...stored };
}

/** A reference alone, as `--cache-from IMAGE` has it. @throws InvalidParameter */
export function cacheSourceOf(ref: string): { ref: string } {
  return { ref: formatReference(normalize(parseReference(ref))) };
}

function refOf({ ref }: Attributes, what: string): string {
  if (!ref) throw new InvalidParameter(`a cache ${what} of type registry needs ref=NAME`);
  return cacheSourceOf(ref).ref;
}

function notThere(what: string, type: string) {
  return new NotImplemented(
    `cache ${what} type=${type} is not supported: registry, local and inline are there`,
  );
}
