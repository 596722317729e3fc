/**
 * Signatures as cosign keeps them beside an image (sigstore/cosign, "specs/SIGNATURE_SPEC.md"): an artifact under the
 * tag `sha256-<hex>.sig`, each of its layers a payload with the signature in an annotation.
 */
import { type KeyObject, verify } from "node:crypto";
import * as v from "valibot";
import { type Digest, digestOf, hexOf } from "../../lib/digest.ts";
import { NotFound } from "../../lib/errors.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import type { RepositoryClient } from "../../registry/types.ts";

const signatureAnnotation = "dev.cosignproject.cosign/signature";
const payloadType = "application/vnd.dev.cosign.simplesigning.v1+json";
/** A payload has some hundred bytes. */
const maxPayload = 64 << 10;
/** Signatures that are looked at; whoever may push can add any number. */
const maxSignatures = 50;

const payloadSchema = v.object({
  critical: v.object({
    type: v.literal("cosign container image signature"),
    image: v.object({ "docker-manifest-digest": v.string() }),
  }),
});

export type Verdict = "signed" | "unsigned" | "wrong";

/**
 * Whether a manifest is signed with the private half of `key`.
 * @returns `unsigned` when there is no signature, `wrong` when none of them is by this key and of this manifest
 * @throws what the registry's answers mean, except for a tag that isn't there
 */
export async function verifySignature(
  repository: RepositoryClient,
  digest: Digest,
  key: KeyObject,
  signal?: AbortSignal,
): Promise<Verdict> {
  const bytes = await signatureManifest(repository, digest, signal);
  if (!bytes) return "unsigned";
  const { layers } = parseManifest(bytes);
  for (const layer of layers.slice(0, maxSignatures)) {
    const signature = layer.annotations?.[signatureAnnotation];
    if (!signature || layer.mediaType !== payloadType || layer.size > maxPayload) continue;
    const chunks: Uint8Array[] = [];
    for await (const chunk of await repository.blob(layer, 0, signal)) chunks.push(chunk as Uint8Array);
    const payload = Buffer.concat(chunks);
    if (digestOf(payload) === layer.digest && isSignedBy(payload, Buffer.from(signature, "base64"), key))
      if (digestIn(payload) === digest) return "signed";
  }
  return "wrong";
}

async function signatureManifest(
  repository: RepositoryClient,
  digest: Digest,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return (await repository.manifest(`sha256-${hexOf(digest)}.sig`, signal)).bytes;
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

function isSignedBy(payload: Uint8Array, signature: Uint8Array, key: KeyObject): boolean {
  const hash = key.asymmetricKeyType === "ed25519" ? null : "sha256";
  return verify(hash, payload, key, signature);
}

/** What the payload says was signed; a signature of something else counts for nothing. */
function digestIn(payload: Buffer): string | undefined {
  let json: unknown;
  try {
    json = JSON.parse(payload.toString("utf8"));
  } catch {
    return undefined;
  }
  const parsed = v.safeParse(payloadSchema, json);
  return parsed.success ? parsed.output.critical.image["docker-manifest-digest"] : undefined;
}
