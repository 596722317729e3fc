/** The end of what a test file has made. */
import { rmSync } from "node:fs";

/**
 * Disposes of each in turn, whatever becomes of the others: what a failure leaves would stay on the machine.
 * @param things a text is a file or directory to be removed; undefined: the tests have not come that far
 * @throws AggregateError of all that failed, or the one that did
 */
export async function disposeAll(
  ...things: (Disposable | AsyncDisposable | (() => unknown) | string | undefined)[]
): Promise<void> {
  const failures: unknown[] = [];
  for (const thing of things) {
    try {
      if (thing === undefined) continue;
      if (typeof thing === "string") rmSync(thing, { recursive: true, force: true });
      else if (typeof thing === "function") await thing();
      else if (Symbol.asyncDispose in thing) await thing[Symbol.asyncDispose]();
      else thing[Symbol.dispose]();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join("\n"));
}
