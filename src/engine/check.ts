/** Compares what is on disk with what the records say should be, and mends it from where images came from. */
import { existsSync } from "node:fs";
import type { Digest } from "../lib/digest.ts";
import { GantryError, messageOf, NotFound } from "../lib/errors.ts";
import { shortId } from "../lib/ids.ts";
import type { Descriptor } from "../lib/oci.ts";
import { parseManifest } from "../lib/oci-schema.ts";
import { familiar, parseReference } from "../lib/reference.ts";
import type { Credentials, RepositoryClient } from "../registry/types.ts";
import type { ImageRecord, Store } from "../store/types.ts";
import { type Context, snapshotKey } from "./context.ts";
import type { CheckProblem, CheckReport, ContainerRecord } from "./types.ts";

interface Options {
  repair: boolean;
  auth: Record<string, Credentials>;
  signal: AbortSignal;
}

/** As `Engine.check`. */
export async function checkStore(
  context: Context,
  containers: ContainerRecord[],
  options: Options,
): Promise<CheckReport> {
  const { store } = context;
  const users = usersOf(store);
  const report: CheckReport = { blobs: 0, bytes: 0, problems: [] };
  const blame = (kind: CheckProblem["kind"], what: string, records: Iterable<ImageRecord> = []) => {
    const problem = {
      kind,
      what,
      images: [...records].flatMap((record) => titles(store, record)),
      mended: false,
    };
    report.problems.push(problem);
    return problem;
  };
  for (const { digest, size } of [...store.content.list()]) {
    const sound = await store.verify(digest, options.signal);
    // Collected meanwhile; if somebody needs it, it is told below.
    if (!store.content.has(digest)) continue;
    report.blobs++;
    report.bytes += size;
    if (!sound) await mendBlob(context, blame("corrupt-blob", digest, users.get(digest)), users, options);
  }
  for (const digest of users.keys()) {
    if (store.content.has(digest)) continue;
    await mendBlob(context, blame("missing-blob", digest, users.get(digest)), users, options);
  }
  for (const record of store.images.list()) {
    for (const { chainId } of record.layers) {
      if (store.snapshots.stat(chainId) && existsSync(store.snapshots.upperDir(chainId))) continue;
      await mendLayer(context, blame("missing-layer", chainId, [record]), record, options);
    }
  }
  for (const { id } of containers) {
    if (store.snapshots.stat(snapshotKey(id))) continue;
    const problem: CheckProblem = blame("missing-container-layer", id);
    if (options.repair) problem.reason = "what the container has written is lost: remove it and run it again";
  }
  return report;
}

/** Which images need a blob: its manifest first, then config and layers. */
function usersOf(store: Store): Map<Digest, Set<ImageRecord>> {
  const users = new Map<Digest, Set<ImageRecord>>();
  const add = (digest: Digest, record: ImageRecord) => {
    const found = users.get(digest);
    if (found) found.add(record);
    else users.set(digest, new Set([record]));
  };
  for (const record of store.images.list()) {
    add(record.manifest, record);
    add(record.id, record);
    for (const { descriptor } of record.layers) add(descriptor.digest, record);
  }
  return users;
}

function titles(store: Store, record: ImageRecord): string[] {
  const tags = namesOf(store, record).filter((name) => !parseReference(name).digest);
  return tags.length > 0 ? tags.map((name) => familiar(parseReference(name))) : [shortId(record.id)];
}

const namesOf = (store: Store, record: ImageRecord): string[] =>
  store.images
    .names()
    .filter(({ id }) => id === record.id)
    .map(({ reference }) => reference);

async function mendBlob(
  context: Context,
  problem: CheckProblem,
  users: Map<Digest, Set<ImageRecord>>,
  options: Options,
): Promise<void> {
  if (!options.repair) return;
  const { store } = context;
  const digest = problem.what as Digest;
  const records = users.get(digest);
  if (!records) {
    store.content.remove(digest);
    problem.mended = true;
    return;
  }
  problem.reason = "no registry is known that has it: build, load or pull the image again";
  for (const record of records) {
    for (const repository of repositoriesOf(context, record, options)) {
      try {
        await fetchBlob(context, repository, record, digest, options.signal);
        problem.mended = true;
        delete problem.reason;
        return;
      } catch (error) {
        if (!(error instanceof GantryError) || options.signal.aborted) throw error;
        problem.reason = messageOf(error);
      }
    }
  }
}

/** Those that an image was pulled from or pushed to. */
function repositoriesOf(context: Context, record: ImageRecord, { auth }: Options): RepositoryClient[] {
  return namesOf(context.store, record)
    .map((name) => parseReference(name))
    .filter(({ digest }) => digest !== undefined)
    .map((reference) => context.registry.repository(reference, auth[reference.domain]));
}

async function fetchBlob(
  { store }: Context,
  repository: RepositoryClient,
  record: ImageRecord,
  digest: Digest,
  signal: AbortSignal,
): Promise<void> {
  const manifest = digest === record.manifest;
  const descriptor = manifest ? undefined : await descriptorOf(repository, record, digest, signal);
  using lease = store.images.lease();
  lease.addBlob(digest);
  // The sound copy takes the broken one's place by rename: there is no moment without.
  const ingest = await store.content.ingest(`mend ${digest}`);
  try {
    if (descriptor) {
      for await (const chunk of await repository.blob(descriptor, 0, signal))
        await ingest.write(chunk as Uint8Array);
    } else await ingest.write((await repository.manifest(digest, signal)).bytes);
    await ingest.commit({ digest });
  } finally {
    await ingest.close();
  }
}

/** From the registry's manifest: the one here may be what is broken. @throws NotFound */
async function descriptorOf(
  repository: RepositoryClient,
  record: ImageRecord,
  digest: Digest,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { config, layers } = parseManifest((await repository.manifest(record.manifest, signal)).bytes);
  const found = [config, ...layers].find((descriptor) => descriptor.digest === digest);
  if (!found) throw new NotFound(`${digest} is not part of ${record.manifest}`);
  return found;
}

async function mendLayer(
  { store }: Context,
  problem: CheckProblem,
  record: ImageRecord,
  { repair, signal }: Options,
): Promise<void> {
  if (!repair) return;
  if (store.snapshots.stat(problem.what)) {
    problem.reason = "its directory is gone: start the daemon anew, it then unpacks the layer again";
    return;
  }
  try {
    const { manifest, manifestMediaType } = record;
    const size = store.content.size(manifest);
    await store.images.register({ mediaType: manifestMediaType, digest: manifest, size }, { signal });
    problem.mended = true;
  } catch (error) {
    if (!(error instanceof GantryError) || signal.aborted) throw error;
    problem.reason = messageOf(error);
  }
}
