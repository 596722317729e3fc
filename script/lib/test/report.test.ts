import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failures, shortened, slowest } from "./report.ts";

/** What bun prints of these files. */
function logOf(files: Record<string, string>): string {
  const directory = mkdtempSync(join(tmpdir(), "gt-report-"));
  try {
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(directory, name), `import { afterAll, expect, test } from "bun:test";\n${text}`);
    const { stderr } = Bun.spawnSync([process.execPath, "test"], {
      cwd: directory,
      stderr: "pipe",
      stdout: "ignore",
    });
    return stderr.toString();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("each failure of a log is found, with its file and its error", () => {
  const log = logOf({
    "a.test.ts": `
      test("good", () => {});
      test("unequal", () => { expect({ a: 1 }).toEqual({ a: 2 }); });
      test("good too", () => {});
      test("slow", () => Bun.sleep(2000), 10);
    `,
    "b.test.ts": `afterAll(() => { throw new Error("in a hook"); });\ntest("good", () => {});`,
    "c.test.ts": `import "./nothere.ts";\ntest("good", () => {});`,
  });
  const found = failures(log);
  expect(found.map(({ file }) => file).sort()).toEqual(["a.test.ts", "a.test.ts", "b.test.ts", "c.test.ts"]);
  const [unequal, slow, hook, module] = found.map(({ lines }) => lines.join("\n"));
  expect(unequal).toMatch(/^error: expect\(received\)\.toEqual\(expected\)$/m);
  expect(unequal).toMatch(/^- {3}"a": 2,$.*a\.test\.ts:4:.*^\(fail\) unequal/ms);
  expect(unequal).not.toContain("(pass)");
  expect(slow).toMatch(/^\(fail\) slow[^\n]*\n[^\n]*timed out/);
  expect(hook).toContain("error: in a hook");
  expect(module).toContain("Cannot find module './nothere.ts'");
});

test("a log without a failure has none", () => {
  expect(
    failures(logOf({ "a.test.ts": `test("error: is a name", () => console.error("error: said"));` })),
  ).toEqual([]);
});

test("of a long block stay the error, what follows it and the end", () => {
  const block = [
    ...Array.from({ length: 100 }, (_, n) => `output ${n}`),
    "error: expected",
    ...Array.from({ length: 100 }, (_, n) => `- line ${n}`),
    "(fail) long",
  ];
  const short = shortened(block, 30);
  expect(short).toHaveLength(30);
  expect(short.slice(0, 8)).toEqual([...block.slice(94, 100), "error: expected", "- line 0"]);
  expect(short.slice(-2)).toEqual(["- line 99", "(fail) long"]);
  expect(short.filter((line) => line.startsWith("…"))).toEqual(["… 79 lines …"]);
  expect(shortened(block.slice(0, 30), 30)).toEqual(block.slice(0, 30));
});

test("the slowest files come first", () => {
  const timings = JSON.stringify({
    version: 1,
    files: { "a.test.ts": 20, "b.test.ts": 61_250, "c.test.ts": 0 },
  });
  expect(slowest(timings, 2)).toEqual(["  61.3 s  b.test.ts", "   0.0 s  a.test.ts"]);
});
