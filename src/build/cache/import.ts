/** Steps that others have done: their records are read when a build begins, their layers when a step is met. */
import * as v from "valibot";
import { newId } from "../../lib/ids.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { isAttestation, isImageConfig, isIndex, isManifest } from "../../store/index.ts";
import type { Lease } from "../../store/types.ts";
import { committedPrefix } from "../exec/workspace.ts";
import { inlineCacheField } from "../export/image.ts";
import type { CacheRecord, CacheRecords } from "../solve/records.ts";
import type { BuildBackend, BuildRequest } from "../types.ts";
import { cacheConfigType, type PortableRecord, parseCache } from "./document.ts";
import type { CacheSource } from "./options.ts";
import { type CachePlace, openPlace } from "./places.ts";

/** Where a record's layer is to be had. */
interface Found {
  record: PortableRecord & { layer: NonNullable<PortableRecord["layer"]> };
  blob: CachePlace["fetch"];
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
    source: CacheSource,
    request: Pick<BuildRequest, "credentials" | "blobDirectory">,
    signal: AbortSignal,
  ): Promise<number> {
    const place = await openPlace(this.backend, source, request, signal);
    const top = await place.top(signal);
    const documents = isIndex(top.descriptor.mediaType)
      ? await Promise.all(parseIndex(top.bytes).manifests.map((one) => configBelow(place, one, signal)))
      : [parseManifest(top.bytes).config];
    const taken = new Map(
      this.records.list().flatMap(({ id, result, snapshot }) => (snapshot ? [[result, id] as const] : [])),
    );
    let count = 0;
    for (const config of documents) {
      if (!config) continue;
      const document = await place.read(config, signal);
      for (const record of recordsIn(config, document)) if (this.#take(record, taken, place.fetch)) count++;
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

/** The config of an image that an index names, or the cache itself, which BuildKit put there before 0.21. */
async function configBelow(
  place: CachePlace,
  one: Descriptor,
  signal: AbortSignal,
): Promise<Descriptor | undefined> {
  if (one.mediaType === cacheConfigType) return one;
  if (isAttestation(one) || !isManifest(one.mediaType)) return undefined;
  const bytes = await place.manifest(one, signal);
  return bytes && parseManifest(bytes).config;
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
