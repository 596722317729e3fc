import { describe, expect, test } from "bun:test";
import { type FlagSpecs, parseFlags, UsageError } from "./flags.ts";

const specs = {
  detach: { type: "bool", short: "d", help: "" },
  tail: { type: "string", short: "n", help: "", default: "all" },
  timeout: { type: "int", short: "t", help: "" },
  env: { type: "list", short: "e", help: "" },
} as const satisfies FlagSpecs;

describe("parseFlags", () => {
  const none = { detach: false, tail: "all", timeout: undefined, env: [] };
  const cases: [words: string[], flags: object, args: string[]][] = [
    [[], none, []],
    [["-d", "web"], { ...none, detach: true }, ["web"]],
    [["web", "--detach"], { ...none, detach: true }, ["web"]],
    [["--detach=false"], none, []],
    [["--tail", "5", "-t", "3"], { ...none, tail: "5", timeout: 3 }, []],
    [["--tail=5", "-t3"], { ...none, tail: "5", timeout: 3 }, []],
    [["-dt=3"], { ...none, detach: true, timeout: 3 }, []],
    [["-e", "A=1", "--env=B=2"], { ...none, env: ["A=1", "B=2"] }, []],
    [["--", "-d"], none, ["-d"]],
    [["-"], none, ["-"]],
  ];
  test.each(cases)("%j", (words, flags, args) => {
    expect(parseFlags(specs, words)).toEqual({ flags, args } as ReturnType<typeof parseFlags<typeof specs>>);
  });
  test("flags behind the first argument can belong to it", () => {
    expect(parseFlags(specs, ["-d", "web", "ls", "-t"], false)).toMatchObject({
      flags: { detach: true },
      args: ["web", "ls", "-t"],
    });
  });
  test.each([
    [["--detatch"], 'unknown flag: --detatch (did you mean "--detach"?)'],
    [["-x"], "unknown shorthand flag: 'x' in -x"],
    [["--tail"], "flag needs an argument: --tail"],
    [["-dn"], "flag needs an argument: 'n' in -dn"],
    [
      ["--timeout", "x"],
      'invalid argument "x" for "-t, --timeout" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ],
  ])("%j fails", (words, message) => {
    expect(() => parseFlags(specs, words)).toThrow(message);
    expect(() => parseFlags(specs, words)).toThrow(UsageError);
  });
});
