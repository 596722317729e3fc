import { PassThrough, type Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as tar from "tar-stream";
import { type Digest, hexOf } from "../../lib/digest.ts";
import { messageOf, NotFound } from "../../lib/errors.ts";
import { type Index, mediaTypes, type Platform } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import { bestMatch, formatPlatform, hostPlatform } from "../../lib/platform.ts";
import { familiar, normalize, parseReference } from "../../lib/reference.ts";
import type { Images, Target, TargetManifest } from "../../store/types.ts";
import type { Context } from "../context.ts";
import { damaged } from "./damage.ts";
import { imageEvent } from "./events.ts";
import { findTarget, fullName } from "./names.ts";

/** A target with the names that go along, and those of its manifests that were chosen. */
interface Chosen {
  target: Target;
  tags: Set<string>;
  /** Undefined for the target as a whole. */
  only: TargetManifest[] | undefined;
}

/**
 * `docker save`: an OCI image layout that carries Docker's manifest.json too, so that both kinds of reader take it.
 * Blobs go in as they are stored, so digests survive the journey. Of an index all platforms go that are here.
 * @throws NotFound when an image, or a platform of it, is not here
 */
export function saveImages(
  context: Context,
  targets: string[],
  platforms: Platform[],
  signal: AbortSignal,
): Readable {
  const chosen = choose(context, targets, platforms);
  const lease = context.store.images.lease();
  for (const { target } of chosen) {
    lease.addBlob(target.descriptor.digest);
    for (const { descriptor, blobs } of target.manifests)
      for (const digest of [descriptor.digest, ...(blobs ?? [])]) lease.addBlob(digest);
  }
  const pack = tar.pack();
  write(context, chosen, pack, signal)
    .catch((error: unknown) => {
      // The client sees no more than an end of the stream.
      if (!signal.aborted) console.error(`save of ${targets.join(", ")}: ${messageOf(error)}`);
      pack.destroy(error instanceof Error ? error : new Error(messageOf(error)));
    })
    .finally(() => lease[Symbol.dispose]());
  const output = new PassThrough();
  // It ends as the archive does; whoever reads it hears of a failure.
  pipeline(pack, output).catch(() => {});
  return output;
}

/** A repository's name alone stands for all of its tags, as with Docker. */
function tagsOf(images: Images, text: string): string[] {
  // An id, or what is no reference and will be said so.
  if (/^(sha256:)?[0-9a-f]{64}$/.test(text)) return [text];
  const { domain, path, tag, digest } = parseReference(text);
  if (tag !== undefined || digest !== undefined) return [text];
  const tags = images
    .names()
    .map(({ reference }) => parseReference(reference))
    .filter((other) => other.domain === domain && other.path === path && other.tag !== undefined)
    .map(familiar);
  return tags.length > 0 ? tags : [text];
}

/** @throws NotFound in Docker's words: those of a name with a tag aren't those of a name or an id */
function findSaved(context: Context, text: string): ReturnType<typeof findTarget> {
  try {
    return findTarget(context.store.images, text);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
    const isId = text.startsWith("sha256:");
    const { tag, digest } = isId ? {} : parseReference(text);
    const message = tag || digest ? "reference does not exist" : `No such image: ${text}`;
    throw new NotFound(message, { cause: error });
  }
}

function choose(context: Context, targets: string[], platforms: Platform[]): Chosen[] {
  const { images } = context.store;
  const chosen = new Map<Digest, Chosen>();
  for (const text of targets.flatMap((target) => tagsOf(images, target))) {
    const { record, target, name } = findSaved(context, text);
    imageEvent(context, record, "save");
    // A platform of an index that is named by its id goes alone.
    const whole = name ? target : images.target(record.manifest)!;
    const entry = chosen.get(whole.descriptor.digest) ?? {
      target: whole,
      tags: new Set(),
      only: platforms.length > 0 ? platforms.map((platform) => manifestFor(text, platform)) : undefined,
    };
    chosen.set(whole.descriptor.digest, entry);
    if (name) entry.tags.add(familiar(normalize(parseReference(text))));
  }
  return [...chosen.values()];

  function manifestFor(text: string, platform: Platform): TargetManifest {
    const { record, target } = findTarget(images, text, platform);
    const found = target.manifests.find(({ image }) => image === record.id);
    if (!found) throw new NotFound(`${text} has no manifest for ${formatPlatform(platform)}`);
    return found;
  }
}

async function write(context: Context, chosen: Chosen[], pack: tar.Pack, signal: AbortSignal): Promise<void> {
  const { content, images } = context.store;
  const written = new Set<string>();
  const text = (name: string, body: string) =>
    void pack.entry({ name, mode: 0o644, mtime: new Date(0) }, body);
  const blob = async (digest: Digest) => {
    if (written.has(digest)) return;
    written.add(digest);
    const header = { name: `blobs/sha256/${hexOf(digest)}`, size: content.size(digest) };
    const entry = pack.entry({ ...header, mode: 0o644, mtime: new Date(0) });
    // Beside the stream, in a worker: what the disk has spoilt must not travel on.
    const [isSound] = await Promise.all([
      context.store.verify(digest, signal),
      pipeline(content.open(digest), entry, { signal }),
    ]);
    if (!isSound) throw damaged(digest);
  };
  const manifests: Index["manifests"] = [];
  const legacy: object[] = [];
  text("oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  for (const { target, tags, only } of chosen) {
    for (const { descriptor, blobs } of only ?? target.manifests)
      if (blobs) for (const digest of [descriptor.digest, ...blobs]) await blob(digest);
    if (!only) await blob(target.descriptor.digest);
    for (const descriptor of only?.map((manifest) => manifest.descriptor) ?? [target.descriptor])
      manifests.push(...(tags.size === 0 ? [descriptor] : [...tags].map((tag) => named(descriptor, tag))));
    const entry = (only ?? target.manifests).filter(
      ({ kind, image, blobs }) => kind === "image" && image && blobs,
    );
    const shown = bestMatch(entry, ({ image }) => images.get(image!)?.platform, hostPlatform) ?? entry[0];
    // Docker's manifest.json has no place for artifacts.
    if (!shown) continue;
    const { config, layers } = parseManifest(await content.bytes(shown.descriptor.digest));
    legacy.push({
      Config: `blobs/sha256/${hexOf(config.digest)}`,
      RepoTags: tags.size > 0 ? [...tags] : null,
      Layers: layers.map(({ digest }) => `blobs/sha256/${hexOf(digest)}`),
    });
  }
  text("index.json", JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
  text("manifest.json", JSON.stringify(legacy));
  pack.finalize();
}

/** The annotations by which containerd and OCI tools know a name. */
function named(descriptor: Index["manifests"][number], tag: string): Index["manifests"][number] {
  const name = fullName(tag);
  return {
    ...descriptor,
    annotations: {
      ...descriptor.annotations,
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
    },
  };
}
