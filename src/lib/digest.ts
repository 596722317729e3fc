import { InvalidParameter } from "./errors.ts";

/** `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md "Digests"); sha512 has 128. */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const pattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** @throws InvalidParameter when `text` is not a digest of a supported algorithm. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new InvalidParameter(`invalid digest ${JSON.stringify(text)}`);
  return text;
}

/** sha256 of bytes held in memory. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** The hexadecimal part. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}
