/** What is stated about the images of a build, each in a manifest beside it. */
import type { Descriptor } from "../../lib/oci.ts";
import type { WrittenImage } from "../export/image.ts";
import type { BuiltPlatform, ExportParts } from "../export/index.ts";
import type { ImageOutput } from "../export/types.ts";
import { attach } from "./attach.ts";
import { predicatesOf } from "./predicates.ts";
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
  parts: ExportParts,
  built: BuiltPlatform,
  image: WrittenImage,
  { names, epoch }: { names: string[]; epoch: number | undefined },
  wanted: AttestationOptions,
): Promise<Attested | undefined> {
  if (!wanted.provenance && !wanted.sbom) return undefined;
  const about = { digest: image.manifest.digest, epoch };
  const predicates = await predicatesOf(parts, built, about, wanted);
  const manifest = await attach({ store: parts.backend.store, lease: parts.lease }, image, predicates, names);
  return { manifest, provenance: wanted.provenance && predicates[0] };
}
