// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are variables of Dockerfiles
import { describe, expect, test } from "bun:test";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { nameVertices } from "../solve/progress.ts";
import { hostPlatform, parsePlatform, platformArgs } from "./scope.ts";
import { buildGraph } from "./stages.ts";

const platform = platformArgs(
  { os: "linux", architecture: "amd64" },
  { os: "linux", architecture: "arm64" },
  undefined,
);
const graphOf = (
  source: string,
  options: { target?: string; buildArgs?: Record<string, string | null> } = {},
) => buildGraph(parseDockerfile(source, "Dockerfile"), { buildArgs: {}, platform, ...options });

describe("stages", () => {
  test("names, indices and images as bases", () => {
    const { stages } = graphOf("FROM a AS x\nFROM X AS y\nFROM scratch\nFROM b");
    expect(stages.map(({ base }) => base)).toEqual([{ image: "a" }, { stage: 0 }, "scratch", { image: "b" }]);
  });
  test("a stage named like its own image begins from the image", () => {
    expect(graphOf("FROM a AS a").stages[0]!.base).toEqual({ image: "a" });
  });
  test.each<[string, string | undefined, number[]]>([
    ["FROM a AS x\nFROM b AS y\nFROM c\nCOPY --from=x / /", undefined, [0, 2]],
    ["FROM a AS x\nFROM b AS y\nFROM c\nCOPY --from=1 / /", undefined, [1, 2]],
    ["FROM a AS x\nFROM x AS y\nFROM c", "y", [0, 1]],
    ["FROM a AS x\nFROM x AS y\nFROM c", "0", [0]],
    ["FROM a AS x\nFROM b\nRUN --mount=type=bind,from=x,target=/x ls", undefined, [0, 1]],
    ["FROM a AS x\nFROM b\nCOPY --from=image / /", undefined, [1]],
    ["FROM a\nCOPY --from=later / /\nFROM b AS later", "0", [0, 1]],
  ])("only what the target needs: %p", (source, target, needed) => {
    expect(graphOf(source, { target }).needed).toEqual(needed);
  });
});

describe("ARG before FROM", () => {
  test.each<[string, Record<string, string | null>, string]>([
    ["ARG V=1\nFROM a:$V", {}, "a:1"],
    ["ARG V=1\nFROM a:${V}", { V: "2" }, "a:2"],
    ["ARG V=1\nARG W=${V}x\nFROM a:$W", {}, "a:1x"],
    ["ARG V\nFROM a:${V:-d}", {}, "a:d"],
    ["ARG V=1\nFROM a:$V", { V: null }, "a:1"],
    ["FROM a:$TARGETARCH", {}, "a:arm64"],
    ["FROM --platform=$BUILDPLATFORM a", {}, "a"],
  ])("%p with %p", (source, buildArgs, image) => {
    expect(graphOf(source, { buildArgs }).stages[0]!.base).toEqual({ image });
  });
  test("the platform is substituted", () => {
    expect(graphOf("FROM --platform=$BUILDPLATFORM a").stages[0]!.platform).toBe("linux/amd64");
  });
});

test.each([
  ["FROM a AS builder", "bulider", 'target stage "bulider" could not be found (did you mean builder?)'],
  ["FROM a", "7", 'target stage "7" could not be found'],
  ["FROM a AS x\nCOPY --from=x / /", undefined, "circular dependency detected on stage: x"],
  [
    "FROM a AS x\nCOPY --from=y / /\nFROM a AS y\nCOPY --from=x / /",
    undefined,
    "circular dependency detected on stage: x",
  ],
  ["FROM a\nCOPY --from=3 / /", undefined, "invalid stage index 3"],
  ["FROM a\nCOPY --from=$x / /", undefined, "variable expansion is not supported for --from"],
  ["FROM $none", undefined, "dockerfile parse error on line 1: base name ($none) should not be blank"],
  ["RUN a\nFROM b", undefined, "dockerfile parse error on line 1: no build stage in current context"],
  ["ARG a", undefined, "dockerfile parse error on line 1: no build stage in current context"],
  ["FROM ${a", undefined, "missing '}'"],
  ["FROM --platform=$none a", undefined, "empty platform value from expression $none"],
])("%p, target %p", (source, target, message) => {
  expect(() => graphOf(source, { target })).toThrow(message);
});

test("vertices are counted as BuildKit and as the classic builder do", () => {
  const graph = graphOf("FROM a AS b\nENV x=y\nRUN z\nFROM c AS unused\nFROM d\nCOPY --from=b / /\nCMD e");
  const names = [...nameVertices(graph).values()].map(({ name, step }) => [step!.number, step!.total, name]);
  expect(names).toEqual([
    [1, 6, "[b 1/2] FROM a AS b"],
    [2, 6, "[b] ENV x=y"],
    [3, 6, "[b 2/2] RUN z"],
    [4, 6, "[stage-2 1/2] FROM d"],
    [5, 6, "[stage-2 2/2] COPY --from=b / /"],
    [6, 6, "[stage-2] CMD e"],
  ]);
});

test("platforms", () => {
  const host = { os: "linux", architecture: "amd64" };
  expect(parsePlatform("linux/arm/v7", host)).toEqual({ os: "linux", architecture: "arm", variant: "v7" });
  expect(parsePlatform("aarch64", host)).toEqual({ os: "linux", architecture: "arm64" });
  expect(parsePlatform("linux", host)).toEqual(host);
  expect(parsePlatform("a/b/c/d", host)).toBeUndefined();
  expect(parsePlatform("linux/$x", host)).toBeUndefined();
  expect(hostPlatform().os).toBe("linux");
});
