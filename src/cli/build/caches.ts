/** `--cache-to type=local` and `--cache-from type=local`: caches in directories of this machine (OCI layouts). */
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";
import { digestIn, parseEntry, putInIndex } from "./oci-index.ts";

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
      for (const [directory, tag] of tags) putInIndex(directory, tag, parseEntry(manifest));
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
