import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import type { Descriptor, Platform } from "../../lib/oci.ts";
import { parseImageConfig, parseManifest } from "../../lib/oci-schema.ts";
import { formatPlatform, hostPlatform, platformDistance } from "../../lib/platform.ts";
import {
  familiar,
  familiarName,
  normalize,
  parseReference,
  type Reference,
  type RepositoryName,
} from "../../lib/reference.ts";
import { Slots } from "../../lib/slots.ts";
import { together } from "../../lib/together.ts";
import type { Credentials, RepositoryClient } from "../../registry/types.ts";
import { chainIds, isImage, isIndex } from "../../store/index.ts";
import type { ImageRecord, TargetManifest } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { OnProgress } from "../types.ts";
import { attestationsOf, selectPlatform } from "./choose.ts";
import { download, fetchContent, keep, type Transfer, throttle } from "./download.ts";
import { digestName, fullName } from "./names.ts";
import { fetchReferrers } from "./referrers.ts";

/** Layers that come down at once, Docker's default. */
const parallelDownloads = 3;

export interface PullOptions {
  platform?: Platform;
  auth?: Credentials;
  signal: AbortSignal;
}

/**
 * Pulls an image: manifest, config and layers, each unpacked as soon as it and those below it are there. What an
 * interrupted pull left is gone on with. Of an index the platform asked for comes, beside those that are here.
 * @returns the image of that platform
 * @throws NotFound, Unauthorized, Unavailable, Forbidden when it is not signed as it must be
 */
export async function pullImage(
  context: Context,
  text: string,
  options: PullOptions,
  onProgress: OnProgress,
): Promise<ImageRecord> {
  const reference = normalize(parseReference(text));
  const repository = context.registry.repository(reference, options.auth);
  const { record, isNew } = await pullReference(context, reference, repository, options, onProgress);
  tellStatus(onProgress, isNew, familiar(reference));
  return record;
}

/** Pulls all tags of a repository, one after another. @throws as `pullImage` */
export async function pullAllTags(
  context: Context,
  name: RepositoryName,
  options: PullOptions,
  onProgress: OnProgress,
): Promise<void> {
  const repository = context.registry.repository(name, options.auth);
  let anyNew = false;
  for (const tag of await repository.tags(options.signal)) {
    const reference = { domain: name.domain, path: name.path, tag };
    const { isNew } = await pullReference(context, reference, repository, options, onProgress);
    anyNew ||= isNew;
  }
  tellStatus(onProgress, anyNew, familiarName(name));
}

function tellStatus(onProgress: OnProgress, isNew: boolean, name: string): void {
  onProgress({ status: `Status: ${isNew ? "Downloaded newer image" : "Image is up to date"} for ${name}` });
}

async function pullReference(
  context: Context,
  reference: Reference,
  repository: RepositoryClient,
  options: PullOptions,
  onProgress: OnProgress,
): Promise<{ record: ImageRecord; isNew: boolean }> {
  const { images } = context.store;
  const { signal } = options;
  const wanted = reference.digest ?? reference.tag!;
  const name = familiar(reference);
  using lease = images.lease();
  const transfer = { context, repository, lease, signal, onProgress };
  const { descriptor, bytes } = await repository.manifest(wanted, signal);
  // Only now, as Docker: before the first word a failure has a status of its own.
  onProgress({ id: wanted, status: `Pulling from ${reference.path}` });
  await context.signatures.verify(reference, descriptor.digest, repository, signal);
  const before = images.nameOf(fullName(name));
  const known = new Set(images.list().map(({ id }) => id));
  let record: ImageRecord;
  let shown: ImageRecord;
  const inParts = (start: (part: Transfer) => [Promise<TargetManifest[]>, ...Promise<unknown>[]]) =>
    together<[TargetManifest[], ...unknown[]]>(signal, (signal) => start({ ...transfer, signal }));
  let referrers: TargetManifest[];
  if (isIndex(descriptor.mediaType)) {
    const { chosen, index, within } = await selectPlatform(
      transfer,
      bytes,
      options.platform ?? hostPlatform,
      name,
    );
    const manifest = await repository.manifest(chosen.digest, signal);
    if (!isImage(parseManifest(manifest.bytes)))
      throw new InvalidParameter(
        `${name} is an index of artifacts, not of images: pull one of them as ${digestName(reference, chosen.digest)}`,
      );
    [referrers] = await inParts((part) => [
      fetchReferrers(part, [descriptor.digest, chosen.digest]),
      fetchImage(part, chosen, manifest.bytes),
      ...attestationsOf(index, chosen.digest).map((about) => fetchContent(part, about)),
    ]);
    for (const nested of within) await keep(transfer, nested.descriptor, nested.bytes);
    await keep(transfer, descriptor, bytes);
    const { target, image } = await images.registerIndex(descriptor, { signal });
    const here = target.manifests.find((entry) => entry.descriptor.digest === chosen.digest)?.image;
    shown = image;
    record = (here && images.get(here)) ?? image;
  } else {
    const isArtifact = !isImage(parseManifest(bytes));
    [referrers] = await inParts((part) => [
      fetchReferrers(part, [descriptor.digest]),
      isArtifact
        ? fetchArtifact(part, descriptor, bytes)
        : fetchImage(part, descriptor, bytes, options.platform, name),
    ]);
    record = await images.register(descriptor, { signal });
    shown = record;
  }
  images.refer(descriptor.digest, referrers);
  if (!reference.digest) images.tag(fullName(name), shown.id, descriptor.digest);
  images.tag(digestName(reference, descriptor.digest), shown.id, descriptor.digest);
  onProgress({ status: `Digest: ${descriptor.digest}` });
  const labels = record.config.config?.Labels ?? {};
  const attributes = { ...labels, name: familiarName(reference) };
  context.events.publish("image", "pull", name, attributes, labels);
  return { record, isNew: before?.target !== descriptor.digest || !known.has(record.id) };
}

