import { expect, test } from "bun:test";
import { Progress } from "./progress.ts";

function terminal(columns: number, rows: number) {
  return {
    columns,
    rows,
    isTerminal: true,
    pictures: [] as string[][],
    write(text: string | Uint8Array) {
      const plain = Bun.stripANSI(String(text)).replace("\r", "");
      this.pictures.push(plain.split("\n").slice(0, -1));
    },
  };
}

test("no line is wider than the terminal, and no picture higher, but for the last", () => {
  for (const columns of [10, 20, 80, 200]) {
    const output = terminal(columns, 10);
    {
      using progress = new Progress(output, "tty", { now: () => 0 });
      for (let n = 0; n < 15; n++) progress.event(`Container 漢字-${n}`, "Starting");
      for (let n = 0; n < 12; n++) progress.event(`Container 漢字-${n}`, "Started", "done");
    }
    const widest = output.pictures.flat().map((line) => Bun.stringWidth(line));
    if (columns > 10) expect(Math.max(...widest)).toBeLessThan(columns);
    const before = output.pictures.slice(0, -1);
    expect(Math.max(...before.map((lines) => lines.length))).toBeLessThan(10);
    expect(output.pictures.at(-1)).toHaveLength(16);
    // What still goes on is in sight, and the newest of what is done.
    const shown = before
      .at(-1)!
      .slice(1)
      .map((line) => line.replace(/^.*字-?/, "").trim());
    if (columns > 20) {
      expect(shown).toHaveLength(8);
      expect(shown.slice(-4).map((line) => Number.parseInt(line, 10))).toEqual([11, 12, 13, 14]);
    }
  }
});
