/**
 * The hash that build contexts know a file's content by: SHA-256 of small ones; of larger ones SHA-256 of the
 * digests of their pieces, which can be taken side by side.
 */

/** Files up to this size are hashed as one. Bytes. */
export const wholeLimit = 64 * 1024;
export const pieceSize = 1024 * 1024;

/** The hash of a file whose bytes come in order. */
export class ContentHasher {
  /** Made when they are wanted: most files are small and come in one part. */
  #all: Bun.CryptoHasher | undefined;
  #piece: Bun.CryptoHasher | undefined;
  #filled = 0;
  #whole: string | undefined;

  /** @param size of the whole file, in bytes */
  constructor(private readonly size: number) {}

  update(bytes: Uint8Array): void {
    if (this.size <= wholeLimit) {
      if (bytes.length === this.size) this.#whole = Bun.SHA256.hash(bytes, "hex");
      else this.#outer.update(bytes);
      return;
    }
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + pieceSize - this.#filled);
      this.#piece ??= new Bun.CryptoHasher("sha256");
      this.#piece.update(part);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === pieceSize) this.#endPiece();
    }
  }

  get #outer(): Bun.CryptoHasher {
    this.#all ??= new Bun.CryptoHasher("sha256");
    return this.#all;
  }

  #endPiece(): void {
    if (this.#piece) this.#outer.update(this.#piece.digest());
    this.#piece = undefined;
    this.#filled = 0;
  }

  /** Hex. Ends the hasher. */
  digest(): string {
    this.#endPiece();
    return this.#whole ?? this.#outer.digest("hex");
  }
}
