import { NotFound } from "../../../lib/errors.ts";

/** Clients open what belongs together at the same time; what comes later is waited for so long (milliseconds). */
const patience = 5_000;

/** Things that one call brings and another one waits for, by name. */
export class Rendezvous<T> {
  readonly #known = new Map<string, T>();
  readonly #waiting = new Map<string, PromiseWithResolvers<T>>();

  constructor(private readonly what: string) {}

  get(name: string): T | undefined {
    return this.#known.get(name);
  }

  set(name: string, value: T): void {
    this.#known.set(name, value);
    this.#waiting.get(name)?.resolve(value);
    this.#waiting.delete(name);
  }

  delete(name: string, value: T): void {
    if (this.#known.get(name) === value) this.#known.delete(name);
  }

  values(): T[] {
    return [...this.#known.values()];
  }

  /** @throws NotFound when it doesn't come in time */
  async wait(name: string, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const arrival = this.#waiting.get(name) ?? Promise.withResolvers<T>();
    this.#waiting.set(name, arrival);
    const ended = Promise.withResolvers<never>();
    const onAbort = () => ended.reject(signal.reason);
    const timer = setTimeout(() => ended.reject(new NotFound(`no such ${this.what}: ${name}`)), patience);
    signal.addEventListener("abort", onAbort);
    try {
      return await Promise.race([arrival.promise, ended.promise]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
