import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { rules } from "../checks/index.ts";
import { expandWord } from "../dockerfile/expand.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { practices } from "./index.ts";
import { lintText, mendText } from "./testing.ts";

const names = (text: string, ignore?: string) => lintText(text, ignore).map(({ rule }) => rule.name);
const from = "FROM debian:12-slim\n";
const user = "USER app\n";

/** Rule, a file that has the fault at `line`, and one that hasn't. */
const cases: [rule: string, line: number, bad: string, good: string, ignore?: string][] = [
  ["BaseImageUnpinned", 1, "FROM debian\n", "FROM debian:12"],
  ["BaseImageUnpinned", 1, "FROM debian:latest\n", `FROM debian@sha256:${"0".repeat(64)}`],
  ["BaseImageUnpinned", 1, "FROM debian AS a\nFROM a", "FROM scratch"],
  ["BaseImageLarge", 1, "FROM node:20\n", "FROM node:20-slim"],
  [
    "BaseImageLarge",
    2,
    "FROM node:20 AS a\nFROM python:3.12\nCOPY --from=a /a /",
    "FROM node:20 AS a\nFROM python:3.12-slim\nCOPY --from=a /a /",
  ],
  ["BaseImageUnofficial", 1, "FROM someone/app:1", "FROM registry.example.org/someone/app:1"],
  [
    "SingleStageBuild",
    2,
    "FROM golang:1.22-alpine\nRUN go build -o /app .",
    "FROM golang:1.22-alpine AS b\nRUN go build -o /app .\nFROM scratch\nCOPY --from=b /app /",
  ],
  ["SingleStageBuild", 2, "FROM node:20-slim\nRUN npm ci && npm run build", "FROM node:20-slim\nRUN npm ci"],
  ["RootUser", 1, from, from + user],
  ["RootUser", 2, `${from}USER root`, `${from}USER 1000:0`],
  ["RootUser", 1, "FROM debian:12 AS a\nUSER x\nFROM debian:12", "FROM debian:12 AS a\nUSER x\nFROM a"],
  ["RootUser", 1, from, "FROM gcr.io/distroless/static:nonroot"],
  ["HealthcheckMissing", 2, `${from}EXPOSE 80`, `${from}EXPOSE 80\nHEALTHCHECK CMD curl -f localhost`],
  ["ManyLayers", 2, `${from}RUN a\nRUN b\nRUN c\nRUN d`, `${from}RUN a\nRUN b\nENV X=1\nRUN c\nRUN d`],
  ["SecretInFile", 2, `${from}ENV AWS=AKIAABCDEFGHIJKLMNOP`, `${from}ENV AWS=AKIA`],
  [
    "SecretInFile",
    2,
    `${from}RUN git clone https://me:pass@example.org/x.git`,
    `${from}RUN git clone https://example.org/x.git`,
  ],
  [
    "SecretInFile",
    2,
    `${from}RUN <<E\ncurl -H ghp_${"a".repeat(36)} x\nE`,
    `${from}RUN --mount=type=secret,id=t curl x`,
  ],
  ["SecretsUsedInArgOrEnv", 2, `${from}ARG DB_PASSWORD`, `${from}ARG DB_HOST`],
  ["DockerignoreMissing", 2, `${from}COPY . /app`, `${from}COPY src /app`, ""],
  [
    "CopyBeforeInstall",
    2,
    `${from}COPY . .\nRUN npm ci`,
    `${from}COPY package*.json ./\nRUN npm ci\nCOPY . .`,
  ],
  [
    "CopyBeforeInstall",
    2,
    `${from}COPY ./ /app/\nRUN pip install --no-cache-dir -r requirements.txt`,
    `${from}COPY . .\nRUN pip install --no-cache-dir .`,
  ],
  ["AddInsteadOfCopy", 2, `${from}ADD a.txt /`, `${from}ADD a.tar.gz /`],
  ["AddInsteadOfCopy", 2, `${from}ADD . /app`, `${from}ADD https://example.org/x /x`],
  [
    "DownloadUnchecked",
    2,
    `${from}ADD https://example.org/x /x`,
    `${from}ADD --checksum=sha256:${"0".repeat(64)} https://example.org/x /x`,
  ],
  ["CdInRun", 2, `${from}RUN cd /app`, `${from}RUN cd /app && make`],
  [
    "AptListsKept",
    2,
    `${from}RUN apt-get update && apt-get install -y curl`,
    `${from}RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*`,
  ],
  [
    "AptListsKept",
    2,
    `${from}RUN apt-get update && apt-get install -y curl`,
    `${from}RUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y curl`,
  ],
  ["AptUpdateAlone", 2, `${from}RUN apt-get update`, `${from}RUN apt-get update && apt-get -y upgrade`],
  ["AptInteractive", 2, `${from}RUN apt-get install curl`, `${from}RUN apt-get install -qqy curl`],
  [
    "AptRecommends",
    2,
    `${from}RUN apt-get -y install curl`,
    `${from}RUN apt-get install -y --no-install-recommends curl`,
  ],
  ["ApkCacheKept", 2, "FROM alpine:3\nRUN apk add curl", "FROM alpine:3\nRUN apk add --no-cache curl"],
  ["PipCacheKept", 2, `${from}RUN pip install flask`, `${from}ENV PIP_NO_CACHE_DIR=1\nRUN pip install flask`],
  [
    "PipCacheKept",
    2,
    `${from}RUN /venv/bin/pip install flask`,
    `${from}RUN --mount=type=cache,target=/root/.cache/pip pip install flask`,
  ],
  ["SudoInRun", 2, `${from}RUN sudo make`, `${from}RUN echo "pseudo sudo"`],
  ["WorkdirRelativePath", 2, `${from}WORKDIR app`, `${from}WORKDIR /app`],
];

