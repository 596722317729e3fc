/** `--cache-from` and `--cache-to` (buildx), as types with attributes. */
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import { formatReference, normalize, parseReference } from "../../lib/reference.ts";
import { parseFlag } from "../export/parse.ts";

type Attributes = Readonly<Record<string, string>>;

/** Where steps may be taken from: a cache in a registry, or an image (there or in the store) that brings its own. */
export interface CacheSource {
  /** Normalized. */
  ref: string;
}

export type CacheTarget =
  /** In the images that are written. */
  | { type: "inline" }
  | {
      type: "registry";
      ref: string;
      /** Records of all steps, not of those alone whose layers are in the image. */
      all: boolean;
      ignoreError: boolean;
    };

/** @throws InvalidParameter, NotImplemented */
export function parseCacheSource(type: string, attributes: Attributes): CacheSource | undefined {
  // An inline cache is found by the image's name.
  if (type === "inline") return undefined;
  if (type !== "registry") throw notThere("import", type);
  return { ref: refOf(attributes, "import") };
}

/** @throws InvalidParameter, NotImplemented */
export function parseCacheTarget(type: string, attributes: Attributes): CacheTarget {
  if (type === "inline") return { type };
  if (type !== "registry") throw notThere("export", type);
  const { mode = "min" } = attributes;
  if (mode !== "min" && mode !== "max")
    throw new InvalidParameter(
      `invalid mode ${JSON.stringify(mode)} of a cache export: min or max is wanted`,
    );
  return {
    type,
    ref: refOf(attributes, "export"),
    all: mode === "max",
    ignoreError: parseFlag("ignore-error", attributes["ignore-error"], false),
  };
}

/** A reference alone, as `--cache-from IMAGE` has it. @throws InvalidParameter */
export function cacheSourceOf(ref: string): CacheSource {
  return { ref: formatReference(normalize(parseReference(ref))) };
}

function refOf({ ref }: Attributes, what: string): string {
  if (!ref) throw new InvalidParameter(`a cache ${what} of type registry needs ref=NAME`);
  return cacheSourceOf(ref).ref;
}

function notThere(what: string, type: string) {
  return new NotImplemented(`cache ${what} type=${type} is not supported: registry and inline are`);
}
