/**
 * Work of several parts. When one fails the others are ended, and its error is known only when nothing of them goes on.
 * @param signal ends all of it
 * @param start begins the parts, each with the signal that ends it
 */
export async function together<T extends readonly unknown[]>(
  signal: AbortSignal,
  start: (signal: AbortSignal) => readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  const failed = new AbortController();
  const parts = start(AbortSignal.any([signal, failed.signal]));
  try {
    return (await Promise.all(parts)) as unknown as T;
  } catch (error) {
    failed.abort();
    await Promise.allSettled(parts);
    throw error;
  }
}
