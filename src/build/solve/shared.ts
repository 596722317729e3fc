/** Work that several builds want at the same time: done once, for as long as one of them wants it. */

type Outcome<T> = { value: T } | { error: unknown };

interface Member<E> {
  onEvent?: (event: E) => void;
}

interface Running<T, E> {
  readonly members: Set<Member<E>>;
  /** What was told so far, for those who come later. */
  readonly told: E[];
  toldSize: number;
  readonly stop: AbortController;
  /** Resolves when nothing of the work is left. */
  readonly ended: Promise<Outcome<T>>;
}

export interface Wish<E> {
  /** Ends the wish, and the work with the last one. */
  signal: AbortSignal;
  /** Hears what the work tells, from its beginning on. */
  onEvent?: (event: E) => void;
  /** The work needs what only this caller has: it ends with it, and others begin anew. */
  bound?: boolean;
  /**
   * What a failure of work that another began means here; undefined: nothing, the work is tried again as one's own.
   */
  failure?: (error: unknown) => unknown;
}

export class SharedWork<T, E = never> {
  readonly #running = new Map<string, Running<T, E>>();

  /**
   * @param sizeOf what an event counts towards `limit`: beyond that the oldest are not told to those who come later
   */
  constructor(
    private readonly sizeOf: (event: E) => number = () => 1,
    private readonly limit = 1000,
  ) {}

  /**
   * Waits for the work with that key; begins it when nobody has.
   * @param work told to stop by its signal; settles when nothing of it is left
   * @throws what the work throws, or the signal's reason: for one whose leaving stops the work, when it has stopped
   */
  async run(
    key: string,
    wish: Wish<E>,
    work: (signal: AbortSignal, tell: (event: E) => void) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      wish.signal.throwIfAborted();
      const known = this.#running.get(key);
      const running = known ?? this.#begin(key, work);
      // Stopped by those who left, it ends first; then it is begun anew.
      const stopped = running.stop.signal.aborted;
      const outcome = await this.#wait(running, wish, known === undefined);
      if (stopped) continue;
      if ("value" in outcome) return outcome.value;
      if (known === undefined) throw outcome.error;
      const failure = wish.failure?.(outcome.error);
      if (failure !== undefined && !running.stop.signal.aborted) throw failure;
    }
  }

  #begin(key: string, work: (signal: AbortSignal, tell: (event: E) => void) => Promise<T>): Running<T, E> {
    const stop = new AbortController();
    const members = new Set<Member<E>>();
    const told: E[] = [];
    const tell = (event: E) => {
      told.push(event);
      running.toldSize += this.sizeOf(event);
      while (running.toldSize > this.limit) running.toldSize -= this.sizeOf(told.shift()!);
      for (const { onEvent } of members) onEvent?.(event);
    };
    const ended = Promise.resolve()
      .then(() => work(stop.signal, tell))
      .then(
        (value): Outcome<T> => ({ value }),
        (error: unknown): Outcome<T> => ({ error }),
      )
      .finally(() => this.#running.delete(key));
    const running: Running<T, E> = { members, told, toldSize: 0, stop, ended };
    this.#running.set(key, running);
    return running;
  }

  #wait(running: Running<T, E>, { signal, onEvent, bound }: Wish<E>, began: boolean): Promise<Outcome<T>> {
    const { members, stop, ended, told } = running;
    const member: Member<E> = { onEvent };
    if (!stop.signal.aborted) {
      for (const event of told) onEvent?.(event);
      members.add(member);
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        members.delete(member);
        if (members.size === 0 || (began && bound)) stop.abort(signal.reason);
        if (stop.signal.aborted) void ended.then(() => reject(signal.reason));
        else reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      void ended.then((outcome) => {
        signal.removeEventListener("abort", leave);
        members.delete(member);
        resolve(outcome);
      });
    });
  }
}
