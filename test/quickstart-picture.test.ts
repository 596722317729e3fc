/** The README's picture is drawn from what a terminal showed, not from what was written to it. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { run } from "./support/daemon.ts";

const script = join(import.meta.dir, "..", "script/lib/terminal-picture.ts");
const draw = (recording: string, ...commands: string[]) =>
  run(["bun", script, ...commands], { stdin: recording });

const recording = [
  "$ build",
  "\x1b[34mfirst time\x1b[0m",
  "",
  "$ build",
  "0%\x1b[K\r\x1b[31mfailed\x1b[0m <&>",
  "drawn",
  "over\x1b[1A\rDRAWN",
  "",
  "$ show",
  "",
  `$ show ${"x".repeat(120)}`,
  "WARN /a/path: no matter",
  "shown",
].join("\r\n");

test("the last build, then what followed it, with colours and broken lines joined", async () => {
  const { code, stdout } = await draw(recording, "build", "show x");
  expect(code).toBe(0);
  const lines = [...stdout.matchAll(/<text .*?<\/text>/g)].map(([line]) => line.replace(/<[^>]*>/g, ""));
  expect(lines).toEqual([
    "$ build",
    "failed &lt;&amp;&gt;",
    "DRAWN",
    "over",
    `$ show ${"x".repeat(120)}`,
    "shown",
  ]);
  expect(stdout).toContain('<tspan fill="#ff7b72">failed</tspan>');
  expect(stdout).not.toContain("first time");
});

test("a command that was not run is told", async () => {
  const { code, stderr } = await draw(recording, "build", "none");
  expect(code).toBe(1);
  expect(stderr).toContain("the terminal did not show: $ none");
});
