/** What refers to an image and comes along with it: signatures, bills of material and other artifacts. */
import type { Digest } from "../../lib/digest.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import { isManifest } from "../../store/index.ts";
import type { TargetManifest } from "../../store/types.ts";
import { download, keep, type Transfer } from "./download.ts";

/** Of one pull: nobody asked for them by name, so that they may not be the larger part of it. */
const maxReferrers = 100;
const maxBytes = 64 << 20;
/** For a registry's list of them. */
const listTimeoutMs = 10_000;

/**
 * Brings what refers to the subjects, and what refers to that. A pull does not fail for it: what can't be had is told.
 * @throws Cancelled
 */
export async function fetchReferrers(transfer: Transfer, subjects: Digest[]): Promise<TargetManifest[]> {
  const found: TargetManifest[] = [];
  const tell = (what: string) => transfer.onProgress({ status: `Referrers left out: ${what}` });
  let bytes = 0;
  let over = 0;
  try {
    for (const queue = [...subjects]; queue.length > 0; ) {
      const subject = queue.shift()!;
      const timed = AbortSignal.any([transfer.signal, AbortSignal.timeout(listTimeoutMs)]);
      for (const descriptor of await transfer.repository.referrers(subject, timed)) {
        if (!isManifest(descriptor.mediaType) || found.some((known) => sameDigest(known, descriptor)))
          continue;
        const document = await manifestOf(transfer, descriptor);
        const { config, layers, subject: about, artifactType } = parseManifest(document);
        // The list only says what it says.
        if (about?.digest !== subject) continue;
        const blobs = [config, ...layers];
        const size = blobs.reduce((sum, blob) => sum + blob.size, 0);
        if (found.length === maxReferrers || bytes + size > maxBytes) {
          over++;
          continue;
        }
        bytes += size;
        for (const blob of blobs)
          await download(transfer.context, transfer.repository, blob, transfer.lease, transfer.signal);
        await keep(transfer, descriptor, document);
        const { mediaType, digest } = descriptor;
        found.push({
          descriptor: { mediaType, digest, size: document.length, ...(artifactType && { artifactType }) },
          kind: "unknown",
          blobs: [...new Set(blobs.map((blob) => blob.digest))],
          subject,
        });
        queue.push(digest);
      }
    }
  } catch (error) {
    transfer.signal.throwIfAborted();
    tell(messageOf(error));
  }
  if (over > 0) tell(`${over}, beyond ${maxReferrers} of them or ${maxBytes >> 20} MiB`);
  return found;
}

const sameDigest = (known: TargetManifest, { digest }: Descriptor) => known.descriptor.digest === digest;

async function manifestOf(
  { context, repository, signal }: Transfer,
  { digest }: Descriptor,
): Promise<Uint8Array> {
  const { content } = context.store;
  return content.has(digest)
    ? await content.bytes(digest)
    : (await repository.manifest(digest, signal)).bytes;
}
