/** An image as an OCI layout in a tar archive, with Docker's manifest.json beside, so that both kinds of reader take it. */
import { Readable } from "node:stream";
import { type Digest, hexOf } from "../../lib/digest.ts";
import { type Descriptor, mediaTypes } from "../../lib/oci.ts";
import { familiar, parseReference } from "../../lib/reference.ts";
import { endOfArchive, formatHeader, fromText, paddingOf, plainEntry } from "../../lib/tar/index.ts";
import { isIndex } from "../../store/index.ts";
import type { Store } from "../../store/types.ts";
import { type Bundle, blobsOf, documentsOf } from "./bundle.ts";
import type { OutputFiles } from "./types.ts";

/** The same image gives the same bytes: names in order, no times. @param names normalized references */
export function imageArchive(store: Store, bundle: Bundle, names: string[]): Readable {
  return Readable.from(entries(store, bundle, names), { objectMode: false });
}

/** The image's blobs, for clients that keep them in a layout of their own. */
export async function imageLayout(store: Store, bundle: Bundle): Promise<OutputFiles["layout"]> {
  const blobs: Descriptor[] = [];
  for (const document of documentsOf(bundle)) {
    if (!isIndex(document.mediaType)) blobs.push(...(await blobsOf(store, document)));
    blobs.push(document);
  }
  return { blobs, open: (digest) => store.content.open(digest) };
}

async function* entries(store: Store, bundle: Bundle, names: string[]): AsyncGenerator<Uint8Array> {
  yield* file("oci-layout", Buffer.from(JSON.stringify({ imageLayoutVersion: "1.0.0" })));
  for (const blob of await allBlobs(store, bundle)) {
    const size = store.content.size(blob);
    yield header(`blobs/sha256/${hexOf(blob)}`, size);
    for await (const chunk of store.content.open(blob)) yield chunk as Uint8Array;
    yield new Uint8Array(paddingOf(size));
  }
  const { descriptor } = bundle;
  const manifests = names.length === 0 ? [descriptor] : names.map((name) => named(descriptor, name));
  const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests };
  yield* file("index.json", Buffer.from(JSON.stringify(index)));
  // Docker's own list speaks of one image; that of an index is the one that stands for it.
  const shown = bundle.images.find(({ config }) => config.digest === bundle.configDigest)!;
  const legacy = {
    Config: `blobs/sha256/${hexOf(shown.config.digest)}`,
    RepoTags: names.length > 0 ? names.map((name) => familiar(parseReference(name))) : null,
    Layers: shown.layers.map(({ descriptor }) => `blobs/sha256/${hexOf(descriptor.digest)}`),
  };
  yield* file("manifest.json", Buffer.from(JSON.stringify([legacy])));
  yield endOfArchive;
}

async function allBlobs(store: Store, bundle: Bundle): Promise<Digest[]> {
  const digests = new Set<Digest>();
  for (const document of documentsOf(bundle)) {
    digests.add(document.digest);
    if (isIndex(document.mediaType)) continue;
    for (const { digest } of await blobsOf(store, document)) digests.add(digest);
  }
  return [...digests].sort();
}

function header(name: string, size: number): Uint8Array {
  return formatHeader(plainEntry({ path: fromText(name), size }));
}

function* file(name: string, bytes: Uint8Array): Generator<Uint8Array> {
  yield header(name, bytes.length);
  yield bytes;
  yield new Uint8Array(paddingOf(bytes.length));
}

/** The annotations by which containerd and OCI tools know a name. */
function named(descriptor: Descriptor, name: string): Descriptor {
  return {
    ...descriptor,
    annotations: {
      ...descriptor.annotations,
      "io.containerd.image.name": name,
      "org.opencontainers.image.ref.name": name.slice(name.lastIndexOf(":") + 1),
    },
  };
}
