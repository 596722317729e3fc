/** Where text goes, and what of a terminal is there. */
import { writeSync } from "node:fs";
import { isatty } from "node:tty";

export interface Output {
  write(text: string | Uint8Array): void;
  readonly isTerminal: boolean;
  /** Columns; 0 when it is no terminal. */
  readonly columns: number;
  /** Rows; 0 when it is no terminal. */
  readonly rows: number;
}

/** A file descriptor of this process, written at once. */
export function descriptorOutput(descriptor: 1 | 2): Output {
  let terminal: boolean | undefined;
  const stream = () => (descriptor === 1 ? process.stdout : process.stderr);
  return {
    write(text) {
      let bytes = typeof text === "string" ? Buffer.from(text) : text;
      while (bytes.length > 0) {
        try {
          bytes = bytes.subarray(writeSync(descriptor, bytes));
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          // A pipe whose reader is slow is full for a moment; one whose reader is gone takes nothing any more.
          if (code === "EAGAIN") Bun.sleepSync(1);
          else if (code === "EPIPE") return;
          else throw error;
        }
      }
    },
    get isTerminal() {
      terminal ??= isatty(descriptor);
      return terminal;
    },
    get columns() {
      if (!this.isTerminal) return 0;
      // A terminal may say that it has no size.
      return stream().columns || 80;
    },
    get rows() {
      return this.isTerminal ? stream().rows || 24 : 0;
    },
  };
}

/** Columns of text under headings, three spaces apart, each as wide as its widest cell. */
export function formatTable(headings: string[], rows: string[][]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? "").length)),
  );
  const line = (cells: string[]) =>
    `${cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column]! + 3))).join("")}\n`;
  return [headings, ...rows].map(line).join("");
}
