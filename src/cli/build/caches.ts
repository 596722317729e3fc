/** `--cache-to type=local` and `--cache-from type=local`: caches in directories of this machine (OCI layouts). */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as v from "valibot";
import { InvalidParameter } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { splitCsv } from "../args/values.ts";

export interface LocalCaches {
  /** For the query of `POST /build`. */
  from: string[];
  to: string[];
  /** The directory that the engine means by a name; undefined: none of these. */
  directory(name: string): string | undefined;
  /** Names the cache that was written in the indexes of its directories. @param manifest its descriptor, as JSON */
  written(manifest: string): void;
}

const isLocal = (text: string) => splitCsv(text).some((field) => field.trim() === "type=local");

/**
 * @param warn gets what is said of caches that are not there: a build goes on without them
 * @throws InvalidParameter
 */
export function localCaches(
  from: readonly string[],
  to: readonly string[],
  warn: (message: string) => void,
): LocalCaches {
  const directories = new Map<string, string>();
  const offer = (name: string, directory: string) => directories.set(`local:${name}`, directory);
  /** Tags by the directory whose index gets them. */
  const tags = new Map<string, string>();
  return {
    from: from.flatMap((text) => {
      if (!isLocal(text)) return [text];
      const { src, tag = "latest", ...rest } = attributesOf(text);
      if (!src) throw new InvalidParameter("local cache importer requires src");
      const directory = resolve(src);
      const digest = rest.digest || digestIn(directory, tag);
      if (!digest) {
        warn(`WARNING: local cache import at ${src} not found\n`);
        return [];
      }
      offer(directory, directory);
      return [textOf({ ...rest, src: directory, digest })];
    }),
    to: to.map((text) => {
      if (!isLocal(text)) return text;
      const { dest, tag = "latest", ...rest } = attributesOf(text);
      if (!dest) throw new InvalidParameter("local cache exporter requires dest");
      const directory = resolve(dest);
      mkdirSync(directory, { recursive: true });
      offer(directory, directory);
      tags.set(directory, tag);
      return textOf({ ...rest, dest: directory });
    }),
    directory: (name) => directories.get(name),
    written(manifest) {
      for (const [directory, tag] of tags)
        putInIndex(directory, tag, v.parse(descriptor, JSON.parse(manifest)));
    },
  };
}

function attributesOf(text: string): Record<string, string> {
  return Object.fromEntries(
    splitCsv(text).map((field) => {
      const equals = field.indexOf("=");
      if (equals < 0) throw new InvalidParameter(`invalid field '${field}' must be a key=value pair`);
      return [field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1)];
    }),
  );
}

const textOf = (attributes: Record<string, string>) =>
  Object.entries(attributes)
    .map(([name, value]) => {
      if (value.includes(","))
        throw new InvalidParameter(`${name}=${value} has a comma, which no cache can have`);
      return `${name}=${value}`;
    })
    .join(",");

const refName = "org.opencontainers.image.ref.name";
const descriptor = v.looseObject({
  mediaType: v.string(),
  digest: v.string(),
  size: v.number(),
  annotations: v.optional(v.record(v.string(), v.string())),
});
const indexSchema = v.looseObject({ manifests: v.array(descriptor) });
type Entry = v.InferOutput<typeof descriptor>;

function readIndex(directory: string): Entry[] {
  try {
    const parsed = v.safeParse(indexSchema, JSON.parse(readFileSync(join(directory, "index.json"), "utf8")));
    return parsed.success ? parsed.output.manifests : [];
  } catch {
    return [];
  }
}

const tagOf = ({ annotations }: Entry) => annotations?.[refName];

function digestIn(directory: string, tag: string): string | undefined {
  return readIndex(directory).find((entry) => tagOf(entry) === tag)?.digest;
}

function putInIndex(directory: string, tag: string, entry: Entry): void {
  const others = readIndex(directory).filter((one) => tagOf(one) !== tag);
  const manifests = [...others, { ...entry, annotations: { ...entry.annotations, [refName]: tag } }];
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  writeFileSync(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(directory, "index.json"), JSON.stringify(index));
}
