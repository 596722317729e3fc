/** Compares what is on disk with what the records say should be, and mends it from where images came from. */
import { existsSync } from "node:fs";
import type { Digest } from "../lib/digest.ts";
import { GantryError, messageOf, NotFound } from "../lib/errors.ts";
import type { Descriptor } from "../lib/oci.ts";
import { parseManifest } from "../lib/oci-schema.ts";
import { familiarName, parseReference } from "../lib/reference.ts";
import { releasing } from "../lib/release.ts";
import type { Credentials, RepositoryClient } from "../registry/types.ts";
import type { ImageRecord } from "../store/types.ts";
import { type Need, namesReaching, needsOf, titlesOf } from "./check-needs.ts";
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
  const needs = needsOf(store.images);
  const report: CheckReport = { blobs: 0, bytes: 0, problems: [] };
  const blame = (kind: CheckProblem["kind"], what: string, titles: string[] = []) => {
    const problem = { kind, what, images: [...new Set(titles)], mended: false };
    report.problems.push(problem);
    return problem;
  };
  const mend = async (kind: CheckProblem["kind"], digest: Digest) => {
    const known = needs.get(digest) ?? [];
    const problem = blame(
      kind,
      digest,
      known.flatMap(({ titles }) => titles),
    );
    await mendBlob(context, problem, known, options);
  };
  for (const { digest, size } of [...store.content.list()]) {
    const sound = await store.verify(digest, options.signal);
    // Collected meanwhile; if somebody needs it, it is told below.
    if (!store.content.has(digest)) continue;
    report.blobs++;
    report.bytes += size;
    if (!sound) await mend("corrupt-blob", digest);
  }
  for (const digest of needs.keys()) if (!store.content.has(digest)) await mend("missing-blob", digest);
  for (const record of store.images.list()) {
    for (const { chainId } of record.layers) {
      if (store.snapshots.stat(chainId) && existsSync(store.snapshots.upperDir(chainId))) continue;
      const titles = titlesOf(record, namesReaching(store.images, record));
      await mendLayer(context, blame("missing-layer", chainId, titles), record, options);
    }
  }
  for (const { id } of containers) {
    if (store.snapshots.stat(snapshotKey(id))) continue;
    const problem: CheckProblem = blame("missing-container-layer", id);
    if (options.repair) problem.reason = "what the container has written is lost: remove it and run it again";
  }
  return report;
}

async function mendBlob(
  context: Context,
  problem: CheckProblem,
  needs: Need[],
  options: Options,
): Promise<void> {
  if (!options.repair) return;
  const digest = problem.what as Digest;
  if (needs.length === 0) {
    context.store.content.remove(digest);
    problem.mended = true;
    return;
  }
  problem.reason = "no registry is known that has it: build, load or pull the image again";
  for (const need of needs) {
    for (const repository of repositoriesOf(context, need, options)) {
      try {
        await fetchBlob(context, repository, need, digest, options.signal);
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

/** Those that what needs the blob was pulled from or pushed to. */
function repositoriesOf(context: Context, { names }: Need, { auth }: Options): RepositoryClient[] {
  const references = names.map((name) => parseReference(name)).filter(({ digest }) => digest !== undefined);
  const distinct = new Map(references.map((reference) => [familiarName(reference), reference]));
  return [...distinct.values()].map((reference) =>
    context.registry.repository(reference, auth[reference.domain]),
  );
}

async function fetchBlob(
  { store }: Context,
  repository: RepositoryClient,
  { listedIn }: Need,
  digest: Digest,
  signal: AbortSignal,
): Promise<void> {
  const descriptor = listedIn && (await descriptorOf(repository, listedIn, digest, signal));
  using lease = store.images.lease();
  lease.addBlob(digest);
  // The sound copy takes the broken one's place by rename: there is no moment without.
  const ingest = await store.content.ingest(`mend ${digest}`);
  try {
    if (descriptor) {
      for await (const chunk of releasing(await repository.blob(descriptor, 0, signal)))
        await ingest.write(chunk);
    } else await ingest.write((await repository.manifest(digest, signal)).bytes);
    await ingest.commit({ digest });
  } finally {
    await ingest.close();
  }
}

/** From the registry's manifest: the one here may be what is broken. @throws NotFound */
async function descriptorOf(
  repository: RepositoryClient,
  manifest: Digest,
  digest: Digest,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { config, layers } = parseManifest((await repository.manifest(manifest, signal)).bytes);
  const found = [config, ...layers].find((descriptor) => descriptor.digest === digest);
  if (!found) throw new NotFound(`${digest} is not part of ${manifest}`);
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
