/** What is stated about the images of a build, each in a manifest beside it. */
import { newId } from "../../lib/ids.ts";
import type { Descriptor } from "../../lib/oci.ts";
import type { WrittenImage } from "../export/image.ts";
import type { BuiltPlatform, ExportParts } from "../export/index.ts";
import type { ImageOutput } from "../export/types.ts";
import { attach } from "./attach.ts";
import { provenance } from "./provenance.ts";
import { scanPackages } from "./scan.ts";
import { spdx } from "./spdx.ts";
import type { AttestationOptions, Predicate } from "./types.ts";

/** An image's statements. */
export interface Attested {
  manifest: Descriptor;
  /** The provenance among them. */
  provenance?: Predicate;
}

/** What an output's images are to have. */
export function attestationsFor(
  { attestations = {} }: ExportParts["request"],
  output: ImageOutput,
): AttestationOptions {
  const { provenance, sbom } = attestations;
  const leaves = output.type !== "image" || output.push;
  return { provenance: provenance?.inlineOnly && !leaves ? undefined : provenance, sbom };
}

/** @returns undefined when nothing is to be stated */
export async function attest(
  { backend, request, lease, startedAt, now, signal }: ExportParts,
  built: BuiltPlatform,
  image: WrittenImage,
  { names, epoch }: { names: string[]; epoch: number | undefined },
  wanted: AttestationOptions,
): Promise<Attested | undefined> {
  if (!wanted.provenance && !wanted.sbom) return undefined;
  const iso = (ms: number) => new Date(ms).toISOString();
  // With an epoch the same build gives the same digest: nothing may hang on when and where it ran.
  const run =
    epoch === undefined ? { id: newId(), startedOn: iso(startedAt), finishedOn: iso(now()) } : undefined;
  const stated = wanted.provenance && provenance(request, built.origin(), wanted.provenance, run);
  const predicates = stated ? [stated] : [];
  if (wanted.sbom) {
    const packages = await scanPackages(built.open(), signal);
    predicates.push(spdx(packages, image.manifest.digest, iso(epoch === undefined ? now() : epoch * 1000)));
  }
  const manifest = await attach({ store: backend.store, lease }, image, predicates, names);
  return { manifest, provenance: stated };
}
