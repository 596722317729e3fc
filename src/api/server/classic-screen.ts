/** A build's events as the classic builder shows them: `Step 2/5 : RUN make`, output, ` ---> 0123456789ab`. */
import type { BuildEvent } from "../../build/types.ts";

/** Steps run side by side; they are shown in the order of their numbers, each as it goes on when its turn comes. */
export class ClassicScreen {
  /** What the steps behind the current one have said, by number. */
  readonly #waiting = new Map<number, string[]>();
  readonly #ended = new Set<number>();
  /** Log events name a step by its id. */
  readonly #numbers = new Map<string, number>();
  /** What build checks found: listed at the end, where it is seen. */
  readonly #checks: string[] = [];
  #current = 1;

  constructor(private readonly write: (text: string) => void) {}

  show(event: BuildEvent): void {
    switch (event.type) {
      case "warning":
        if (event.check) this.#checks.push(event.message);
        else this.write(`[Warning] ${event.message}\n`);
        return;
      case "log": {
        const number = this.#numbers.get(event.id);
        if (number !== undefined) this.#put(number, Buffer.from(event.data).toString("utf8"));
        return;
      }
      case "vertex":
        this.#vertex(event);
    }
  }

  /** The warnings of the build checks, as BuildKit's clients list them after a build. */
  listChecks(): void {
    const count = this.#checks.length;
    if (count === 0) return;
    this.write(`\n ${count} warning${count === 1 ? "" : "s"} found:\n`);
    for (const message of this.#checks) this.write(` - ${message}\n`);
  }

  /** Shows what is left of steps that a failure cut short. */
  finish(): void {
    for (const number of [...this.#waiting.keys()].sort((a, b) => a - b))
      for (const text of this.#waiting.get(number)!) this.write(text);
    this.#waiting.clear();
  }

  #vertex({ id, step, state, result }: BuildEvent & { type: "vertex" }): void {
    if (!step) return;
    const { number, total, instruction } = step;
    if (!this.#numbers.has(id)) {
      this.#numbers.set(id, number);
      this.#put(number, `Step ${number}/${total} : ${instruction}\n`);
    }
    if (state === "started") return;
    if (state === "cached") this.#put(number, " ---> Using cache\n");
    if (result) this.#put(number, ` ---> ${result.replace(/^sha256:/, "").slice(0, 12)}\n`);
    this.#ended.add(number);
    while (this.#ended.has(this.#current)) {
      this.#current++;
      for (const text of this.#waiting.get(this.#current) ?? []) this.write(text);
      this.#waiting.delete(this.#current);
    }
  }

  #put(number: number, text: string): void {
    if (number === this.#current) this.write(text);
    else this.#waiting.set(number, [...(this.#waiting.get(number) ?? []), text]);
  }
}
