/** Builds on a display, one or several: it ends with them, Ctrl-C ends them, and a failure's place is shown below it. */
import { Cancelled } from "../../lib/errors.ts";
import type { CliContext } from "../context.ts";
import type { Display } from "./progress/index.ts";
import { detailOf } from "./run-build.ts";

const endings = ["SIGINT", "SIGTERM"] as const;

/**
 * @param work builds until the signal says that it is to end
 * @throws what `work` throws; Cancelled when the user has ended it
 */
export async function shown<T>(
  context: CliContext,
  display: Display,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  // A second one ends the process as ever.
  for (const signal of endings) process.once(signal, interrupted);
  try {
    const result = await work(stop.signal);
    display.end(true);
    return result;
  } catch (error) {
    display.end(false);
    if (stop.signal.aborted) throw new Cancelled("canceled");
    const { showFailure } = await import("./excerpt.ts");
    context.err(showFailure(detailOf(error)));
    throw error;
  } finally {
    for (const signal of endings) process.off(signal, interrupted);
  }
}
