/**
 * What happens to each container, network, volume and image: one line an event where nobody watches, a list that
 * redraws itself on a terminal.
 */
import { Picture, visibleLine } from "../../lib/picture.ts";
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
  #picture: Picture;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly output: Output,
    private readonly mode: ProgressMode = "auto",
    private readonly options: { title?: string; dryRun?: boolean; now?: () => number } = {},
  ) {
    this.#picture = this.#blank();
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
    if (this.#live && this.#lines.size > 0) this.#draw(true);
    this.#lines.clear();
    this.#picture = this.#blank();
  }

  #blank(): Picture {
    return new Picture((text) => this.output.write(`\x1b[?25l${text}\x1b[?25h`));
  }

  #now(): number {
    return this.options.now?.() ?? Date.now();
  }

  /** @param all nothing more is drawn: whatever the terminal's height */
  #draw(all = false): void {
    if (this.#lines.size === 0) return;
    const lines = [...this.#lines];
    const done = lines.filter(([, line]) => line.state !== "working").length;
    const columns = this.output.columns || 80;
    const width = Math.max(...lines.map(([id]) => Bun.stringWidth(id)));
    const head = `[+] ${this.options.title ?? "Running"} ${done}/${lines.length}`;
    const shown = all ? lines : fit(lines, (this.output.rows || 24) - 2);
    const rows = shown.map(([id, line]) => this.#row(id, line, width, columns));
    this.#picture.draw([head.slice(0, columns - 1), ...rows], columns);
  }

  #row(id: string, { status, state, started, finished }: Line, width: number, columns: number): string {
    const frame = spinner[Math.floor(this.#now() / 100) % spinner.length]!;
    const seconds = (((finished ?? this.#now()) - started) / 1000).toFixed(1);
    const gap = " ".repeat(width - Bun.stringWidth(id));
    const room = Math.max(1, columns - seconds.length - 6);
    const text = cut(visibleLine(`${id}${gap}  ${status}`), room);
    return ` \x1b[${colors[state]}m${marks[state] || frame}\x1b[0m ${text} ${seconds}s`;
  }
}

/** What is being worked on comes before what is done, where there isn't room for all. */
function fit(lines: [string, Line][], rows: number): [string, Line][] {
  let working = Math.max(1, rows);
  let settled = working - lines.filter(([, { state }]) => state === "working").length;
  // From the end: the last of them are the newest.
  return lines
    .toReversed()
    .filter(([, { state }]) => (state === "working" ? working-- > 0 : settled-- > 0))
    .toReversed();
}

/** The text in exactly so many columns. */
function cut(text: string, columns: number): string {
  let shown = "";
  let width = 0;
  for (const char of text) {
    const more = Bun.stringWidth(char);
    if (width + more > columns) break;
    shown += char;
    width += more;
  }
  return shown + " ".repeat(columns - width);
}
