/** Digests that are computed while bytes arrive. */
import { type Digest, hexOf } from "../../lib/digest.ts";
import type { HashAlgorithm } from "./types.ts";

export function algorithmOf(digest: Digest): HashAlgorithm {
  return digest.startsWith("sha512:") ? "sha512" : "sha256";
}

/** The hash of what was fed to it so far. */
export class RunningHash {
  readonly #hasher: Bun.CryptoHasher;

  constructor(readonly algorithm: HashAlgorithm) {
    this.#hasher = new Bun.CryptoHasher(algorithm);
  }

  update(bytes: Uint8Array): void {
    this.#hasher.update(bytes);
  }

  /** Whether `digest`, which is of this algorithm, is that of the bytes so far; more may follow. */
  matches(digest: Digest): boolean {
    return this.#hasher.copy().digest("hex") === hexOf(digest);
  }
}
