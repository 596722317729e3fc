/** What is stated about a build's result, whatever it is stated about. */
import type { Digest } from "../../lib/digest.ts";
import { newId } from "../../lib/ids.ts";
import type { BuiltPlatform, ExportParts } from "../export/index.ts";
import { provenance } from "./provenance.ts";
import { scanPackages } from "./scan.ts";
import { spdx } from "./spdx.ts";
import type { AttestationOptions, Predicate } from "./types.ts";

/** @returns the provenance first; `digest` is of what they are about */
export async function predicatesOf(
  { request, startedAt, now, signal }: ExportParts,
  built: BuiltPlatform,
  { digest, epoch }: { digest: Digest; epoch: number | undefined },
  wanted: AttestationOptions,
): Promise<Predicate[]> {
  const iso = (ms: number) => new Date(ms).toISOString();
  // With an epoch the same build gives the same digest: nothing may hang on when and where it ran.
  const run =
    epoch === undefined ? { id: newId(), startedOn: iso(startedAt), finishedOn: iso(now()) } : undefined;
  const predicates = wanted.provenance ? [provenance(request, built.origin(), wanted.provenance, run)] : [];
  if (wanted.sbom) {
    const packages = await scanPackages(built.open(), signal);
    predicates.push(spdx(packages, digest, iso(epoch === undefined ? now() : epoch * 1000)));
  }
  return predicates;
}
