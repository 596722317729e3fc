/** Commands that do the same for each argument: one failure does not stop the rest. */
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
