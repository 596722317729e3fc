/** Work that runs at once, as far as the dependencies between its parts and a limit allow. */

/** Runs `task` for each item, at most `limit` at once (0 or less: no limit). The first failure stops what has not begun. */
export async function forEachParallel<T>(
  items: readonly T[],
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  await runGraph(items, () => [], limit, task);
}

/**
 * Runs `task` for each item once all that `after` names have finished. What is running when one fails is awaited
 * before that failure is thrown; what has not begun never does.
 * @param after items which must come first; those that are not among `items` don't count
 */
export async function runGraph<T>(
  items: readonly T[],
  after: (item: T) => readonly T[],
  limit: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = new Set(items);
  const unfinished = new Set(items);
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  while (unfinished.size > 0) {
    if (failures.length === 0)
      for (const item of waiting) {
        if (limit > 0 && running.size >= limit) break;
        if (after(item).some((needed) => unfinished.has(needed) && needed !== item)) continue;
        waiting.delete(item);
        const run: Promise<void> = task(item)
          .catch((error: unknown) => {
            failures.push(error);
          })
          .finally(() => {
            running.delete(run);
            unfinished.delete(item);
          });
        running.add(run);
      }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (failures.length > 0) throw failures[0];
}
