/** Clearing up when the run is interrupted: bun runs no hooks then. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Calls `clear`, which must be synchronous, when a signal ends this process.
 * @returns what takes that back, for when the thing was cleared in the usual way
 */
export function onInterrupt(clear: () => void): () => void {
  if (clears.size === 0) for (const [signal, listener] of listeners) process.on(signal, listener);
  clears.add(clear);
  return () => {
    if (!clears.delete(clear) || clears.size > 0) return;
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

const clears = new Set<() => void>();
const listeners = Object.entries(signals).map(([signal, code]) => [signal, () => end(code)] as const);

function end(code: number): void {
  // What was made last may stand on what was made before it.
  for (const clear of [...clears].reverse()) {
    try {
      clear();
    } catch (error) {
      console.error(error);
    }
  }
  // At once: the test that runs would make something again.
  process.exit(code);
}
