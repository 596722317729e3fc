import { mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as tar from "tar-stream";
import * as v from "valibot";
import { digestOf, hexOf } from "../../lib/digest.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import { type Descriptor, type Index, mediaTypes } from "../../lib/oci.ts";
import { parseImageConfig, parseIndex } from "../../lib/oci-schema.ts";
import { familiar, normalize, parseReference } from "../../lib/reference.ts";
import { resolveInRoot } from "../../store/index.ts";
import type { ContentStore, ImageRecord, Lease } from "../../store/types.ts";
import { type Context, paths } from "../context.ts";
import type { OnProgress } from "../types.ts";
import { findImage, fullName, namesOf } from "./names.ts";
import { hostPlatform, isIndex, selectPlatform } from "./pull.ts";
import { registerImage } from "./register.ts";

/**
 * `docker save`: an OCI image layout that carries Docker's manifest.json too, so that both kinds of reader take it.
 * Blobs go in as they are stored, so digests survive the journey.
 */
export function saveImages(context: Context, targets: string[], signal: AbortSignal): Readable {
  const { images, content } = context.store;
  const chosen = new Map<string, { record: ImageRecord; tags: string[] }>();
  for (const target of targets) {
    const record = findImage(images, target);
    const entry = chosen.get(record.id) ?? { record, tags: [] };
    chosen.set(record.id, entry);
    // An image named by id brings no names along.
    if (!record.id.includes(target)) entry.tags.push(familiar(normalize(parseReference(target))));
  }
  const pack = tar.pack();
  const lease = images.lease();
  const write = async () => {
    const written = new Set<string>();
    const text = (name: string, body: string) =>
      void pack.entry({ name, mode: 0o644, mtime: new Date(0) }, body);
    const blob = async (digest: Descriptor["digest"]) => {
      if (written.has(digest)) return;
      written.add(digest);
      lease.addBlob(digest);
      const entry = pack.entry({
        name: `blobs/sha256/${hexOf(digest)}`,
        size: content.size(digest),
        mode: 0o644,
        mtime: new Date(0),
      });
      await pipeline(content.open(digest), entry, { signal });
    };
    const manifests: Index["manifests"] = [];
    const legacy: object[] = [];
    text("oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    for (const { record, tags } of chosen.values()) {
      for (const digest of [
        record.manifest,
        record.id,
        ...record.layers.map((layer) => layer.descriptor.digest),
      ])
        await blob(digest);
      const descriptor = {
        mediaType: record.manifestMediaType,
        digest: record.manifest,
        size: content.size(record.manifest),
        platform: record.platform,
      };
      if (tags.length === 0) manifests.push(descriptor);
      for (const tag of tags) {
        const name = fullName(tag);
        manifests.push({
          ...descriptor,
          annotations: {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
          },
        });
      }
      legacy.push({
        Config: `blobs/sha256/${hexOf(record.id)}`,
        RepoTags: tags.length > 0 ? tags : null,
        Layers: record.layers.map((layer) => `blobs/sha256/${hexOf(layer.descriptor.digest)}`),
      });
    }
    text("index.json", JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
    text("manifest.json", JSON.stringify(legacy));
    pack.finalize();
  };
  write()
    .catch((error: unknown) => pack.destroy(error instanceof Error ? error : new Error(messageOf(error))))
    .finally(() => lease[Symbol.dispose]());
  return pack.pipe(new PassThrough());
}

const legacySchema = v.array(
  v.object({
    Config: v.string(),
    RepoTags: v.nullish(v.array(v.string())),
    Layers: v.nullish(v.array(v.string())),
  }),
);

/**
 * `docker load`: an OCI layout or a Docker archive, in any compression.
 * @throws InvalidParameter when it is neither, or a blob is not what its name says
 */
export async function loadImages(
  context: Context,
  archive: Readable,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  const directory = join(paths.tmp(context.options), `load-${crypto.randomUUID()}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  using lease = context.store.images.lease();
  try {
    await context.store.layers.extract(archive, directory, { owner: { uid: 0, gid: 0 } }, signal);
    const file = new Files(directory);
    const legacy = await file.json("manifest.json", legacySchema);
    const index = (await file.has("oci-layout")) ? await file.bytes("index.json") : undefined;
    if (index) await loadLayout(context, file, parseIndex(index), legacy ?? [], lease, onProgress, signal);
    else if (legacy) for (const entry of legacy) await loadLegacy(context, file, entry, lease, onProgress);
    else throw new InvalidParameter("invalid archive: does not contain a manifest.json or an OCI index.json");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function loadLayout(
  context: Context,
  file: Files,
  index: Index,
  legacy: v.InferOutput<typeof legacySchema>,
  lease: Lease,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  const { images, content } = context.store;
  for (const entry of index.manifests) {
    let descriptor = entry;
    if (isIndex(descriptor.mediaType))
      descriptor = selectPlatform(parseIndex(await file.blob(entry)), hostPlatform, entry.digest);
    await ingest(context, file, blobName(descriptor), descriptor, lease);
    const manifest = JSON.parse(Buffer.from(await content.bytes(descriptor.digest)).toString()) as {
      config: Descriptor;
      layers: Descriptor[];
    };
    for (const blob of [manifest.config, ...manifest.layers])
      await ingest(context, file, blobName(blob), blob, lease);
    const record = await images.register(descriptor, { signal });
    const own = entry.annotations?.["io.containerd.image.name"];
    const listed = legacy
      .filter(({ Config }) => Config.includes(hexOf(record.id)))
      .flatMap(({ RepoTags }) => RepoTags ?? []);
    name(context, record.id, own ? [own] : listed, onProgress);
  }
}

async function loadLegacy(
  context: Context,
  file: Files,
  entry: v.InferOutput<typeof legacySchema>[number],
  lease: Lease,
  onProgress: OnProgress,
): Promise<void> {
  const { content } = context.store;
  const config = parseImageConfig(await file.bytes(entry.Config));
  const layers: Descriptor[] = [];
  for (const layer of entry.Layers ?? []) {
    const digest = await ingest(context, file, layer, undefined, lease);
    layers.push({ mediaType: await layerType(content.path(digest)), digest, size: content.size(digest) });
  }
  const bytes = await file.bytes(entry.Config);
  const id = await registerImage(context, config, layers, undefined, bytes);
  if (id !== digestOf(bytes))
    throw new InvalidParameter(`invalid archive: ${entry.Config} is not the image's config`);
  name(context, id, entry.RepoTags ?? [], onProgress);
}

function name(context: Context, id: ImageRecord["id"], tags: string[], onProgress: OnProgress): void {
  const { images } = context.store;
  for (const tag of tags) {
    images.tag(fullName(tag), id);
    onProgress({ status: "", stream: `Loaded image: ${familiar(normalize(parseReference(tag)))}\n` });
  }
  if (tags.length === 0) onProgress({ status: "", stream: `Loaded image ID: ${id}\n` });
  context.events.publish("image", "load", id, { name: namesOf(images, id).repoTags[0] ?? id });
}

const blobName = ({ digest }: Descriptor) => `blobs/${digest.replace(":", "/")}`;

async function ingest(
  context: Context,
  file: Files,
  path: string,
  expect: Descriptor | undefined,
  lease: Lease,
): Promise<Descriptor["digest"]> {
  const { content } = context.store;
  if (expect) lease.addBlob(expect.digest);
  if (expect && content.has(expect.digest)) return expect.digest;
  const digest = await file.give(content, path, expect && { digest: expect.digest, size: expect.size });
  lease.addBlob(digest);
  return digest;
}

async function layerType(path: string): Promise<string> {
  await using handle = await open(path);
  const magic = Buffer.alloc(4);
  await handle.read(magic, 0, 4, 0);
  if (magic[0] === 0x1f && magic[1] === 0x8b) return mediaTypes.ociLayerGzip;
  return magic.readUInt32LE(0) === 0xfd2fb528 ? mediaTypes.ociLayerZstd : mediaTypes.ociLayer;
}

/** The files of an unpacked archive; names in it never lead out of it. */
class Files {
  /** Files that were given away, which an archive may name more than once. */
  readonly #given = new Map<string, Descriptor["digest"]>();

  constructor(private readonly root: string) {}

  /** Moves a file into the content store. @throws InvalidParameter when it is not what is expected */
  async give(
    content: ContentStore,
    name: string,
    expected?: { digest: Descriptor["digest"]; size: number },
  ): Promise<Descriptor["digest"]> {
    const known = this.#given.get(resolveInRoot(this.root, name));
    if (known && expected && known !== expected.digest)
      throw new InvalidParameter(`invalid archive: ${name} is ${known}`);
    if (known) return known;
    const path = await this.path(name);
    const digest = await content.take(path, expected);
    this.#given.set(path, digest);
    return digest;
  }

  async path(name: string): Promise<string> {
    const path = resolveInRoot(this.root, name);
    if (!(await stat(path).catch(() => undefined))?.isFile())
      throw new InvalidParameter(`invalid archive: ${name} is missing`);
    return path;
  }

  async has(name: string): Promise<boolean> {
    return (await stat(resolveInRoot(this.root, name)).catch(() => undefined)) !== undefined;
  }

  async bytes(name: string): Promise<Uint8Array> {
    return readFile(await this.path(name));
  }

  blob(descriptor: Descriptor): Promise<Uint8Array> {
    return this.bytes(blobName(descriptor));
  }

  async json<T>(name: string, schema: v.GenericSchema<unknown, T>): Promise<T | undefined> {
    if (!(await this.has(name))) return undefined;
    try {
      return v.parse(schema, JSON.parse(Buffer.from(await this.bytes(name)).toString()));
    } catch (error) {
      throw new InvalidParameter(`invalid archive: ${name}: ${messageOf(error)}`);
    }
  }
}
