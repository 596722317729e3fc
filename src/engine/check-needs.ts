/** Who needs which blob, and where in a registry it is found again. */
import type { Digest } from "../lib/digest.ts";
import { shortId } from "../lib/ids.ts";
import { familiar, parseReference } from "../lib/reference.ts";
import type { ImageRecord, Images, Target } from "../store/types.ts";

/** One use of a blob. */
export interface Need {
  /** Full names of what it is part of. */
  names: string[];
  /** What people know it by. */
  titles: string[];
  /** The manifest that lists it, with its size; undefined when it is a manifest or an index itself. */
  listedIn?: Digest;
}

/** What images and indexes need: manifests, configs, layers, attestations, artifacts. */
export function needsOf(images: Images): Map<Digest, Need[]> {
  const needs = new Map<Digest, Need[]>();
  const add = (target: Target, names: string[], titles: string[]) => {
    const note = (digest: Digest, listedIn?: Digest) => {
      const need = { names, titles, ...(listedIn && { listedIn }) };
      needs.set(digest, [...(needs.get(digest) ?? []), need]);
    };
    const parts = target.manifests.filter(({ blobs }) => blobs);
    if (parts.every(({ descriptor }) => descriptor.digest !== target.descriptor.digest))
      note(target.descriptor.digest);
    for (const { descriptor, blobs } of parts) {
      note(descriptor.digest);
      for (const blob of blobs!) note(blob, descriptor.digest);
    }
  };
  for (const [target, names] of namedTargets(images)) add(target, names, tagsOf(names));
  for (const record of images.list()) {
    const names = namesReaching(images, record);
    add(ownParts(record), names, titlesOf(record, names));
  }
  return needs;
}

/** An image as people know it: its tags, those of the index that it came with, or its id. */
export function titlesOf(record: ImageRecord, names: string[]): string[] {
  const tags = tagsOf(names);
  return tags.length > 0 ? tags : [shortId(record.id)];
}

/** Names of an image, and of the indexes that it is part of. */
export function namesReaching(images: Images, { id }: ImageRecord): string[] {
  return images
    .names()
    .filter(
      (name) => name.id === id || images.target(name.target)?.manifests.some(({ image }) => image === id),
    )
    .map(({ reference }) => reference);
}

const tagsOf = (names: string[]): string[] =>
  names
    .map((name) => parseReference(name))
    .filter(({ digest }) => !digest)
    .map(familiar);

function namedTargets(images: Images): Map<Target, string[]> {
  const named = new Map<Target, string[]>();
  for (const { reference, target } of images.names()) {
    const found = images.target(target);
    if (found) named.set(found, [...(named.get(found) ?? []), reference]);
  }
  return named;
}

/** From the record and not from the disk, which may have lost the manifest. */
function ownParts({ id, manifest, manifestMediaType, layers }: ImageRecord): Target {
  const descriptor = { mediaType: manifestMediaType, digest: manifest, size: 0 };
  const blobs = [id, ...layers.map((layer) => layer.descriptor.digest)];
  return { descriptor, manifests: [{ descriptor, kind: "image", image: id, blobs }] };
}
