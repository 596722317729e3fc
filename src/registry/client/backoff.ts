import { setTimeout as sleep } from "node:timers/promises";
import { Cancelled } from "../../lib/errors.ts";

const firstDelayMs = 250;

/**
 * Waits after the `tried`th failed try (from 1): 0.25 s, 0.5 s, 1 s …, at least `leastMs` and at most `mostMs`.
 * @throws Cancelled
 */
export async function backOff(
  tried: number,
  signal?: AbortSignal,
  leastMs = 0,
  mostMs = 30_000,
): Promise<void> {
  const delay = Math.min(Math.max(firstDelayMs * 2 ** (tried - 1), leastMs), mostMs);
  try {
    // Many clients that failed together shall not come back together.
    await sleep(delay * (0.75 + Math.random() / 2), undefined, { signal });
  } catch (error) {
    throw new Cancelled("context canceled", { cause: error });
  }
}
