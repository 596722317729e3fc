/** Blobs that come as streams from elsewhere: checked against their digests on their way into the store. */
import { type Digest, digestOf } from "../../lib/digest.ts";
import { InvalidParameter, NotFound, TooLarge } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import type { ContentStore, Lease } from "../../store/types.ts";
import type { BlobDirectory } from "../types.ts";

/** Of a manifest or a config; no more is read into memory. */
export const maxDocument = 8 << 20;

export interface ForeignBlobs {
  /** A document. @throws TooLarge, InvalidParameter when it came with other bytes */
  read(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array>;
  /** Brings a blob into the store. @throws InvalidParameter when it came with other bytes */
  fetch(descriptor: Descriptor, lease: Lease, signal: AbortSignal): Promise<void>;
}

export function foreignBlobs(
  content: ContentStore,
  open: (blob: Descriptor, signal: AbortSignal) => Promise<AsyncIterable<unknown>>,
): ForeignBlobs {
  return {
    async fetch(blob, lease, signal) {
      lease.addBlob(blob.digest);
      if (content.has(blob.digest)) return;
      const ingest = await content.ingest(blob.digest);
      try {
        if (content.has(blob.digest)) return;
        let size = 0;
        for await (const chunk of await open(blob, signal)) {
          size += (chunk as Uint8Array).length;
          if (size > blob.size)
            throw new InvalidParameter(`${blob.digest} is longer than its descriptor says`);
          await ingest.write(chunk as Uint8Array);
        }
        await ingest.commit({ digest: blob.digest, size: blob.size });
      } finally {
        await ingest.close();
      }
    },

    async read(descriptor, signal) {
      const { digest, size } = descriptor;
      if (size > maxDocument) throw new TooLarge(`the document ${digest} has ${size} bytes`);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of await open(descriptor, signal)) {
        length += (chunk as Uint8Array).length;
        if (length > size) break;
        chunks.push(chunk as Uint8Array);
      }
      const bytes = Buffer.concat(chunks);
      if (digestOf(bytes) !== digest)
        throw new InvalidParameter(`the document ${digest} came with other bytes`);
      return bytes;
    },
  };
}

export function directoryBlobs(
  directory: BlobDirectory,
  content: ContentStore,
): ForeignBlobs & {
  /** A manifest or index that is known by its digest alone. @throws NotFound */
  document(digest: Digest, signal: AbortSignal): Promise<{ descriptor: Descriptor; bytes: Uint8Array }>;
} {
  const blobs = foreignBlobs(content, async ({ digest }, signal) => directory.read(digest, signal));
  return {
    ...blobs,
    async document(digest, signal) {
      const size = await directory.size(digest, signal);
      if (size === undefined) throw new NotFound(`no blob ${digest}`);
      const bytes = await blobs.read({ mediaType: mediaTypes.ociManifest, digest, size }, signal);
      // A directory knows no types; the document says its own.
      const { mediaType = mediaTypes.ociManifest } = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
        mediaType?: string;
      };
      return { descriptor: { mediaType, digest, size }, bytes };
    },
  };
}
