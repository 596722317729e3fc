/** Statements about an image as a manifest beside it (BuildKit, docs/attestations/attestation-storage.md). */
import { hexOf } from "../../lib/digest.ts";
import { type Descriptor, type Manifest, mediaTypes } from "../../lib/oci.ts";
import type { Lease, Store } from "../../store/types.ts";
import { putDocument, type WrittenImage } from "../export/image.ts";
import { imageUri } from "./provenance.ts";
import type { Predicate } from "./types.ts";

const inToto = "application/vnd.in-toto+json";

/** in-toto's form of what is stated about something. */
export function statement({ type, body }: Predicate, subject: object[]): object {
  return { _type: "https://in-toto.io/Statement/v0.1", predicateType: type, subject, predicate: body };
}

/** @param names of the image, normalized; @returns the manifest's entry in the index */
export async function attach(
  parts: { store: Store; lease: Lease },
  image: WrittenImage,
  predicates: readonly Predicate[],
  names: readonly string[],
): Promise<Descriptor> {
  const { digest } = image.manifest;
  const subjectDigest = { sha256: hexOf(digest) };
  const subject =
    names.length === 0
      ? [{ name: "_", digest: subjectDigest }]
      : names.map((name) => ({ name: imageUri(name, image), digest: subjectDigest }));
  const layers: Descriptor[] = [];
  for (const predicate of predicates) {
    const descriptor = await putDocument(parts, inToto, statement(predicate, subject));
    layers.push({ ...descriptor, annotations: { "in-toto.io/predicate-type": predicate.type } });
  }
  const config = await putDocument(parts, mediaTypes.ociConfig, {
    architecture: "unknown",
    os: "unknown",
    config: {},
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.digest) },
  });
  const manifest = await putDocument(parts, mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers,
  } satisfies Manifest);
  return {
    ...manifest,
    platform: { architecture: "unknown", os: "unknown" },
    annotations: {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": digest,
    },
  };
}
