/** The index of an OCI layout (image-spec, image-layout.md): which of its documents has which tag. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { mediaTypes } from "../../lib/oci.ts";

const refName = "org.opencontainers.image.ref.name";
const descriptor = v.looseObject({
  mediaType: v.string(),
  digest: v.string(),
  size: v.number(),
  annotations: v.optional(v.record(v.string(), v.string())),
});
const indexSchema = v.looseObject({ manifests: v.array(descriptor) });
export type Entry = v.InferOutput<typeof descriptor>;

function readIndex(directory: string): Entry[] {
  try {
    const parsed = v.safeParse(indexSchema, JSON.parse(readFileSync(join(directory, "index.json"), "utf8")));
    return parsed.success ? parsed.output.manifests : [];
  } catch {
    return [];
  }
}

const tagOf = ({ annotations }: Entry) => annotations?.[refName];

/** What the index has under a tag. */
export function digestIn(directory: string, tag: string): string | undefined {
  return readIndex(directory).find((entry) => tagOf(entry) === tag)?.digest;
}

/** Gives a document of the layout a tag; whatever had it loses it. */
export function putInIndex(directory: string, tag: string, entry: Entry): void {
  const others = readIndex(directory).filter((one) => tagOf(one) !== tag);
  const manifests = [...others, { ...entry, annotations: { ...entry.annotations, [refName]: tag } }];
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  writeFileSync(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  writeFileSync(join(directory, "index.json"), JSON.stringify(index));
}

/** A descriptor as JSON. @throws for what is none */
export const parseEntry = (json: string): Entry => v.parse(descriptor, JSON.parse(json));
