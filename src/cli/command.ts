/** What a command is: data that help, parsing and completion share, and one function. */
import type { CliContext } from "./context.ts";

/**
 * The kinds of flags and what they parse to. `list`: repeatable, each value whole; `strings`: repeatable and split at
 * commas; `bytes`: `64m` as bytes; `duration`: `1m30s` as nanoseconds; `decimal`: `1.5` CPUs as nano-CPUs.
 */
interface FlagValues {
  bool: boolean;
  string: string | undefined;
  int: number | undefined;
  list: string[];
  strings: string[];
  bytes: number | undefined;
  duration: number | undefined;
  decimal: number | undefined;
}
export type FlagKind = keyof FlagValues;

export interface Flag<K extends FlagKind = FlagKind> {
  kind: K;
  short?: string;
  help: string;
  /** The value when the flag isn't given, as the user would write it; shown in help. */
  default?: string;
  /** The name of the value in help, when it isn't the kind. */
  value?: string;
  /** Accepted, not shown. */
  hidden?: boolean;
  /** Called with each value as it was written; throws what is wrong with it. */
  check?: (text: string) => void;
}
export type Flags = Record<string, Flag>;

type WithDefault<F extends Flag> = F extends { default: string }
  ? NonNullable<FlagValues[F["kind"]]>
  : FlagValues[F["kind"]];
export type ValuesOf<F extends Flags> = { readonly [N in keyof F]: WithDefault<F[N]> };

export interface Parsed<F extends Flags> {
  flags: ValuesOf<F>;
  args: string[];
  /** Whether the user gave the flag. */
  given(name: keyof F): boolean;
}

/** How many arguments a command takes; the check speaks Docker's words. */
export interface Arity {
  min: number;
  max: number;
}
export const none: Arity = { min: 0, max: 0 };
export const atLeast = (min: number): Arity => ({ min, max: Number.POSITIVE_INFINITY });
export const between = (min: number, max: number): Arity => ({ min, max });
export const exactly = (count: number): Arity => ({ min: count, max: count });

export interface Command<F extends Flags = Flags> {
  /** The words after the program's name, as help shows them: `container rm`. */
  name: string;
  /** What follows the name: `[OPTIONS] CONTAINER [CONTAINER...]`. */
  usage: string;
  summary: string;
  /** Every spelling, when there is more than one: `container rm`, `rm`. */
  aliases?: string[];
  flags: F;
  arity: Arity;
  /** False: the first argument ends the flags, what follows belongs to the container. */
  interspersed?: boolean;
  /** The exit status of a wrong usage or a refusal, when it isn't 1. */
  failure?: number;
  /** Lines of help that show the command at work. */
  examples?: string[];
  /** @returns the exit status; nothing is 0 */
  run(context: CliContext, parsed: Parsed<F>): Promise<number | undefined>;
}

/** Gives a command its precise types; the flag names and kinds type what `run` gets. */
export function defineCommand<const F extends Flags>(command: Command<F>): Command {
  return command as unknown as Command;
}
