/** Manifest lists that are being put together, below `<config>/manifests` in the docker CLI's own layout. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { formatReference, normalize, parseReference } from "../../lib/reference.ts";

const platformSchema = v.object({
  architecture: v.optional(v.string(), ""),
  os: v.optional(v.string(), ""),
  "os.version": v.optional(v.string()),
  "os.features": v.optional(v.array(v.string())),
  variant: v.optional(v.string()),
});
const entrySchema = v.looseObject({
  Ref: v.string(),
  Descriptor: v.object({
    mediaType: v.string(),
    digest: v.string(),
    size: v.number(),
    platform: v.optional(platformSchema),
  }),
  Raw: v.optional(v.string(), ""),
});

/** One image of a list, as the docker CLI writes it. */
export type Entry = v.InferOutput<typeof entrySchema>;

/** An entry from what a registry has. @param raw the manifest in base64 */
export function entryOf(reference: string, descriptor: Entry["Descriptor"], raw: string): Entry {
  const manifest: unknown = JSON.parse(Buffer.from(raw, "base64").toString());
  const isDocker = descriptor.mediaType === mediaTypes.dockerManifest;
  const { mediaType, digest, size, platform } = descriptor;
  return {
    Ref: formatReference(normalize(parseReference(reference))),
    Descriptor: { mediaType, digest, size, platform },
    Raw: raw,
    [isDocker ? "SchemaV2Manifest" : "OCIManifest"]: manifest,
  };
}

/** The document of a list: an OCI index when all images are OCI's, else Docker's list. */
export function listDocument(entries: readonly Entry[]) {
  const isOci = entries.every(({ Descriptor }) => Descriptor.mediaType === mediaTypes.ociManifest);
  return {
    schemaVersion: 2,
    mediaType: isOci ? mediaTypes.ociIndex : mediaTypes.dockerList,
    manifests: entries.map(({ Descriptor: { mediaType, size, digest, platform } }) => ({
      mediaType,
      size,
      digest,
      platform,
    })),
  };
}

export class ManifestLists {
  constructor(private readonly root: string) {}

  has(list: string): boolean {
    return existsSync(this.#directory(list));
  }

  /** In the order of their names. @throws NotFound */
  entries(list: string): Entry[] {
    if (!this.has(list)) throw new NotFound(`No such manifest: ${list}`);
    const directory = this.#directory(list);
    return readdirSync(directory)
      .sort()
      .map((name) => parse(join(directory, name)));
  }

  entry(list: string, manifest: string): Entry | undefined {
    const path = this.#file(list, manifest);
    return existsSync(path) ? parse(path) : undefined;
  }

  put(list: string, manifest: string, entry: Entry): void {
    mkdirSync(this.#directory(list), { recursive: true, mode: 0o755 });
    const path = this.#file(list, manifest);
    // Beside the lists, where it is no entry of one.
    const partial = join(this.root, `.${process.pid}.tmp`);
    try {
      writeFileSync(partial, JSON.stringify(entry), { mode: 0o644 });
      renameSync(partial, path);
    } finally {
      rmSync(partial, { force: true });
    }
  }

  /** @throws NotFound */
  remove(list: string): void {
    if (!this.has(list)) throw new NotFound(`No such manifest: ${list}`);
    rmSync(this.#directory(list), { recursive: true });
  }

  #directory(list: string): string {
    return join(this.root, fileName(list));
  }

  #file(list: string, manifest: string): string {
    return join(this.#directory(list), fileName(manifest));
  }
}

/** `docker.io/library/x:1` is `docker.io_library_x-1`: a reference has no character that leads out of a directory. */
function fileName(reference: string): string {
  return formatReference(normalize(parseReference(reference)))
    .replaceAll(":", "-")
    .replaceAll("/", "_");
}

function parse(path: string): Entry {
  try {
    return v.parse(entrySchema, JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw new InvalidParameter(`${path} is not an entry of a manifest list`, { cause: error });
  }
}
