import type { FlagSpecs, Flags } from "../flags.ts";
import type { Session } from "../run/session.ts";

/** A command as data, and what it does. */
export interface Command<S extends FlagSpecs = FlagSpecs> {
  name: string;
  /** What follows the name in its usage line. */
  usage: string;
  summary: string;
  flags: S;
  /** false: flags behind the first argument belong to that (`run`, `exec`). Default true. */
  interspersed?: boolean;
  /** @returns the exit code */
  run(session: Session, flags: Flags<S>, args: string[]): Promise<number>;
}

/** Keeps the precise types of a command's flags for its `run`. */
export function defineCommand<const S extends FlagSpecs>(command: Command<S>): Command {
  return command as unknown as Command;
}
