import { mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import * as v from "valibot";
import { digestOf, hexOf } from "../../lib/digest.ts";
import { InvalidParameter, messageOf, NotFound } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes, type Platform } from "../../lib/oci.ts";
import { parseImageConfig, parseIndex, parseManifest } from "../../lib/oci-schema.ts";
import { bestMatch, formatPlatform, platformDistance } from "../../lib/platform.ts";
import { familiar, normalize, parseReference } from "../../lib/reference.ts";
import { Slots } from "../../lib/slots.ts";
import { attestedBy, isIndex, resolveInRoot } from "../../store/index.ts";
import type { ArrivingLayer, ContentStore, FileDigests, ImageRecord, Lease } from "../../store/types.ts";
import { type Context, paths } from "../context.ts";
import type { OnProgress } from "../types.ts";
import { imageEvent } from "./events.ts";
import { fullName, imagesOf } from "./names.ts";
import { registerImage } from "./register.ts";

const legacySchema = v.array(
  v.object({
    Config: v.string(),
    RepoTags: v.nullish(v.array(v.string())),
    Layers: v.nullish(v.array(v.string())),
  }),
);

/**
 * `docker load`: an OCI layout or a Docker archive, in any compression. Of an index all platforms come that the
 * archive has, or those asked for.
 * @throws InvalidParameter when it is neither, or a blob is not what its name says; NotFound without such a platform
 */
