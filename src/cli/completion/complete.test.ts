import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { complete, type NameKind } from "./complete.ts";
import { readHelp } from "./program.ts";
import { scripts } from "./scripts.ts";

const known: Record<NameKind, string[]> = {
  container: ["web", "db", "old"],
  running: ["web", "db"],
  stopped: ["old"],
  paused: [],
  image: ["app:1", "app:2", "busybox:latest"],
  network: ["bridge", "front"],
  volume: ["data"],
  context: ["default", "staging"],
  token: ["ci"],
  object: ["web", "app:1"],
};

async function at(line: string) {
  const { suggestions, files } = await complete(
    line.split(" "),
    async (kind) => known[kind].map((value) => ({ value })),
    async (program, words) => ({ suggestions: [{ value: `<${program}:${words.join("|")}>` }], files: false }),
  );
  return [...suggestions.map(({ value }) => value), ...(files ? [":files"] : [])];
}

describe("complete", () => {
  const cases: [line: string, expected: string[]][] = [
    ["vol", ["volume"]],
    ["volume r", ["rm"]],
    ["--contex", ["--context"]],
    ["--context ", ["default", "staging"]],
    ["--context staging volume l", ["ls"]],
    ["ps --la", ["--last", "--latest"]],
    ["ps --format j", ["json"]],
    ["stop ", ["web", "db"]],
    ["token rm ", ["ci"]],
    ["stop web ", ["web", "db"]],
    ["stop -t 5 d", ["db"]],
    ["container start ", ["old"]],
    ["rm -f ", ["web", "db", "old"]],
    ["unpause ", []],
    ["run -it b", ["busybox:latest"]],
    ["run --rm --network fr", ["front"]],
    ["run --network=fr", ["--network=front"]],
    ["run --restart u", ["unless-stopped"]],
    ["run -d --name x --pull=al", ["--pull=always"]],
    ["run busybox --he", [":files"]],
    ["run -e A=1 app:", ["app:1", "app:2"]],
    ["exec -it w", ["web"]],
    ["rmi app:1 app", ["app:1", "app:2"]],
    ["tag app:1 ", ["app:1", "app:2", "busybox:latest"]],
    ["network connect ", ["bridge", "front"]],
    ["network connect front ", ["web", "db", "old"]],
    ["network connect front web ", []],
    ["network create ", []],
    ["volume inspect ", ["data"]],
    ["inspect --type vo", ["volume"]],
    ["inspect w", ["web"]],
    ["context use s", ["staging"]],
    ["completion ", ["bash", "fish", "zsh"]],
    ["cp we", ["web:", ":files"]],
    ["cp ./x we", ["web:", ":files"]],
    ["build -t app ", [":files"]],
    ["build -f ", [":files"]],
    ["save -o ", [":files"]],
    ["compose <", ["<compose:<>"]],
    ["nonsense ", []],
  ];
  test.each(cases)("%j", async (line, expected) => {
    expect(await at(line)).toEqual(expected);
  });
  test("the hidden command is no suggestion", async () => {
    expect(await at("")).not.toContain("__complete");
  });
});

test("a help text is read for its commands and flags", () => {
  const { commands, flags } = readHelp(
    "Usage:  x\n\nOptions:\n      --ansi string   Colours\n  -f, --file stringArray   Files\n\nCommands:\n  up     Start\n  down   Stop\n",
  );
  expect(commands).toEqual([
    { value: "up", help: "Start" },
    { value: "down", help: "Stop" },
  ]);
  expect(flags.map(({ value }) => value)).toEqual(["--ansi", "--file"]);
});

describe("bash", () => {
  /** What bash would offer for a line, given the answers of a stand-in for gantry. */
  function offered(line: string, answers: string, lastWord: string): { replies: string[]; asked: string[] } {
    const directory = mkdtempSync(join(tmpdir(), "gantry-completion-"));
    try {
      const program = join(directory, "gantry");
      writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" > ${directory}/asked\nprintf -- '${answers}'\n`);
      chmodSync(program, 0o755);
      const text = line.replace(/^gantry/, program);
      const { stdout, stderr } = Bun.spawnSync(
        [
          "bash",
          "-c",
          `${scripts.bash!(true)}\nCOMP_LINE=${JSON.stringify(text)} COMP_POINT=${text.length} COMP_WORDS=("${lastWord}") COMP_CWORD=0\n__gantry_complete\nprintf '%s\\n' "\${COMPREPLY[@]}"\necho ==; tail -n +3 ${directory}/asked`,
        ],
        { cwd: directory },
      );
      expect(stderr.toString()).toBe("");
      const [replies = "", asked = ""] = stdout.toString().split("==\n");
      const lines = (part: string) => part.split("\n").slice(0, -1);
      return { replies: lines(replies), asked: lines(asked) };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  test("asks with the words so far, an empty one at a space", () => {
    expect(offered("gantry stop web ", "db\\tbusybox, Up\\n", "")).toEqual({
      replies: ["db"],
      asked: ["stop", "web", ""],
    });
  });
  test("takes from an answer what bash holds to be done", () => {
    expect(offered("gantry run app:", "app:1\\napp:2\\n", "").replies).toEqual(["1", "2"]);
    expect(offered("gantry run --network=fr", "--network=front\\n", "fr").replies).toEqual(["front"]);
  });
  test("offers files where they fit", () => {
    expect(offered("gantry build -f as", ":files\\n", "as").replies).toEqual(["asked"]);
  });
});
