/** Brings what a build has made to a registry: blobs first, then what names them. */
import { defaultTag, parseReference } from "../../lib/reference.ts";
import type { RepositoryClient } from "../../registry/types.ts";
import { isIndex } from "../../store/index.ts";
import type { Store } from "../../store/types.ts";
import type { BuildBackend, BuildRequest } from "../types.ts";
import { type Bundle, blobsOf, documentsOf } from "./bundle.ts";

/** Layers that go up at once, Docker's default. */
const parallelUploads = 5;

export interface PushOptions {
  credentials: BuildRequest["credentials"];
  onProgress(name: string, current: number, total: number): void;
  signal: AbortSignal;
}

/** A repository, logged in as the client of the build is. @throws InvalidParameter, what `credentials` throws */
export async function openRepository(
  backend: Pick<BuildBackend, "registry">,
  name: string,
  { credentials, signal }: Pick<PushOptions, "credentials" | "signal">,
): Promise<RepositoryClient> {
  const reference = parseReference(name);
  return backend.registry.repository(reference, await credentials?.(reference.domain, signal));
}

/**
 * @param names normalized references, each of which is written; with `byDigest` only their repositories count
 * @throws Unauthorized, Forbidden, Unavailable
 */
export async function pushBundle(
  backend: Pick<BuildBackend, "registry" | "store">,
  bundle: Bundle,
  { names, byDigest }: { names: string[]; byDigest: boolean },
  options: PushOptions,
): Promise<void> {
  const { content } = backend.store;
  const { descriptor } = bundle;
  for (const name of names) {
    const repository = await openRepository(backend, name, options);
    for (const document of documentsOf(bundle)) {
      if (!isIndex(document.mediaType)) await pushBlobs(backend.store, repository, document, options);
      if (document.digest === descriptor.digest) continue;
      const bytes = await content.bytes(document.digest);
      await repository.pushManifest(document.digest, bytes, document.mediaType, options.signal);
    }
    const bytes = await content.bytes(descriptor.digest);
    const reference = byDigest ? descriptor.digest : (parseReference(name).tag ?? defaultTag);
    await repository.pushManifest(reference, bytes, descriptor.mediaType, options.signal);
  }
}

async function pushBlobs(
  store: Store,
  repository: RepositoryClient,
  manifest: Bundle["descriptor"],
  { onProgress, signal }: PushOptions,
): Promise<void> {
  const waiting = await blobsOf(store, manifest);
  const upload = async () => {
    for (let blob = waiting.shift(); blob; blob = waiting.shift()) {
      const { digest, size } = blob;
      const progress = (bytes: number) => onProgress(digest, bytes, size);
      await repository.pushBlob(blob, () => store.content.open(digest), { onProgress: progress, signal });
    }
  };
  await Promise.all(Array.from({ length: parallelUploads }, upload));
}
