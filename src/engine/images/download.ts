/** Blobs from a registry into the store: resumed, retried, a few at a time. */
import { once } from "node:events";
import { GantryError, InvalidParameter, NoSpace } from "../../lib/errors.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import { releasing } from "../../lib/release.ts";
import type { RepositoryClient } from "../../registry/types.ts";
import type { Lease } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { OnProgress } from "../types.ts";

/** Tries of a connection that breaks. */
const attempts = 5;
/** Tries of a registry that sends wrong bytes: the first may have been spoilt on the way, or by what was kept. */
const corruptAttempts = 2;
/** Between two progress messages of one layer (milliseconds). */
const progressInterval = 100;

/** One pull on its way. */
export interface Transfer {
  context: Context;
  repository: RepositoryClient;
  lease: Lease;
  signal: AbortSignal;
  onProgress: OnProgress;
}

/** Brings one blob into the store, going on where a broken connection left off. */
export async function download(
  context: Context,
  repository: RepositoryClient,
  blob: Descriptor,
  lease: Lease,
  signal: AbortSignal,
  onBytes: (current: number) => void = () => {},
): Promise<void> {
  const { content } = context.store;
  lease.addBlob(blob.digest);
  for (let attempt = 1; !content.has(blob.digest); attempt++) {
    const ingest = await content.ingest(blob.digest, { resume: true });
    try {
      if (content.has(blob.digest)) return;
      let current = ingest.offset;
      if (current < blob.size) {
        for await (const chunk of releasing(await repository.blob(blob, current, signal))) {
          await ingest.write(chunk);
          current += chunk.length;
          onBytes(current);
        }
      }
      await ingest.commit({ digest: blob.digest, size: blob.size });
    } catch (error) {
      await ingest.close({ keep: !(error instanceof InvalidParameter || error instanceof NoSpace) });
      signal.throwIfAborted();
      if (attempt >= attemptsFor(error)) throw error;
      await Promise.race([Bun.sleep(200 * 2 ** attempt), once(signal, "abort")]);
    } finally {
      // Another pull may have brought the blob in the meantime.
      await ingest.close();
    }
  }
}

/** What the registry says clearly is not asked again; broken connections and corrupt bytes are. */
function attemptsFor(error: unknown): number {
  if (error instanceof InvalidParameter) return corruptAttempts;
  return error instanceof GantryError && error.kind !== "unavailable" ? 1 : attempts;
}

export function throttle(report: (value: number) => void): (value: number) => void {
  let last = 0;
  return (value) => {
    const now = performance.now();
    if (now - last < progressInterval) return;
    last = now;
    report(value);
  };
}

/** The bytes of a manifest or an index. */
export async function keep(
  { context, lease }: Transfer,
  descriptor: Descriptor,
  bytes: Uint8Array,
): Promise<void> {
  lease.addBlob(descriptor.digest);
  if (!context.store.content.has(descriptor.digest)) await context.store.content.put(bytes);
}

/** A manifest and its blobs, as they are. */
export async function fetchContent(transfer: Transfer, descriptor: Descriptor): Promise<void> {
  const { context, repository, lease, signal } = transfer;
  const { bytes } = await repository.manifest(descriptor.digest, signal);
  const { config, layers } = parseManifest(bytes);
  for (const blob of [config, ...layers]) await download(context, repository, blob, lease, signal);
  await keep(transfer, descriptor, bytes);
}
