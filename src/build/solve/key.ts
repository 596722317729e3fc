/** Changes when the meaning of keys changes, so that older records are left alone. */
const version = 1;

/** A cache key over JSON values. */
export function keyOf(...parts: unknown[]): string {
  return new Bun.CryptoHasher("sha256").update(JSON.stringify([version, ...parts])).digest("hex");
}
