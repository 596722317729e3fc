import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";
import { bestMatch, formatPlatform } from "../../lib/platform.ts";
import {
  familiar,
  familiarForm,
  formatReference,
  normalize,
  parseReference,
  type Reference,
} from "../../lib/reference.ts";
import { isIndex } from "../../store/index.ts";
import type { ImageName, ImageRecord, Images, Target } from "../../store/types.ts";

/** `busybox` -> `docker.io/library/busybox:latest`. A digest wins over a tag beside it. @throws InvalidParameter */
export function fullName(text: string): string {
  const reference = normalize(parseReference(text));
  return formatReference(reference.digest ? { ...reference, tag: undefined } : reference);
}

/** `name@digest` of a repository. */
export function digestName({ domain, path }: Reference, digest: Digest): string {
  return formatReference({ domain, path, digest });
}

/** An image with what its name stands for. */
export interface Found {
  record: ImageRecord;
  target: Target;
  /** The name it was found by. */
  name?: ImageName;
}

/**
 * By reference, full id, the digest of a manifest or index, or unique prefix of an id; `platform` chooses of several.
 * @throws NotFound, and InvalidParameter for no name at all, in Docker's words
 */
export function findTarget(images: Images, target: string, platform?: Platform): Found {
  const name = nameOf(images, target);
  const record = name ? images.get(name.id) : byId(images, target);
  if (!record) {
    // What can't be a name is told apart from one that isn't here, which clients would pull.
    if (target !== "") parseReference(target);
    throw new NotFound(`No such image: ${name ? target : withTag(target)}`);
  }
  const found = name ? images.target(name.target)! : targetOf(images, record);
  if (!platform) return { record, target: found, name };
  const chosen = bestMatch(imagesOf(images, found), (image) => image.platform, platform);
  if (chosen) return { record: chosen, target: found, name };
  const wanted = formatPlatform(platform);
  throw new NotFound(
    isIndex(found.descriptor.mediaType)
      ? `image with reference ${target} was found but does not provide the specified platform (${wanted})`
      : `image with reference ${target} was found but its platform (${formatPlatform(record.platform)}) does not match the specified platform (${wanted})`,
  );
}

/** By reference, full id, or unique prefix of an id. @throws NotFound in Docker's words */
export function findImage(images: Images, target: string, platform?: Platform): ImageRecord {
  return findTarget(images, target, platform).record;
}

/** For what needs a tree of files. @throws InvalidParameter when it is an artifact */
export function requireImage(record: ImageRecord, name: string): ImageRecord {
  if (!record.artifact) return record;
  throw new InvalidParameter(
    `${name} is an artifact (${record.artifact.type}) and no image: it can be pulled, tagged, saved and pushed only`,
  );
}

/** The image of a name for a platform, when it is here. A manifest's digest says what it is, under whatever name. */
export function knownImage(images: Images, reference: string, platform?: Platform): ImageRecord | undefined {
  const name = images.nameOf(fullName(reference));
  const { digest } = parseReference(reference);
  if (!name && digest) return images.list().find(({ manifest }) => manifest === digest);
  const target = name && images.target(name.target);
  if (!target || !platform) return name && images.get(name.id);
  return bestMatch(imagesOf(images, target), (image) => image.platform, platform);
}

/** What the names of an image stand for; its own manifest without any. */
export function targetOf(images: Images, record: ImageRecord): Target {
  return images.target(images.namesOf(record.id)[0]?.target ?? record.manifest)!;
}

/** The images of a target that are here. */
export function imagesOf(images: Images, target: Target): ImageRecord[] {
  return target.manifests.flatMap(({ image }) => (image && images.get(image)) ?? []);
}

function nameOf(images: Images, target: string): ImageName | undefined {
  if (/^(sha256:)?[0-9a-f]{64}$/.test(target)) return undefined;
  try {
    return images.nameOf(fullName(target));
  } catch (error) {
    // A prefix of an id need not be a reference.
    if (error instanceof InvalidParameter) return undefined;
    throw error;
  }
}

function byId(images: Images, target: string): ImageRecord | undefined {
  const hex = target.replace(/^sha256:/, "");
  if (/^[0-9a-f]{64}$/.test(hex)) {
    const digest: Digest = `sha256:${hex}`;
    const known = images.get(digest) ?? imagesNaming(images, digest);
    if (known) return known;
    throw new NotFound(`No such image: ${target}`);
  }
  if (!/^[0-9a-f]+$/.test(hex)) return undefined;
  const matches = images.byPrefix(hex);
  if (matches.length > 1) throw new InvalidParameter(`ambiguous image id prefix: ${target}`);
  return matches[0];
}

/** The image that stands for a manifest or an index. */
function imagesNaming(images: Images, digest: Digest): ImageRecord | undefined {
  const name = images.names().find(({ target }) => target === digest);
  const id = name?.id ?? images.target(digest)?.manifests.find(({ image }) => image)?.image;
  return id && images.get(id);
}

function withTag(target: string): string {
  try {
    return familiar(normalize(parseReference(target)));
  } catch {
    return target;
  }
}

/** The names of an image as people see them. */
export function namesOf(images: Images, id: Digest): { repoTags: string[]; repoDigests: string[] } {
  const names = images.namesOf(id).map(({ reference }) => familiarForm(reference));
  return {
    repoTags: names.filter((name) => !name.includes("@")).sort(),
    repoDigests: names.filter((name) => name.includes("@")).sort(),
  };
}
