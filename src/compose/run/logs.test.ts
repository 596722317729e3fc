import { expect, test } from "bun:test";
import fc from "fast-check";
import { frame } from "../../lib/stdcopy.ts";
import { LinePrinter, readLines } from "./logs.ts";
import type { Output } from "./output.ts";

function recorder(): Output & { text: string } {
  return {
    text: "",
    isTerminal: false,
    columns: 0,
    rows: 0,
    write(part) {
      this.text += typeof part === "string" ? part : Buffer.from(part).toString();
    },
  };
}

test("prefixes are as wide as the longest name", () => {
  const out = recorder();
  const printer = new LinePrinter(out, { colored: false, prefix: true });
  printer.register("web-1");
  printer.register("worker-1");
  printer.line("web-1", "hi");
  printer.line("worker-1", "there");
  expect(out.text).toBe("web-1     | hi\nworker-1  | there\n");
});

test("colours surround the prefix alone", () => {
  const out = recorder();
  new LinePrinter(out, { colored: true, prefix: true }).line("web-1", "hi");
  expect(out.text).toBe("\x1b[36mweb-1  | \x1b[0mhi\n");
});

test("lines come out whole however the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: "binary" }).filter((line) => !/[\r\n]/.test(line) && line.isWellFormed())),
      fc.integer({ min: 1, max: 9 }),
      async (lines, cut) => {
        const bytes = Buffer.concat(lines.map((line) => frame(1, Buffer.from(`${line}\n`))));
        async function* pieces() {
          for (let at = 0; at < bytes.length; at += cut) yield bytes.subarray(at, at + cut);
        }
        const seen: string[] = [];
        await readLines(pieces(), false, (line) => seen.push(line));
        expect(seen).toEqual(lines);
      },
    ),
    { numRuns: 50 },
  );
});

test("a terminal's output has no frames and ends lines with CR LF", async () => {
  async function* output() {
    yield Buffer.from("a\r\nb");
  }
  const seen: string[] = [];
  await readLines(output(), true, (line) => seen.push(line));
  expect(seen).toEqual(["a", "b"]);
});
