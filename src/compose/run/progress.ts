/**
 * What happens to each container, network, volume and image: one line an event where nobody watches, a list that
 * redraws itself on a terminal.
 */
import type { Output } from "./output.ts";

export type ProgressState = "working" | "done" | "warning" | "error";
export type ProgressMode = "auto" | "tty" | "plain" | "quiet" | "json";

interface Line {
  status: string;
  state: ProgressState;
  started: number;
  finished?: number;
}

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const marks: Record<ProgressState, string> = { working: "", done: "✔", warning: "!", error: "✘" };
const colors: Record<ProgressState, string> = { working: "33", done: "32", warning: "33", error: "31" };

export class Progress implements Disposable {
  readonly #lines = new Map<string, Line>();
  readonly #live: boolean;
  #drawn = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly output: Output,
    private readonly mode: ProgressMode = "auto",
    private readonly options: { title?: string; dryRun?: boolean; now?: () => number } = {},
  ) {
    this.#live = mode === "tty" || (mode === "auto" && output.isTerminal);
    if (this.#live) this.#timer = setInterval(() => this.#draw(), 100);
  }

  /** @param id `Container demo-web-1` */
  event(id: string, status: string, state: ProgressState = "working"): void {
    const before = this.#lines.get(id);
    const now = this.#now();
    this.#lines.set(id, {
      status,
      state,
      started: before?.started ?? now,
      finished: state === "working" ? undefined : now,
    });
    if (this.mode === "quiet") return;
    const dryRun = this.options.dryRun ? "DRY-RUN MODE - " : "";
    if (this.mode === "json")
      this.output.write(
        `${JSON.stringify({ id, status, ...(state === "working" ? {} : { state }), "dry-run": this.options.dryRun || undefined })}\n`,
      );
    else if (!this.#live) this.output.write(`${dryRun ? ` ${dryRun}` : ""} ${id}  ${status}\n`);
    else this.#draw();
  }

  /** Draws the last state; nothing more moves. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#live && this.#lines.size > 0) this.#draw();
    this.#lines.clear();
    this.#drawn = 0;
  }

  #now(): number {
    return this.options.now?.() ?? Date.now();
  }

  #draw(): void {
    if (this.#lines.size === 0) return;
    const lines = [...this.#lines];
    const done = lines.filter(([, line]) => line.state !== "working").length;
    const width = Math.max(...lines.map(([id]) => id.length));
    const frame = spinner[Math.floor(this.#now() / 100) % spinner.length]!;
    const columns = this.output.columns || 80;
    const rows = [`[+] ${this.options.title ?? "Running"} ${done}/${lines.length}`];
    for (const [id, { status, state, started, finished }] of lines) {
      const seconds = (((finished ?? this.#now()) - started) / 1000).toFixed(1);
      const text = `${id.padEnd(width)}  ${status}`;
      const room = Math.max(10, columns - seconds.length - 6);
      const cut = text.length > room ? text.slice(0, room) : text.padEnd(room);
      rows.push(` \x1b[${colors[state]}m${marks[state] || frame}\x1b[0m ${cut} ${seconds}s`);
    }
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : "";
    this.output.write(`\x1b[?25l${up}${rows.map((row) => `\r\x1b[K${row}\n`).join("")}\x1b[?25h`);
    this.#drawn = rows.length;
  }
}