/** What is no image comes whole, and is not unpacked. */
async function fetchArtifact(transfer: Transfer, descriptor: Descriptor, bytes: Uint8Array): Promise<void> {
  const { context, repository, lease, signal, onProgress } = transfer;
  const { config, layers } = parseManifest(bytes);
  await download(context, repository, config, lease, signal);
  const slots = new Slots(parallelDownloads);
  await Promise.all(
    layers.map((layer) => {
      onProgress({ id: shortId(layer.digest), status: "Waiting", progressDetail: {} });
      return slots.run(() => bring(transfer, layer, signal));
    }),
  );
  await keep(transfer, descriptor, bytes);
}

/** @throws NotFound when the image is for another platform than the one asked for */
async function fetchImage(
  transfer: Transfer,
  descriptor: Descriptor,
  bytes: Uint8Array,
  platform?: Platform,
  name?: string,
): Promise<void> {
  const { context, repository, lease, signal } = transfer;
  const manifest = parseManifest(bytes);
  await download(context, repository, manifest.config, lease, signal);
  const config = parseImageConfig(await context.store.content.bytes(manifest.config.digest));
  if (platform && platformDistance(config, platform) === undefined)
    throw new NotFound(
      `image with reference ${name} was found but its platform (${formatPlatform(config)}) does not match the specified platform (${formatPlatform(platform)})`,
    );
  await fetchLayers(transfer, manifest.layers, config.rootfs.diff_ids);
  await keep(transfer, descriptor, bytes);
}

async function fetchLayers(transfer: Transfer, layers: Descriptor[], diffIds: Digest[]): Promise<void> {
  const { context, lease, signal, onProgress } = transfer;
  if (layers.length !== diffIds.length)
    throw new InvalidParameter(
      `invalid image: ${layers.length} layers in the manifest, ${diffIds.length} in the config`,
    );
  const { snapshots } = context.store;
  const chains = chainIds(diffIds);
  for (const chain of chains) lease.addSnapshot(chain);
  let below: Promise<void> = Promise.resolve();
  const slots = new Slots(parallelDownloads);
  const missing: string[] = [];
  const begin = (layer: Descriptor, index: number, signal: AbortSignal): Promise<void> => {
    const id = shortId(layer.digest);
    if (snapshots.stat(chains[index]!) && context.store.content.has(layer.digest)) {
      lease.addBlob(layer.digest);
      onProgress({ id, status: "Already exists", progressDetail: {} });
      return Promise.resolve();
    }
    onProgress({ id, status: "Pulling fs layer", progressDetail: {} });
    missing.push(id);
    const parent = below;
    below = (async () => {
      await slots.run(() => bring(transfer, layer, signal));
      const onRead = (current: number) =>
        onProgress({ id, status: "Extracting", progressDetail: { current, total: layer.size } });
      const place = { diffId: diffIds[index]!, chainId: chains[index]!, parent: chains[index - 1] };
      await context.store.layers.unpack(layer.digest, { ...place, below: parent, onRead }, signal);
      onRead(layer.size);
      onProgress({ id, status: "Pull complete", progressDetail: {} });
    })();
    return below;
  };
  await together(signal, (signal) => {
    const work = layers.map((layer, index) => begin(layer, index, signal));
    for (const id of missing.slice(parallelDownloads))
      onProgress({ id, status: "Waiting", progressDetail: {} });
    return work;
  });
}

/** One blob, with the words and the bar that people see of it. */
async function bring(transfer: Transfer, layer: Descriptor, signal: AbortSignal): Promise<void> {
  const { context, repository, lease, onProgress } = transfer;
  const id = shortId(layer.digest);
  const report = throttle((current) =>
    onProgress({ id, status: "Downloading", progressDetail: { current, total: layer.size } }),
  );
  await download(context, repository, layer, lease, signal, report);
  onProgress({ id, status: "Download complete", progressDetail: {} });
}