describe("each practice finds its fault, and is silent without it", () => {
  test.each(
    cases.map(([rule, line, bad, good, ignore = ".git"]) => [rule, line, bad, good, ignore] as const),
  )("%s at line %d: %j, not in %j", (rule, line, bad, good, ignore) => {
    const found = lintText(bad, ignore).filter((warning) => warning.rule.name === rule);
    if (rule !== "RootUser" || line > 1) expect(found.map(({ range }) => range.line)).toEqual([line]);
    else expect(found).toHaveLength(1);
    expect(names(good, ignore)).not.toContain(rule);
  });

  test("every practice is in the table above, and says why and what to do", () => {
    const tested = new Set(cases.map(([rule]) => rule));
    expect(practices.map(({ name }) => name).filter((name) => !tested.has(name))).toEqual([]);
    for (const { advice, description, name } of practices) {
      expect(`${name} ${advice}`).not.toContain("undefined");
      expect(description.length).toBeGreaterThan(20);
    }
    const all = [...rules, ...practices].map(({ name }) => name);
    expect(new Set(all).size).toBe(all.length);
  });

  test("findings can be skipped, by a comment or for the file", () => {
    expect(names("# check=skip=RootUser,BaseImageUnpinned\nFROM busybox")).toEqual([]);
    expect(names("# gantry-lint ignore=BaseImageUnpinned\n# Any will do.\nFROM busybox\nUSER a")).toEqual([]);
    expect(names("# gantry-lint ignore=all\nFROM busybox\nADD a.txt /\nUSER a")).toEqual([
      "AddInsteadOfCopy",
    ]);
  });
});

