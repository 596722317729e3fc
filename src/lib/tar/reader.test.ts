import { expect, test } from "bun:test";
import { formatHeader, plainEntry, type TarEntry, TarReader } from "./index.ts";

/** What is read of an archive: its entries with their contents. */
function read(archive: Uint8Array): [string, string][] {
  const found: [string, string][] = [];
  const reader = new TarReader({
    entry: ({ path }: TarEntry) => void found.push([path, ""]),
    data: (bytes) => {
      found.at(-1)![1] += Buffer.from(bytes).toString();
    },
    end() {},
  });
  reader.push(archive);
  reader.finish();
  return found;
}

const header = (path: string, size: number) => formatHeader(plainEntry({ path, size }));

test("an archive may end after an entry, in what fills its block up, or with the zero blocks", () => {
  const whole = Buffer.concat([header("a", 3), Buffer.from("one"), Buffer.alloc(509), Buffer.alloc(1024)]);
  for (let end = 515; end <= 1024; end++) expect(read(whole.subarray(0, end))).toEqual([["a", "one"]]);
  expect(read(whole)).toEqual([["a", "one"]]);
});

test("one that ends anywhere else has been cut", () => {
  const entry = Buffer.concat([header("a", 3), Buffer.from("one"), Buffer.alloc(509)]);
  // A name of its own for what comes next, which doesn't come.
  const record = "14 path=other\n";
  const named = Buffer.concat([header("x", record.length), Buffer.from(record.padEnd(512, "\0"))]);
  named[156] = "x".charCodeAt(0);
  const sum = named
    .fill(" ", 148, 156)
    .subarray(0, 512)
    .reduce((total, byte) => total + byte, 0);
  named.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  expect(read(Buffer.concat([named, entry]))).toEqual([["other", "one"]]);
  for (const cut of [
    entry.subarray(0, 100),
    entry.subarray(0, 512),
    entry.subarray(0, 514),
    named,
    named.subarray(0, 600),
  ])
    expect(() => read(cut)).toThrow("unexpected EOF");
});
