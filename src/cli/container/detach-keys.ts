import type { CliContext } from "../context.ts";

/** What the flag says, else `config.json`; the engine watches for them too, and must be told. */
export function detachKeysOf(context: CliContext, flag: string | undefined): string | undefined {
  return flag ?? context.config.detachKeys;
}