describe("--fix", () => {
  test.each([
    ["ADD a.txt b/ /c/\n", "COPY a.txt b/ /c/\n"],
    ["ADD --chown=1:2 a.txt /\n", "COPY --chown=1:2 a.txt /\n"],
    ["ADD app /\n", "ADD app /\n"],
    [
      "RUN apt-get update && apt-get install -y a\n",
      "RUN apt-get update && apt-get install -y a && rm -rf /var/lib/apt/lists/*\n",
    ],
    [
      "RUN apt-get update && \\\n    # packages\n    apt-get install -y \\\n      a b\n",
      "RUN apt-get update && \\\n    # packages\n    apt-get install -y \\\n      a b \\\n      && rm -rf /var/lib/apt/lists/*\n",
    ],
    ["RUN apt-get update; apt-get install -y a\n", "RUN apt-get update; apt-get install -y a\n"],
    [
      "RUN apt-get update && apt-get install -y a\nRUN apt-get install -y b\n",
      "RUN apt-get update && apt-get install -y a\nRUN apt-get install -y b\n",
    ],
    ["RUN apt-get install a\n", "RUN apt-get install -y a\n"],
    ["RUN apk add \\\n  a\n", "RUN apk add --no-cache \\\n  a\n"],
    ["RUN /venv/bin/pip install a  # last\n", "RUN /venv/bin/pip install --no-cache-dir a  # last\n"],
    ["ENV A b c\n", 'ENV A="b c"\n'],
    ["ENV A 'b'\n", "ENV A 'b'\n"],
    ["run x\nRUN y\nRUN z\n", "RUN x\nRUN y\nRUN z\n"],
    ["ENV A=1 \\\n\n  B=2\n", "ENV A=1 \\\n  B=2\n"],
  ])("%j", (bad, good) => {
    expect(mendText(from + bad)).toBe(from + good);
  });

  test("keywords of FROM, and a platform that is none", () => {
    expect(mendText("FROM --platform=$TARGETPLATFORM a:1 as b\nUSER x\n")).toBe("FROM a:1 AS b\nUSER x\n");
    expect(mendText("from a:1 AS b\nuser x\n")).toBe("from a:1 as b\nuser x\n");
  });

  /** What an instruction means, without how it is written. */
  const meaning = (instruction: Instruction) => {
    const { range, text, keyword, emptyContinuation, comment, ...rest } = instruction;
    if (rest.kind === "RUN") {
      const { command, heredocs, ...run } = rest;
      return { ...run, heredocs: heredocs.map(({ name }) => name), form: command.form };
    }
    if (rest.kind === "ENV" || rest.kind === "LABEL")
      return { pairs: rest.pairs.map(([name, value]) => [name, expandWord(value, () => "", "\\")]) };
    const kind = rest.kind === "ADD" ? "COPY" : rest.kind;
    return { ...rest, kind, platform: undefined, as: undefined };
  };

  test("whatever the file is, it parses afterwards, means the same, and stays so", () => {
    const line = fc.constantFrom(
      "RUN apt-get update && apt-get install a b",
      "run apt-get update \\\n  && apt-get install -y \\\n\n  # why\n  a",
      "RUN apk add x && pip install y",
      "RUN <<EOF\napt-get update\napt-get install z\nEOF",
      'RUN ["apt-get", "install", "x"]',
      "ADD a.txt b/ /c/",
      "add . /x",
      "ADD x.tar.gz /",
      "ADD <<E /f\nhello\n\nE",
      "ENV KEY some words",
      "env KEY=value \\\n\n   B=2",
      "LABEL a b",
      "# a comment",
      "",
      "from x:1 as Other",
      "FROM --platform=$TARGETPLATFORM y AS last",
      "WORKDIR /é",
      "USER app",
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.constantFrom("\n", "\r\n"), (lines, ending) => {
        const text = ["FROM a:1", ...lines, ""].join("\n").replaceAll("\n", ending);
        let mended = text;
        for (let i = 0; i < 10; i++) mended = mendText(mended);
        expect(mendText(mended)).toBe(mended);
        const before = parseDockerfile(text, "Dockerfile").instructions.map(meaning);
        expect(parseDockerfile(mended, "Dockerfile").instructions.map(meaning)).toEqual(before);
        for (const comment of lines.filter((one) => one.startsWith("#"))) expect(mended).toContain(comment);
      }),
      { numRuns: 300 },
    );
  });
});
