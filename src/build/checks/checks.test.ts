// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are variables of Dockerfiles
import { describe, expect, test } from "bun:test";
import { IgnoreRules } from "../../lib/ignore.ts";
import type { ImageConfig } from "../../lib/oci.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { hostPlatform, platformArgs } from "../graph/scope.ts";
import { buildGraph } from "../graph/stages.ts";
import type { BaseImage } from "../types.ts";
import { checkFile, checkSettings, checkStages, inOrder, rules } from "./index.ts";

const platform = platformArgs(hostPlatform(), hostPlatform(), undefined);
const base = {
  config: { config: { Env: ["PATH=/bin", "FROM_BASE=1"] } } as ImageConfig,
  platform: { os: "linux", architecture: "amd64" },
} as BaseImage;

function check(text: string, options: { setting?: string; ignore?: string; platform?: string } = {}) {
  const dockerfile = parseDockerfile(text, "Dockerfile");
  const settings = checkSettings(options.setting ?? dockerfile.directives.get("check"));
  const subject = {
    dockerfile,
    graph: buildGraph(dockerfile, { buildArgs: {}, platform }),
    ignore: IgnoreRules.parse(options.ignore ?? ""),
    base: () => base,
    platform: () => options.platform ?? "linux/amd64",
  };
  return inOrder([...checkFile(dockerfile, settings), ...checkStages(subject, settings)]);
}

const lines = (text: string, options?: Parameters<typeof check>[1]) =>
  check(text, options).map(({ rule, detail, range }) => `${range.line} ${rule.name}: ${detail}`);

describe("finds", () => {
  const cases: [string, string[], Parameters<typeof check>[1]?][] = [
    ["FROM a AS Builder", ["1 StageNameCasing: Stage name 'Builder' should be lowercase"]],
    ["FROM a as b", ["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"]],
    ["FROM a\nENV A=1 \\\n\n  B=2", ["2 NoEmptyContinuation: Empty continuation line"]],
    [
      "FROM a\nrun x\nRUN y",
      [
        "2 ConsistentInstructionCasing: Command 'run' should match the case of the command majority (uppercase)",
      ],
    ],
    [
      'FROM a\nEnTrYpOiNt ["x"]',
      [
        "2 ConsistentInstructionCasing: Command 'EnTrYpOiNt' should match the case of the command majority (uppercase)",
      ],
    ],
    [
      "FROM a AS b\nFROM a AS b",
      ['2 DuplicateStageName: Duplicate stage name "b", stage names should be unique'],
    ],
    [
      "FROM a AS scratch",
      ['1 ReservedStageName: Stage name should not use the same name as reserved stage "scratch"'],
    ],
    [
      "FROM a\nCMD x",
      [
        "2 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
      ],
    ],
    ['FROM a\nSHELL ["s"]\nCMD x', []],
    [
      "FROM a\nMAINTAINER me",
      ["2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"],
    ],
    [
      "ARG VERSION=1\nFROM a:${VERSIO}x",
      ["2 UndefinedArgInFrom: FROM argument 'VERSIO' is not declared (did you mean VERSION?)"],
    ],
    [
      "FROM a\nWORKDIR x\nWORKDIR y",
      ['2 WorkdirRelativePath: Relative workdir "x" can have unexpected results if the base image changes'],
    ],
    ["FROM a\nWORKDIR /x\nWORKDIR y", []],
    [
      "FROM a\nCOPY $foo .\nCOPY $FROM_BASE ${bar:-x} $PATH ./",
      ["2 UndefinedVar: Usage of undefined variable '$foo'"],
    ],
    ["FROM a\nARG foo\nCOPY $foo .", []],
    [
      "FROM a\nRUN --mount=type=cache,target=/$foo echo $unseen\nCOPY <<E <<'F' /x/\nit's $bar \\$no\nE\n$none\nF\n",
      [
        "2 UndefinedVar: Usage of undefined variable '$foo'",
        "3 UndefinedVar: Usage of undefined variable '$bar'",
      ],
    ],
    [
      'FROM a\nCMD ["a"]\nCMD ["b"]',
      [
        "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used",
      ],
    ],
    [
      "FROM a\nENV a b",
      ['2 LegacyKeyValueFormat: "ENV key=value" should be used instead of legacy "ENV key value" format'],
    ],
    [
      "FROM --platform=$TARGETPLATFORM a",
      [
        "1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
      ],
    ],
    [
      "FROM a\nARG API_TOKEN\nENV PUBLIC_KEY=x",
      ['2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "API_TOKEN")'],
    ],
    [
      "ARG TAG\nFROM a:$TAG-",
      [
        "2 InvalidDefaultArgInFrom: Default value for ARG a:$TAG- results in empty or invalid base image name",
      ],
    ],
    [
      "FROM --platform=linux/amd64 a",
      ['1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/amd64"'],
    ],
    ["FROM --platform=linux/amd64 a AS build_amd64", []],
    [
      "FROM a\nCOPY x/y .\nADD . /z",
      ['2 CopyIgnoredFile: Attempting to Copy file "x/y" that is excluded by .dockerignore'],
      { ignore: "x" },
    ],
    [
      "# other thing\nARG foo=1\n# b the builder\nFROM a AS b",
      ["2 InvalidDefinitionDescription: Comment for ARG should follow the format: `# foo <description>`"],
      { setting: "experimental=all" },
    ],
    ["# other thing\nARG foo=1\nFROM a", []],
    [
      "FROM a\nEXPOSE 80/TcP 81/udp",
      ["2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase"],
    ],
    [
      "FROM a\nEXPOSE 127.0.0.1:80:80",
      [
        "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
      ],
    ],
    [
      "FROM a",
      [
        '1 InvalidBaseImagePlatform: Base image a was pulled with platform "linux/amd64", expected "linux/arm64" for current build',
      ],
      { platform: "linux/arm64" },
    ],
  ];
  test.each(cases.map(([text, expected, options]) => ({ text, expected, options })))("$text", (found) => {
    expect(lines(found.text, found.options)).toEqual(found.expected);
  });
});

test("directives and build arguments choose", () => {
  const text = "FROM a as B\nCMD x";
  expect(check(text)).toHaveLength(3);
  expect(check(`# check=skip=FromAsCasing,stagenamecasing\n${text}`)).toHaveLength(1);
  expect(check(`# check=skip=all\n${text}`)).toEqual([]);
  expect(check(text, { setting: "skip=JSONArgsRecommended;error=true" })).toHaveLength(2);
  expect(checkSettings("skip=A;error=true").error).toBe(true);
  expect(checkSettings(undefined).error).toBe(false);
});

test("a stage that is not needed is not looked at", () => {
  expect(lines("FROM a AS b\nCMD x\nFROM c\nRUN d")).toEqual([]);
});

test("each rule has a page of Docker's", () => {
  expect(rules.map(({ name }) => name)).toHaveLength(new Set(rules.map(({ name }) => name)).size);
  expect(rules.map(({ url }) => url)).toContain(
    "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
  );
  expect(rules.map(({ url }) => url)).toContain("https://docs.docker.com/go/dockerfile/rule/from-as-casing/");
});
