import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Flags } from "../command.ts";
import { HelpRequested, parseFlags, UsageError } from "./parse.ts";

const specs = {
  interactive: { kind: "bool", short: "i", help: "" },
  tty: { kind: "bool", short: "t", help: "" },
  rm: { kind: "bool", help: "" },
  "sig-proxy": { kind: "bool", help: "", default: "true" },
  publish: { kind: "list", short: "p", help: "" },
  env: { kind: "list", short: "e", help: "" },
  name: { kind: "string", help: "" },
  memory: { kind: "bytes", short: "m", help: "" },
  cpus: { kind: "decimal", help: "" },
  last: { kind: "int", short: "n", help: "", default: "-1" },
  opt: { kind: "strings", help: "" },
  "health-interval": { kind: "duration", help: "" },
} as const satisfies Flags;

const cases: [string, Record<string, unknown>, string[]][] = [
  ["-it x", { interactive: true, tty: true }, ["x"]],
  ["-p80:80 -p 81:81 --publish=82:82", { publish: ["80:80", "81:81", "82:82"] }, []],
  ["-itp80:80 x", { interactive: true, tty: true, publish: ["80:80"] }, ["x"]],
  ["--rm=false x --rm", { rm: true }, ["x"]],
  ["--sig-proxy=false", { "sig-proxy": false }, []],
  ["-e=A=1 -e B=2", { env: ["A=1", "B=2"] }, []],
  ["--name= x", { name: "" }, ["x"]],
  ["-m 64m --cpus 1.5", { memory: 67108864, cpus: 1500000000 }, []],
  ["-n5", { last: 5 }, []],
  ["-n -3", { last: -3 }, []],
  ["--opt a,b --opt c", { opt: ["a", "b", "c"] }, []],
  ["--health-interval 1m30s", { "health-interval": 90e9 }, []],
  ["x -- --rm -t", { rm: false, tty: false }, ["x", "--rm", "-t"]],
  ["- x", {}, ["-", "x"]],
];
test.each(cases)("%s", (line, expected, args) => {
  const parsed = parseFlags(specs, line.split(" "));
  expect(parsed.flags).toMatchObject(expected);
  expect(parsed.args).toEqual(args);
});

test("defaults, and what was given", () => {
  const parsed = parseFlags(specs, ["--rm=false"]);
  expect(parsed.flags).toMatchObject({ last: -1, "sig-proxy": true, rm: false, publish: [] });
  expect(parsed.flags.name).toBeUndefined();
  expect([parsed.given("rm"), parsed.given("tty")]).toEqual([true, false]);
});

test("the first argument ends the flags of run and exec", () => {
  const parsed = parseFlags(specs, ["--rm", "busybox", "ls", "-t", "--", "--rm"], { interspersed: false });
  expect(parsed.flags).toMatchObject({ rm: true, tty: false });
  expect(parsed.args).toEqual(["busybox", "ls", "-t", "--", "--rm"]);
});

describe("errors in pflag's words", () => {
  test.each([
    ["--nam x", "unknown flag: --nam\nDid you mean --name?"],
    ["--zzzzz", "unknown flag: --zzzzz"],
    ["-iz", "unknown shorthand flag: 'z' in -z"],
    ["--name", "flag needs an argument: --name"],
    ["-tp", "flag needs an argument: 'p' in -p"],
    ["-n x", 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    [
      "--rm=maybe",
      'invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    ["-m 1x", 'invalid argument "1x" for "-m, --memory" flag: invalid size: \'1x\''],
    [
      "--health-interval 5",
      'invalid argument "5" for "--health-interval" flag: time: missing unit in duration "5"',
    ],
  ])("%s", (line, message) => {
    expect(() => parseFlags(specs, line.split(" "))).toThrow(new UsageError(message));
  });
  test("help", () => {
    expect(() => parseFlags(specs, ["--help"])).toThrow(HelpRequested);
    expect(() => parseFlags(specs, ["-h"])).toThrow(HelpRequested);
  });
});

test("what follows -- is never read as a flag", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      expect(parseFlags(specs, ["--", ...words]).args).toEqual(words);
    }),
  );
});
