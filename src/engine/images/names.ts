import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import {
  familiar,
  familiarName,
  formatReference,
  normalize,
  parseReference,
  type Reference,
} from "../../lib/reference.ts";
import type { ImageRecord, Images } from "../../store/types.ts";

/** `busybox` -> `docker.io/library/busybox:latest`. A digest wins over a tag beside it. @throws InvalidParameter */
export function fullName(text: string): string {
  const reference = normalize(parseReference(text));
  return formatReference(reference.digest ? { ...reference, tag: undefined } : reference);
}

/** `name@digest` of a repository. */
export function digestName({ domain, path }: Reference, digest: Digest): string {
  return formatReference({ domain, path, digest });
}

/** By reference, full id, or unique prefix of an id. @throws NotFound in Docker's words */
export function findImage(images: Images, target: string): ImageRecord {
  const hex = target.replace(/^sha256:/, "");
  if (/^[0-9a-f]{64}$/.test(hex)) {
    const exact = images.get(`sha256:${hex}`);
    if (exact) return exact;
    throw new NotFound(`No such image: ${target}`);
  }
  const named = byReference(images, target);
  if (named) return named;
  if (/^[0-9a-f]+$/.test(hex)) {
    const matches = images.byPrefix(hex);
    if (matches.length === 1) return matches[0]!;
    if (matches.length > 1) throw new InvalidParameter(`ambiguous image id prefix: ${target}`);
  }
  throw new NotFound(`No such image: ${withTag(target)}`);
}

function byReference(images: Images, target: string): ImageRecord | undefined {
  try {
    return images.byName(fullName(target));
  } catch (error) {
    // A prefix of an id need not be a reference.
    if (error instanceof InvalidParameter) return undefined;
    throw error;
  }
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
  const references = images
    .names()
    .filter((name) => name.id === id)
    .map((name) => parseReference(name.reference));
  return {
    repoTags: references
      .filter((reference) => !reference.digest)
      .map(familiar)
      .sort(),
    repoDigests: references
      .filter((reference) => reference.digest)
      .map((reference) => `${familiarName(reference)}@${reference.digest}`)
      .sort(),
  };
}
