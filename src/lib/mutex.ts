/** Runs tasks one after another; a failed one does not stop the next. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(task: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => {});
    return result;
  }
}

/** A mutex for each key, which lives while somebody holds it or waits for it. */
export class KeyedMutex<Key> {
  readonly #held = new Map<Key, { mutex: Mutex; users: number }>();

  async run<T>(key: Key, task: () => T | Promise<T>): Promise<T> {
    const entry = this.#held.get(key) ?? { mutex: new Mutex(), users: 0 };
    this.#held.set(key, entry);
    entry.users += 1;
    try {
      return await entry.mutex.run(task);
    } finally {
      entry.users -= 1;
      if (entry.users === 0) this.#held.delete(key);
    }
  }
}
