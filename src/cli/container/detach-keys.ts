/** The keys that leave a container running: `ctrl-p,ctrl-q` unless chosen otherwise. */
import { InvalidParameter } from "../../lib/errors.ts";
import type { CliContext } from "../context.ts";

export const defaultDetachKeys = "ctrl-p,ctrl-q";

/** What the flag says, else `config.json`; the engine watches for them too, and must be told. */
export function detachKeysOf(context: CliContext, flag: string | undefined): string | undefined {
  return flag ?? context.config.detachKeys;
}

/** The bytes of a sequence such as `ctrl-a,x`. @throws InvalidParameter */
export function parseDetachKeys(text: string): number[] {
  return text.split(",").map((key) => {
    if (key.length === 1) return key.charCodeAt(0);
    const match = /^ctrl-([a-z@[\\\]^_])$/i.exec(key);
    if (!match)
      throw new InvalidParameter(`invalid detach keys (${text}) provided: unknown character: '${key}'`);
    return match[1]!.toLowerCase().charCodeAt(0) & 0x1f;
  });
}

/** Looks for the sequence in what is typed; a part of it is held back until it is clear what it is. */
export class DetachWatcher {
  #matched = 0;

  constructor(private readonly keys: readonly number[]) {}

  /** @returns the bytes to pass on, and whether the sequence is complete */
  push(bytes: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const pass: number[] = [];
    for (const byte of bytes) {
      if (byte === this.keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.keys.length) return { pass: Uint8Array.from(pass), detached: true };
        continue;
      }
      pass.push(...this.keys.slice(0, this.#matched));
      this.#matched = byte === this.keys[0] ? 1 : 0;
      if (this.#matched === 0) pass.push(byte);
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }
}