export async function loadImages(
  context: Context,
  archive: Readable,
  platforms: Platform[],
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  const directory = join(paths.tmp(context.options), `load-${crypto.randomUUID()}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  using lease = context.store.images.lease();
  try {
    using arrival = new Arrival(onProgress);
    const onLayer = (layer: ArrivingLayer) => arrival.add(layer);
    await using received = await context.store.layers.receive(archive, directory, signal, onLayer);
    arrival.end();
    const file = new Files(directory, received.digests);
    const legacy = await file.json("manifest.json", legacySchema);
    const index = (await file.has("oci-layout")) ? await file.bytes("index.json") : undefined;
    if (index) {
      const load = { context, file, legacy: legacy ?? [], platforms, lease, onProgress, signal };
      for (const entry of parseIndex(index).manifests) await loadEntry(load, entry);
    } else if (legacy) for (const entry of legacy) await loadLegacy(context, file, entry, lease, onProgress);
    else throw new InvalidParameter("invalid archive: does not contain a manifest.json or an OCI index.json");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Between two messages about the layers of an archive that comes (milliseconds). */
const progressInterval = 100;

/** Tells how far layers are while the archive comes. */
class Arrival implements Disposable {
  readonly #layers = new Map<ArrivingLayer, number>();
  readonly #timer = setInterval(() => this.#tell(), progressInterval);

  constructor(private readonly onProgress: OnProgress) {}

  add(layer: ArrivingLayer): void {
    this.#layers.set(layer, 0);
  }

  /** All is there. */
  end(): void {
    this.#tell();
    this[Symbol.dispose]();
  }

  #tell(): void {
    for (const [layer, told] of this.#layers) {
      const current = layer.arrived();
      if (current <= told) continue;
      this.#layers.set(layer, current);
      const progressDetail = { current, total: layer.size };
      this.onProgress({ id: layerId(layer.path), status: "Loading layer", progressDetail });
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** What archives of all kinds name a layer by: a digest or an id. */
const layerId = (path: string) => /[0-9a-f]{12}/.exec(path)?.[0] ?? path;

interface Layout {
  context: Context;
  file: Files;
  legacy: v.InferOutput<typeof legacySchema>;
  platforms: Platform[];
  lease: Lease;
  onProgress: OnProgress;
  signal: AbortSignal;
}

/** One image of a layout: a manifest, or an index of several. */
async function loadEntry(layout: Layout, entry: Descriptor): Promise<void> {
  const { context, file, legacy, lease, onProgress, signal } = layout;
  const { images } = context.store;
  // A layout's descriptor says what is to be known of the name; the image's own has only what it needs.
  const { mediaType, digest, size } = entry;
  const descriptor = { mediaType, digest, size };
  let record: ImageRecord;
  let all: ImageRecord[];
  if (isIndex(mediaType)) {
    await ingest(context, file, blobName(entry), entry, lease);
    const { manifests } = parseIndex(await context.store.content.bytes(digest));
    const wanted = new Set(chosenOf(manifests, layout.platforms, digest));
    for (const child of manifests) if (wanted.has(child)) await loadManifest(layout, child, false);
    const { target, image } = await images.registerIndex(descriptor, { signal });
    record = image;
    all = imagesOf(images, target);
  } else {
    await loadManifest(layout, entry, true);
    await checkPlatform(context.store.content, entry, layout.platforms);
    record = await images.register(descriptor, { signal });
    all = [record];
  }
  const own = nameIn(entry);
  const listed = legacy
    .filter(({ Config }) => all.some(({ id }) => Config.includes(hexOf(id))))
    .flatMap(({ RepoTags }) => RepoTags ?? []);
  name(context, record.id, own ? [own] : listed, onProgress, digest);
}

/** The name that containerd, or skopeo and podman, gave an entry; a tag alone names nothing. */
function nameIn({ annotations = {} }: Descriptor): string | undefined {
  const reference = annotations["org.opencontainers.image.ref.name"];
  return (
    annotations["io.containerd.image.name"] ??
    (reference !== undefined && /^[^:@]+(:\d+\/[^:@]+)?:[\w.-]+$/.test(reference) ? reference : undefined)
  );
}

/** The manifests for the platforms, with what is said about them. @throws NotFound */
function chosenOf(manifests: Descriptor[], platforms: Platform[], name: string): Descriptor[] {
  if (platforms.length === 0) return manifests;
  return platforms.flatMap((platform) => {
    const found = bestMatch(manifests, (manifest) => manifest.platform, platform);
    if (!found) throw new NotFound(`image ${name} has no platform ${formatPlatform(platform)}`);
    return [found, ...manifests.filter((manifest) => attestedBy(manifest) === found.digest)];
  });
}

/** @throws NotFound when an image that is for one platform alone is not for all that are asked for */
async function checkPlatform(
  content: ContentStore,
  { digest }: Descriptor,
  platforms: Platform[],
): Promise<void> {
  if (platforms.length === 0) return;
  const { config } = parseManifest(await content.bytes(digest));
  const own = parseImageConfig(await content.bytes(config.digest));
  if (platforms.every((platform) => platformDistance(own, platform) !== undefined)) return;
  throw new NotFound(`image ${config.digest} has no platform ${platforms.map(formatPlatform).join(", ")}`);
}

/** A manifest with its blobs; one that is not needed may be missing, or a part of it. */
async function loadManifest(layout: Layout, descriptor: Descriptor, needed: boolean): Promise<void> {
  const { context, file, lease } = layout;
  const bring = async (blob: Descriptor) => {
    if (needed || (await file.has(blobName(blob)))) await ingest(context, file, blobName(blob), blob, lease);
  };
  await bring(descriptor);
  const { content } = context.store;
  if (!content.has(descriptor.digest)) return;
  if (isIndex(descriptor.mediaType)) {
    for (const child of parseIndex(await content.bytes(descriptor.digest)).manifests)
      await loadManifest(layout, child, false);
    return;
  }
  const { config, layers } = parseManifest(await content.bytes(descriptor.digest));
  await Promise.all([config, ...layers].map(bring));
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
  const layers = await Promise.all(
    (entry.Layers ?? []).map(async (layer) => {
      const digest = await ingest(context, file, layer, undefined, lease);
      return { mediaType: await layerType(content.path(digest)), digest, size: content.size(digest) };
    }),
  );
  const bytes = await file.bytes(entry.Config);
  const id = await registerImage(context, config, layers, undefined, bytes);
  if (id !== digestOf(bytes))
    throw new InvalidParameter(`invalid archive: ${entry.Config} is not the image's config`);
  name(context, id, entry.RepoTags ?? [], onProgress);
}

function name(
  context: Context,
  id: ImageRecord["id"],
  tags: string[],
  onProgress: OnProgress,
  target?: Descriptor["digest"],
): void {
  const { images } = context.store;
  for (const tag of tags) {
    images.tag(fullName(tag), id, target);
    onProgress({ status: "", stream: `Loaded image: ${familiar(normalize(parseReference(tag)))}\n` });
  }
  if (tags.length === 0) onProgress({ status: "", stream: `Loaded image ID: ${id}\n` });
  imageEvent(context, images.get(id)!, "load");
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
  readonly #given = new Map<string, Promise<Descriptor["digest"]>>();
  /** Files that are synced at once, so that one write of the disk's journal serves several. */
  readonly #slots = new Slots(16);

  constructor(
    private readonly root: string,
    private readonly digests: FileDigests,
  ) {}

  /** Moves a file into the content store. @throws InvalidParameter when it is not what is expected */
  async give(
    content: ContentStore,
    name: string,
    expected?: { digest: Descriptor["digest"]; size: number },
  ): Promise<Descriptor["digest"]> {
    const path = resolveInRoot(this.root, name);
    const given =
      this.#given.get(path) ??
      this.#slots.run(async () => content.take(await this.path(name), expected, this.digests));
    this.#given.set(path, given);
    const digest = await given;
    if (expected && digest !== expected.digest)
      throw new InvalidParameter(`invalid archive: ${name} is ${digest}`);
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
