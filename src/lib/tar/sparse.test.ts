/** Sparse files as GNU tar writes them, and maps that lie. */
import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { InvalidParameter } from "../errors.ts";
import { TarReader } from "./index.ts";
import { checkMap, paxMap } from "./sparse.ts";

const scratch = mkdtempSync(join(tmpdir(), "gs-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** More runs of data than the old GNU header and its first block have places for; a hole at the end. */
const runs = Array.from({ length: 30 }, (_, index) => ({ at: index * 65536 + 4096, text: `run ${index}` }));
const size = 3 << 20;
const path = join(scratch, "holes");
const fd = openSync(path, "w");
for (const { at, text } of runs) writeSync(fd, text, at);
ftruncateSync(fd, size);
closeSync(fd);

function archive(...flags: string[]): Buffer {
  const target = join(scratch, "a.tar");
  const { exitCode } = Bun.spawnSync(["tar", "--sparse", ...flags, "-cf", target, "-C", scratch, "holes"]);
  expect(exitCode).toBe(0);
  return readFileSync(target);
}

/** Reads in chunks of `step` bytes, which are overwritten when the reader has had them. */
function read(tar: Buffer, step = tar.length) {
  const content = Buffer.alloc(size);
  const found: { path: string; size: number; stored: number; ends: number } = {
    path: "",
    size: 0,
    stored: 0,
    ends: 0,
  };
  const reader = new TarReader({
    entry: (entry) => Object.assign(found, { path: entry.path, size: entry.size }),
    data(bytes, offset) {
      content.set(bytes, offset);
      found.stored += bytes.length;
    },
    end: () => found.ends++,
  });
  for (let at = 0; at < tar.length; at += step) {
    const chunk = Buffer.from(tar.subarray(at, at + step));
    reader.push(chunk);
    chunk.fill(0xee);
  }
  reader.finish();
  return { ...found, content };
}

const formats = [
  ["old GNU", ["--format=gnu"]],
  ["pax 0.0", ["--format=pax", "--sparse-version=0.0"]],
  ["pax 0.1", ["--format=pax", "--sparse-version=0.1"]],
  ["pax 1.0", ["--format=pax", "--sparse-version=1.0"]],
] as const;

describe.each(formats)("%s", (_name, flags) => {
  const tar = archive(...flags);

  test.each([tar.length, 512, 700, 77])("holes and data are where they were, in chunks of %p", (step) => {
    const found = read(tar, step);
    expect(found).toMatchObject({ path: "holes", size, ends: 1 });
    expect(found.stored).toBeLessThan(size / 4);
    expect(found.content.equals(readFileSync(path))).toBe(true);
  });

  test("bytes changed anywhere in its headers are refused or harmless", () => {
    fc.assert(
      fc.property(fc.nat(4095), fc.nat(255), (at, value) => {
        const changed = Buffer.from(tar);
        changed[at] = value;
        try {
          read(changed);
        } catch (error) {
          // A map may put data where the test's own buffer ends.
          expect(error instanceof InvalidParameter || error instanceof RangeError).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });
});

test("maps that overlap, go back, or leave the file are refused", () => {
  for (const map of ["0,10,5,10", "20,5,0,5", "95,10"])
    expect(() => {
      const extents = paxMap(map);
      checkMap(
        extents,
        extents.reduce((sum, { length }) => sum + length, 0),
        100,
      );
    }).toThrow(RangeError);
  expect(() => checkMap(paxMap("0,10"), 11, 100)).toThrow(RangeError);
  expect(() => paxMap("0,1,2")).toThrow(RangeError);
  expect(() => paxMap("0,9007199254740993")).toThrow(RangeError);
});
