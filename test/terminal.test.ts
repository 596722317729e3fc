/** Containers on a terminal, by both command lines. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
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

  test("the detach keys of config.json are those, and the usual ones go to the container", async () => {
    const config = join(daemon.root, `${name}-keys`);
    mkdirSync(config);
    writeFileSync(join(config, "config.json"), JSON.stringify({ detachKeys: "ctrl-e,e" }));
    const container = `${name}-keys`;
    const steps: [string, string][] = [
      // The line editor would take the keys as they are: they are for the command.
      ["#", "echo go''es; head -c 2 | od -An -tx1; echo do''ne\n"],
      ["goes", "\x10\x11\n"],
      ["done", "\x05e"],
    ];
    const { code, stdout } = await type(
      steps,
      ...["--config", config, "run", "-it", "--name", container, "busybox", "sh"],
    );
    expect(code).toBe(0);
    // The terminal takes ctrl-q for itself.
    expect(stdout).toContain("10 0a");
    expect(await daemon.ok(["inspect", "-f", "{{.State.Running}}", container])).toBe("true");
  });

  test("a signal to the client reaches the container", async () => {
    const loop = "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    const command = [...program(), "run", "--rm", "busybox", "sh", "-c", loop];
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
    let shown = "";
    for await (const bytes of child.stdout) {
      if (shown === "") child.kill("SIGTERM");
      shown += Buffer.from(bytes).toString();
    }
    expect(shown).toBe("ready\ngot it\n");
    expect(await child.exited).toBe(7);
  });

  test("a terminal is asked for where there is none", async () => {
    const result = await run([...program(), "run", "--rm", "-it", "busybox", "true"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("the input device is not a TTY");
  });
});
