/** Containers on a terminal, by both command lines. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { executable, run, TestDaemon } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const programs: [string, () => string[]][] = [
  ["gantry", () => [executable, "-H", daemon.host]],
  ["docker", () => ["docker", "-H", daemon.host]],
];

describe.each(programs)("%s", (name, program) => {
  /** Types each step's text when what is before it has been shown. */
  const type = (steps: [string, string][], ...args: string[]) =>
    run(
      ["python3", join(import.meta.dir, "support/terminal.py"), JSON.stringify(steps), ...program(), ...args],
      { env: { TERM: "dumb" } },
    );

  test("run -it: the terminal's size, output as it is, and the exit code", async () => {
    const result = await type(
      [["#", "stty size; stty -a | grep -c opost; exit 5\n"]],
      "run",
      "--rm",
      "-it",
      "busybox",
      "sh",
    );
    expect(result.code).toBe(5);
    expect(result.stdout).toContain("\n33 101\r\n");
    expect(result.stdout).not.toContain("\r\r\n");
  });

  test("detach by keys, attach again, exec on a terminal", async () => {
    const container = `${name}-terminal`;
    const left = await type(
      [
        ["#", "echo fir''st\n"],
        ["first", "\x10\x11"],
      ],
      "run",
      "-it",
      "--name",
      container,
      "busybox",
      "sh",
    );
    expect(left.code).toBe(0);
    expect(await daemon.ok(["inspect", "-f", "{{.State.Running}}", container])).toBe("true");
    const exec = await type([["#", "tty; exit 4\n"]], "exec", "-it", container, "sh");
    expect(exec.code).toBe(4);
    expect(exec.stdout).toMatch(/\/dev\/pts\/\d/);
    const back = await type(
      [
        ["", "echo aga''in\n"],
        ["again", "exit 3\n"],
      ],
      "attach",
      container,
    );
    expect(back.code).toBe(3);
    await daemon.ok(["rm", container]);
  });

  test("a terminal is asked for where there is none", async () => {
    const result = await run([...program(), "run", "--rm", "-it", "busybox", "true"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("the input device is not a TTY");
  });
});
