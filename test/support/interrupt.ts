/** Clearing up when the run is interrupted: bun runs no hooks then. */
const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/**
 * Calls `clear`, which must be synchronous, when a signal ends this process.
 * @returns what takes that back, for when the thing was cleared in the usual way
 */
export function onInterrupt(clear: () => void): () => void {
  const listeners = Object.entries(signals).map(([signal, code]) => {
    const listener = () => {
      // The process ends after every other listener had its turn.
      setTimeout(() => process.exit(code), 0);
      try {
        clear();
      } catch (error) {
        console.error(error);
      }
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}
