/** Where a cache is read from: a registry, an image of the store, a directory of the client's. */
import { type Digest, digestOf } from "../../lib/digest.ts";
import { InvalidParameter, NotFound, TooLarge } from "../../lib/errors.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { parseReference } from "../../lib/reference.ts";
import type { ContentStore, Lease } from "../../store/types.ts";
import { openRepository } from "../export/push.ts";
import type { BlobDirectory, BuildBackend, BuildRequest } from "../types.ts";
import { type CacheSource, cacheDirectory } from "./options.ts";

/** Of a manifest or its config; no more is read into memory. */
const maxDocument = 8 << 20;

interface Document {
  descriptor: Descriptor;
  bytes: Uint8Array;
}

export interface CachePlace {
  /** The manifest or index that the source names. */
  top(signal: AbortSignal): Promise<Document>;
  /** One that an index names; undefined: it is not there. */
  manifest(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** A document, checked against its digest. */
  read(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array>;
  /** Brings a blob into the store, checked against its digest. */
  fetch(descriptor: Descriptor, lease: Lease, signal: AbortSignal): Promise<void>;
}

/** @throws InvalidParameter, what `credentials` throws */
export async function openPlace(
  backend: BuildBackend,
  source: CacheSource,
  { credentials, blobDirectory }: Pick<BuildRequest, "credentials" | "blobDirectory">,
  signal: AbortSignal,
): Promise<CachePlace> {
  const { content, images } = backend.store;
  if ("directory" in source) {
    const directory = blobDirectory?.(cacheDirectory(source.directory));
    if (!directory)
      throw new InvalidParameter(
        `the client has no session in which it gives a cache from ${source.directory}`,
      );
    return directoryPlace(directory, source.digest, content);
  }
  const { ref } = source;
  const local = images.nameOf(ref);
  if (local) return storePlace(images.target(local.target)!.descriptor, content);
  const repository = await openRepository(backend, ref, { credentials, signal });
  const { digest, tag } = parseReference(ref);
  return {
    top: (signal) => repository.manifest(digest ?? tag ?? "latest", signal),
    manifest: async (one, signal) => (await repository.manifest(one.digest, signal)).bytes,
    ...streamed(content, (blob, signal) => repository.blob(blob, 0, signal)),
  };
}

function storePlace(descriptor: Descriptor, content: ContentStore): CachePlace {
  const bytes = ({ digest }: Descriptor) => content.bytes(digest, maxDocument);
  return {
    top: async () => ({ descriptor, bytes: await bytes(descriptor) }),
    manifest: async (one) => (content.has(one.digest) ? bytes(one) : undefined),
    read: bytes,
    fetch: async ({ digest }, lease) => lease.addBlob(digest),
  };
}

function directoryPlace(directory: BlobDirectory, digest: Digest, content: ContentStore): CachePlace {
  const blobs = streamed(content, async ({ digest }, signal) => directory.read(digest, signal));
  return {
    async top(signal) {
      const size = await directory.size(digest, signal);
      if (size === undefined) throw new NotFound(`no blob ${digest}`);
      const bytes = await blobs.read({ mediaType: mediaTypes.ociManifest, digest, size }, signal);
      // A directory knows no types; the document says its own.
      const { mediaType = mediaTypes.ociManifest } = JSON.parse(Buffer.from(bytes).toString("utf8")) as {
        mediaType?: string;
      };
      return { descriptor: { mediaType, digest, size }, bytes };
    },
    manifest: (one, signal) => blobs.read(one, signal),
    ...blobs,
  };
}

/** What comes as a stream from elsewhere. */
function streamed(
  content: ContentStore,
  open: (blob: Descriptor, signal: AbortSignal) => Promise<AsyncIterable<unknown>>,
): Pick<CachePlace, "read" | "fetch"> {
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
