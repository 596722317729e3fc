/** Where a cache is read from: a registry, an image of the store, a directory of the client's. */
import type { Digest } from "../../lib/digest.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { parseReference } from "../../lib/reference.ts";
import type { ContentStore } from "../../store/types.ts";
import { openRepository } from "../export/push.ts";
import { directoryBlobs, type ForeignBlobs, foreignBlobs, maxDocument } from "../files/blobs.ts";
import type { BlobDirectory, BuildBackend, BuildRequest } from "../types.ts";
import { type CacheSource, cacheDirectory } from "./options.ts";

interface Document {
  descriptor: Descriptor;
  bytes: Uint8Array;
}

export interface CachePlace extends ForeignBlobs {
  /** The manifest or index that the source names. */
  top(signal: AbortSignal): Promise<Document>;
  /** One that an index names; undefined: it is not there. */
  manifest(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array | undefined>;
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
    ...foreignBlobs(content, (blob, signal) => repository.blob(blob, 0, signal)),
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
  const blobs = directoryBlobs(directory, content);
  return {
    ...blobs,
    top: (signal) => blobs.document(digest, signal),
    manifest: (one, signal) => blobs.read(one, signal),
  };
}
