/** The keys that leave a container running: `ctrl-p,ctrl-q` unless chosen otherwise. */
import { InvalidParameter } from "./errors.ts";

export const defaultDetachKeys = "ctrl-p,ctrl-q";

/** The bytes of a sequence such as `ctrl-a,x`. @throws InvalidParameter */
export function parseDetachKeys(text: string): number[] {
  return text.split(",").map((key) => {
    if (/^[\x20-\x7e]$/.test(key)) return key.charCodeAt(0);
    const match = /^ctrl-([a-z@[\\\]^_])$/i.exec(key);
    if (!match)
      throw new InvalidParameter(`invalid detach keys (${text}) provided: unknown character: '${key}'`);
    return match[1]!.toLowerCase().charCodeAt(0) & 0x1f;
  });
}

/** Looks for the sequence in what is typed; a part of it is held back until it is clear what it is. */
export class DetachWatcher {
  readonly #keys: readonly number[];
  /** For each number of keys seen: how many still count when the next byte is another (Knuth, Morris, Pratt). */
  readonly #fallbacks: readonly number[];
  #matched = 0;

  /** @param keys at least one */
  constructor(keys: readonly number[]) {
    this.#keys = keys;
    this.#fallbacks = fallbacksOf(keys);
  }

  /** @returns the bytes to pass on, and whether the sequence is complete; what comes after it is dropped */
  push(bytes: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const pass: number[] = [];
    for (const byte of bytes) {
      while (this.#matched > 0 && byte !== this.#keys[this.#matched]) {
        const kept = this.#fallbacks[this.#matched]!;
        pass.push(...this.#keys.slice(0, this.#matched - kept));
        this.#matched = kept;
      }
      if (byte !== this.#keys[this.#matched]) pass.push(byte);
      else if (++this.#matched === this.#keys.length) {
        this.#matched = 0;
        return { pass: Uint8Array.from(pass), detached: true };
      }
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }
}

/** The longest beginning of the sequence that also ends its first `index` keys, short of all of them. */
function fallbacksOf(keys: readonly number[]): number[] {
  const fallbacks = [0, 0];
  for (let length = 0, at = 1; at < keys.length; at++) {
    while (length > 0 && keys[at] !== keys[length]) length = fallbacks[length]!;
    if (keys[at] === keys[length]) length++;
    fallbacks.push(length);
  }
  return fallbacks;
}
