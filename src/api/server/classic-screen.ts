/** A build's events as the classic builder shows them: `Step 2/5 : RUN make`, output, ` ---> 0123456789ab`. */
import { exporterResponse } from "../../build/index.ts";
import type { BuildEvent, BuildResult } from "../../build/types.ts";
import { familiar, parseReference } from "../../lib/reference.ts";

/** Shows a build to its client. */
export interface BuildScreen {
  show(event: BuildEvent): void;
  /** @param image undefined when none was asked for */
  succeed(result: BuildResult): void;
  /** The error itself is told by the caller. */
  fail(): void;
}

/** The place of the ID is Docker's; what else is known of the image is beside it. */
export const resultNote = (result: BuildResult) => ({
  ID: result.image?.configDigest,
  Metadata: exporterResponse(result),
});

/** `q=1`: the image's ID alone. */
export class QuietScreen implements BuildScreen {
  constructor(private readonly write: (text: string) => void) {}

  show(): void {}

  succeed({ image }: BuildResult): void {
    if (image) this.write(`${image.configDigest}\n`);
  }

  fail(): void {}
}

/** Steps run side by side; they are shown in the order of their numbers, each as it goes on when its turn comes. */
export class ClassicScreen implements BuildScreen {
  /** What the steps behind the current one have said, by number. */
  readonly #waiting = new Map<number, string[]>();
  readonly #ended = new Set<number>();
  /** Log events name a step by its id. */
  readonly #numbers = new Map<string, number>();
  /** What build checks found: listed at the end, where it is seen. */
  readonly #checks: string[] = [];
  #current = 1;

  /** @param note tells what is for programs */
  constructor(
    private readonly write: (text: string) => void,
    private readonly note: (aux: object) => void,
  ) {}

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

  succeed(result: BuildResult): void {
    const { image } = result;
    if (image) this.note(resultNote(result));
    this.#listChecks();
    if (!image) return;
    this.write(`Successfully built ${image.configDigest.slice(7, 19)}\n`);
    for (const name of image.names) this.write(`Successfully tagged ${familiar(parseReference(name))}\n`);
  }

  /** The warnings of the build checks, as BuildKit's clients list them after a build. */
  #listChecks(): void {
    const count = this.#checks.length;
    if (count === 0) return;
    this.write(`\n ${count} warning${count === 1 ? "" : "s"} found:\n`);
    for (const message of this.#checks) this.write(` - ${message}\n`);
  }

  /** Shows what is left of steps that a failure cut short. */
  fail(): void {
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
