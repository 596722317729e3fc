/** `lint` against a real daemon, as people and scripts call it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-lint-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

function project(dockerfile: string, ignore?: string): string {
  const root = mkdtempSync(join(directory, "project-"));
  writeFileSync(join(root, "Dockerfile"), dockerfile);
  if (ignore !== undefined) writeFileSync(join(root, ".dockerignore"), ignore);
  return root;
}
const lint = (cwd: string, ...args: string[]) => daemon.gantry(["lint", ...args], { cwd });

test("findings have their line, the reason and what to do, and decide the exit status", async () => {
  const root = project("FROM busybox:1\nADD . /app\nEXPOSE 80\n");
  const result = await lint(root);
  expect(result.code).toBe(1);
  expect(result.stdout).toContain(
    "Dockerfile:2: warning: ADD of the whole context, and there is no .dockerignore (DockerignoreMissing)\n  why: Without",
  );
  expect(result.stdout).toContain("Dockerfile:2: warning: ADD of . (AddInsteadOfCopy)");
  expect(result.stdout).toMatch(/ {2}fix: use COPY\n {2}--fix does it\n/);
  expect((await lint(root, "--fail-on", "error")).code).toBe(0);
  expect((await lint(root, "--severity", "warning")).stdout).not.toContain("info:");
  const good = project("FROM busybox:1\nCOPY . /app\nUSER app\n", ".git\n");
  expect(await lint(good)).toMatchObject({ code: 0, stdout: "Nothing found.\n" });
});

test("--fix changes what it may and nothing else; the second time there is nothing to do", async () => {
  const root = project(
    "# My app.\nFROM busybox:1 as app\n\nADD a.txt   /app/  \nrun true\nENV A b\nUSER app\n",
    "x",
  );
  const first = await lint(root, "--fix", "--format", "json");
  expect(JSON.parse(first.stdout).fixed.sort()).toEqual([
    "AddInsteadOfCopy",
    "ConsistentInstructionCasing",
    "FromAsCasing",
    "LegacyKeyValueFormat",
  ]);
  const text = readFileSync(join(root, "Dockerfile"), "utf8");
  expect(text).toBe(
    "# My app.\nFROM busybox:1 AS app\n\nCOPY a.txt   /app/  \nRUN true\nENV A=b\nUSER app\n",
  );
  expect(JSON.parse((await lint(root, "--fix", "--format", "json")).stdout)).toMatchObject({
    fixed: [],
    findings: [],
  });
});

test("what can't be parsed, isn't there or is asked for wrongly", async () => {
  const root = project("FROM busybox:1\nRUNN x\n");
  const broken = await lint(root);
  expect(broken.code).toBe(1);
  expect(broken.stdout).toContain(
    "Dockerfile:2: error: dockerfile parse error on line 2: unknown instruction: RUNN",
  );
  expect((await lint(root, "none")).stderr).toContain("none: no such file or directory");
  expect((await lint(root, "--severity", "loud")).stderr).toContain('invalid --severity "loud"');
  const sub = project("FROM busybox:1\n");
  expect((await lint(root, join(sub, "Dockerfile"))).stdout).toContain(
    `${join(sub, "Dockerfile")}:1: warning`,
  );
});
