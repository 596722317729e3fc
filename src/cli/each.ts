/** Commands that do the same for each argument: one failure does not stop the rest. */
import { NotFound } from "../lib/errors.ts";
import { type CliContext, ExitStatus } from "./context.ts";
import { describe } from "./errors.ts";

/**
 * Runs `action` for all arguments at once; prints results and failures in the arguments' order.
 * @throws ExitStatus when one failed
 */
export async function forEach(
  context: CliContext,
  names: string[],
  action: (name: string) => Promise<string | undefined>,
): Promise<undefined> {
  const started = names.map((name) => action(name));
  // All are awaited in order below; one that fails before its turn is not unhandled.
  for (const promise of started) promise.catch(() => {});
  let failed = false;
  for (const promise of started) {
    try {
      const shown = await promise;
      if (shown !== undefined) context.line(shown);
    } catch (error) {
      failed = true;
      context.err(`${describe(error)}\n`);
    }
  }
  if (failed) throw new ExitStatus(1);
}

/** Who forces something away wants it gone: that it isn't there is told, and no failure. @returns undefined then */
export async function evenIfMissing<T>(
  context: CliContext,
  force: boolean,
  remove: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await remove();
  } catch (error) {
    if (!force || !(error instanceof NotFound)) throw error;
    context.err(`${describe(error)}\n`);
    return undefined;
  }
}
