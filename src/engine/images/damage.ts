/** Blobs that the disk has spoilt since they came. */
import type { Digest } from "../../lib/digest.ts";
import { Internal, InvalidParameter } from "../../lib/errors.ts";
import type { Store } from "../../store/types.ts";

export const damaged = (digest: Digest) =>
  new Internal(`content ${digest} is damaged on this disk: system check --repair pulls it again`);

/** What a registry has refused may be our own fault. @throws the error, or the better one */
export async function explainRefusal(store: Store, digest: Digest, error: unknown): Promise<never> {
  if (error instanceof InvalidParameter && !(await store.verify(digest))) throw damaged(digest);
  throw error;
}
