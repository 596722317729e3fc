/** Progress for files and pipes, as BuildKit's clients write it: `#5 [2/4] RUN make`, `#5 0.321 text`, `#5 DONE 0.4s`. */
import type { SolveStatus } from "../../../api/types.ts";
import { visibleLine } from "../../../lib/picture.ts";
import { humanSize } from "../../format/units.ts";
import { amount, BuildView, type StatusView, type VertexView, warningList } from "./view.ts";

/** What a step has to say that has not been written. */
interface Pending {
  vertex: VertexView;
  lines: string[];
  announced: boolean;
}

/** A step keeps the others waiting for as long as this (milliseconds), so that lines of one step stay together. */
const turn = 1000;
/** How often a transfer that goes on is told of (milliseconds). */
const transferPace = 5000;

export class PlainProgress {
  readonly #pending = new Map<VertexView, Pending>();
  readonly #told = new Map<string, number>();
  readonly #view: BuildView;
  #current: Pending | undefined;
  #since = 0;
  /** Ends a turn in which nothing more is heard. */
  #turnEnd: Timer | undefined;

  constructor(
    private readonly write: (text: string) => void,
    private readonly clock: () => number = Date.now,
  ) {
    const say = (vertex: VertexView, text: string) =>
      this.#pending.get(vertex)?.lines.push(`#${vertex.number} ${text}\n`);
    this.#view = new BuildView(
      {
        began: (vertex) => this.#pending.set(vertex, { vertex, lines: [], announced: false }),
        line: (vertex, text, seconds) =>
          say(vertex, `${seconds.toFixed(3).slice(0, 5)} ${visibleLine(text)}`),
        status: (vertex, status) => {
          if (this.#worthTelling(vertex, status)) say(vertex, statusText(status));
        },
        ended: (vertex) => say(vertex, endText(vertex)),
      },
      clock,
    );
  }

  show(status: SolveStatus): void {
    this.#view.apply(status);
    this.#flush();
  }

  end(): void {
    clearTimeout(this.#turnEnd);
    for (let waiting = this.#next(); waiting; waiting = this.#next()) {
      this.#begin(waiting);
      this.#tell(waiting);
      this.#leave(waiting);
    }
    this.write(warningList(this.#view.warnings));
  }

  #flush(): void {
    clearTimeout(this.#turnEnd);
    for (;;) {
      const next = this.#current ?? this.#next();
      if (!next) return;
      this.#begin(next);
      this.#tell(next);
      const over = next.vertex.completed !== undefined;
      if (!over && !this.#next(next)) return;
      const left = this.#since + turn - this.clock();
      if (!over && left > 0) {
        this.#turnEnd = setTimeout(() => this.#flush(), left);
        return;
      }
      this.#leave(next);
    }
  }

  /** A step that has something to say; its turn comes in the order of the numbers, after `previous`. */
  #next(previous?: Pending): Pending | undefined {
    const waiting = [...this.#pending.values()].filter(
      (pending) => pending !== previous && (pending.lines.length > 0 || !pending.announced),
    );
    const from = previous?.vertex.number ?? 0;
    return waiting.find(({ vertex }) => vertex.number > from) ?? waiting[0];
  }

  #begin(pending: Pending): void {
    if (this.#current === pending) return;
    this.#current = pending;
    this.#since = this.clock();
    pending.announced = true;
    this.write(`#${pending.vertex.number} ${pending.vertex.name}\n`);
  }

  #tell(pending: Pending): void {
    if (pending.lines.length > 0) this.write(pending.lines.join(""));
    pending.lines = [];
  }

  #leave({ vertex }: Pending): void {
    this.#current = undefined;
    if (vertex.completed === undefined) this.write(`#${vertex.number} ...\n`);
    this.write("\n");
  }

  #worthTelling({ number }: VertexView, { name, at, completed }: StatusView): boolean {
    const key = `${number} ${name}`;
    const told = this.#told.get(key);
    if (!completed && told === undefined) {
      this.#told.set(key, at);
      return false;
    }
    if (told === Number.POSITIVE_INFINITY || (!completed && at - told! < transferPace)) return false;
    this.#told.set(key, completed ? Number.POSITIVE_INFINITY : at);
    return true;
  }
}

function statusText(status: StatusView): string {
  const seconds = ((status.at - status.started) / 1000).toFixed(1);
  const parts = [status.name, amount(status, (bytes) => humanSize(bytes, 3))];
  if (seconds !== "0.0") parts.push(`${seconds}s`);
  if (status.completed) parts.push("done");
  return parts.filter(Boolean).join(" ");
}

function endText({ started, completed = started, cached, error }: VertexView): string {
  if (error !== undefined) return `ERROR: ${error}`;
  return cached ? "CACHED" : `DONE ${((completed - started) / 1000).toFixed(1)}s`;
}
