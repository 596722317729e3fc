/** Steps that others have done: their records are read when a build begins, their layers when a step is met. */
import * as v from "valibot";
import { digestOf } from "../../lib/digest.ts";
import { InvalidParameter, TooLarge } from "../../lib/errors.ts";
import { newId } from "../../lib/ids.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { parseReference } from "../../lib/reference.ts";
import type { RepositoryClient } from "../../registry/types.ts";
import { isAttestation, isImageConfig, isIndex } from "../../store/index.ts";
import type { ContentStore, Lease } from "../../store/types.ts";
import { committedPrefix } from "../exec/workspace.ts";
import { inlineCacheField } from "../export/image.ts";
import { openRepository } from "../export/push.ts";
import type { CacheRecord, CacheRecords } from "../solve/records.ts";
import type { BuildBackend, BuildRequest } from "../types.ts";
import { cacheConfigType, type PortableRecord, parseCache } from "./document.ts";
import type { CacheSource } from "./options.ts";

/** Of a manifest's config; no more is read into memory. */
const maxDocument = 8 << 20;

/** Where a record's layer is to be had. */
interface Found {
  record: PortableRecord & { layer: NonNullable<PortableRecord["layer"]> };
  blob(descriptor: Descriptor, lease: Lease, signal: AbortSignal): Promise<void>;
}

/** Names of trees that come from a builder; an image's tree can't be meant. */
const resultName = new RegExp(`^${committedPrefix}[0-9a-f]{64}$`);

export class ImportedCache {
  readonly #found = new Map<string, Found>();

  constructor(
    private readonly backend: BuildBackend,
    private readonly records: CacheRecords,
    private readonly now: () => number,
  ) {}

  /**
   * Reads what a source has. What the local cache knows stays as it is.
   * @returns how many records are new
   * @throws NotFound, Unauthorized, Unavailable, InvalidParameter for a document that is none
   */
  async read(
    { ref }: CacheSource,
    credentials: BuildRequest["credentials"],
    signal: AbortSignal,
  ): Promise<number> {
    const { content, images } = this.backend.store;
    const local = images.nameOf(ref);
    const reference = parseReference(ref);
    const repository = local ? undefined : await openRepository(this.backend, ref, { credentials, signal });
    const blobs = repository ? remoteBlobs(repository, content) : localBlobs(content);
    const top = repository
      ? await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal)
      : await localManifest(content, images.target(local!.target)!.descriptor);
    const manifests = isIndex(top.descriptor.mediaType)
      ? await Promise.all(
          parseIndex(top.bytes)
            .manifests.filter((one) => !isAttestation(one) && (repository || content.has(one.digest)))
            .map(async (one) =>
              repository
                ? (await repository.manifest(one.digest, signal)).bytes
                : (await localManifest(content, one)).bytes,
            ),
        )
      : [top.bytes];
    const taken = new Map(
      this.records.list().flatMap(({ id, result, snapshot }) => (snapshot ? [[result, id] as const] : [])),
    );
    let count = 0;
    for (const bytes of manifests) {
      const { config } = parseManifest(bytes);
      const document = await blobs.read(config, signal);
      for (const record of recordsIn(config, document)) if (this.#take(record, taken, blobs.fetch)) count++;
    }
    return count;
  }

  #take({ layer, ...record }: PortableRecord, taken: Map<string, string>, blob: Found["blob"]): boolean {
    const { key, result } = record;
    if (this.#found.has(key) || this.records.find(key)) return false;
    if (!layer) {
      this.#put(record, {});
      return true;
    }
    // One name for two trees would make steps after it take the one for the other.
    if (!resultName.test(result) || (taken.has(result) && taken.get(result) !== key)) return false;
    taken.set(result, key);
    this.#found.set(key, { record: { ...record, layer }, blob });
    return true;
  }

  /**
   * Brings a step's layer here. Its digests are checked on the way, compressed and unpacked.
   * @param parent the snapshot with the tree before the step
   * @returns undefined when no source has the step
   */
  async find(
    key: string,
    parent: string | undefined,
    lease: Lease,
    signal: AbortSignal,
  ): Promise<CacheRecord | undefined> {
    const found = this.#found.get(key);
    if (!found) return undefined;
    const { store } = this.backend;
    const { layer, ...record } = found.record;
    const snapshot = committedPrefix + newId();
    lease.addSnapshot(snapshot);
    await found.blob(layer.descriptor, lease, signal);
    const target = { diffId: layer.diffId, chainId: snapshot, parent };
    await store.layers.unpack(layer.descriptor.digest, target, signal);
    return this.#put(record, { snapshot, layer, size: store.snapshots.stat(snapshot)?.size ?? 0 });
  }

  #put(
    { key, result, description, createdAt }: Omit<PortableRecord, "layer">,
    files: Partial<CacheRecord>,
  ): CacheRecord {
    const lastUsedAt = this.now();
    const record = { size: 0, ...files, id: key, result, description, createdAt, lastUsedAt, usageCount: 0 };
    this.records.put(record);
    return record;
  }
}

const imageSchema = v.looseObject({ [inlineCacheField]: v.optional(v.string()) });

/** @throws InvalidParameter */
function recordsIn({ mediaType }: Descriptor, document: Uint8Array): PortableRecord[] {
  if (mediaType === cacheConfigType) return parseCache(document);
  if (!isImageConfig(mediaType)) return [];
  const config = v.safeParse(imageSchema, JSON.parse(Buffer.from(document).toString("utf8")));
  const inline = config.success ? config.output[inlineCacheField] : undefined;
  return inline === undefined ? [] : parseCache(Buffer.from(inline, "base64"));
}

interface Blobs {
  /** A document, checked against its digest. */
  read(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array>;
  fetch: Found["blob"];
}

function localBlobs(content: ContentStore): Blobs {
  return {
    read: ({ digest }) => content.bytes(digest, maxDocument),
    fetch: async ({ digest }, lease) => lease.addBlob(digest),
  };
}

async function localManifest(content: ContentStore, descriptor: Descriptor) {
  return { descriptor, bytes: await content.bytes(descriptor.digest, maxDocument) };
}

function remoteBlobs(repository: RepositoryClient, content: ContentStore): Blobs {
  const fetch: Found["blob"] = async (blob, lease, signal) => {
    lease.addBlob(blob.digest);
    if (content.has(blob.digest)) return;
    const ingest = await content.ingest(blob.digest);
    try {
      if (content.has(blob.digest)) return;
      let size = 0;
      for await (const chunk of await repository.blob(blob, 0, signal)) {
        size += (chunk as Uint8Array).length;
        if (size > blob.size) throw new InvalidParameter(`${blob.digest} is longer than its descriptor says`);
        await ingest.write(chunk as Uint8Array);
      }
      await ingest.commit({ digest: blob.digest, size: blob.size });
    } finally {
      await ingest.close();
    }
  };
  return {
    read: async (descriptor, signal) => {
      const { digest, size } = descriptor;
      if (size > maxDocument) throw new TooLarge(`the config ${digest} has ${size} bytes`);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of await repository.blob(descriptor, 0, signal)) {
        length += (chunk as Uint8Array).length;
        if (length > size) break;
        chunks.push(chunk as Uint8Array);
      }
      const bytes = Buffer.concat(chunks);
      if (digestOf(bytes) !== digest)
        throw new InvalidParameter(`the config ${digest} came with other bytes`);
      return bytes;
    },
    fetch,
  };
}
