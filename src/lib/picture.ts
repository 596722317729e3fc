/** Lines on a terminal that are drawn again in their place, and what programs write as one line of it. */

/** Where a line doesn't fit, its end is left out and not broken. */
const noWrap = "\x1b[?7l";
const wrap = "\x1b[?7h";
const toLineEnd = "\x1b[K";
const toScreenEnd = "\x1b[J";

export class Picture {
  #widths: number[] = [];
  #columns = 0;

  constructor(private readonly write: (text: string) => void) {}

  /** @param columns of the terminal now */
  draw(lines: readonly string[], columns: number): void {
    const height = this.#height(columns);
    const back = height > 0 ? `\x1b[${height}A` : "";
    // Line by line: what is erased with the whole screen, tmux puts into its history.
    const body = lines.map((line) => `${line}${toLineEnd}\n`).join("");
    this.write(`${noWrap}${back}\r${body}${toScreenEnd}${wrap}`);
    this.#widths = lines.map((line) => Bun.stringWidth(line));
    this.#columns = columns;
  }

  /** Rows that the last picture takes: a terminal that has become narrower has broken its lines. */
  #height(columns: number): number {
    if (columns >= this.#columns) return this.#widths.length;
    return this.#widths.reduce((rows, width) => rows + Math.max(1, Math.ceil(width / columns)), 0);
  }
}

/** A line that was written over with carriage returns, as progress is, has its last state only. */
export function lastState(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === "\r") end--;
  return end === 0 ? "" : line.slice(line.lastIndexOf("\r", end - 1) + 1);
}

/** A line of a program's output without what would move the cursor, colour what follows or change the terminal. */
export function visibleLine(line: string): string {
  return Bun.stripANSI(lastState(line)).replace(/(?!\t)[\p{Cc}\p{Bidi_Control}]/gu, "");
}
