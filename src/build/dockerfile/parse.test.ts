import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDuration } from "../../lib/duration.ts";
import { DockerfileError } from "../errors.ts";
import { type Instruction, keywords } from "./instructions.ts";
import { parseDockerfile, parseTrigger } from "./parse.ts";

const parse = (source: string) => parseDockerfile(source, "Dockerfile").instructions;
const one = (source: string): Instruction => parse(source)[0]!;

describe("instructions", () => {
  test.each<[string, object]>([
    ["FROM ubuntu:20.04", { kind: "FROM", image: "ubuntu:20.04", stage: undefined }],
    ["from a AS Builder", { kind: "FROM", image: "a", stage: "builder" }],
    ["FROM --platform=$BUILDPLATFORM a as b", { image: "a", stage: "b", platform: "$BUILDPLATFORM" }],
    ["RUN make && make install", { command: { form: "shell", text: "make && make install" } }],
    ['RUN ["a", "b c"]', { command: { form: "exec", args: ["a", "b c"] } }],
    ["RUN ['a']", { command: { form: "shell", text: "['a']" } }],
    [
      "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t x",
      { mounts: ["type=cache,target=/c", "type=tmpfs,target=/t"] },
    ],
    ["RUN --network=none x", { network: "none", command: { form: "shell", text: "x" } }],
    ["RUN <<E\na\nb\nE", { heredocs: [{ name: "E", content: "a\nb\n", expand: true }] }],
    ["COPY a b /c/", { sources: ["a", "b"], destination: "/c/", from: undefined }],
    ['COPY ["a b", "/c d/"]', { sources: ["a b"], destination: "/c d/" }],
    ["COPY --from=x --chown=a:b --chmod=755 a b", { from: "x", chown: "a:b", chmod: "755" }],
    ["COPY --exclude=*.md --exclude=x . .", { exclude: ["*.md", "x"] }],
    [
      "COPY <<a.txt <<b.txt /d/\n1\na.txt\n2\nb.txt",
      {
        sources: [],
        destination: "/d/",
        inline: [
          { name: "a.txt", content: "1\n", expand: true },
          { name: "b.txt", content: "2\n", expand: true },
        ],
      },
    ],
    ["ADD --checksum=sha256:00 http://x/y /z", { checksum: "sha256:00", sources: ["http://x/y"] }],
    [
      'ENV a=b c="d e" f=g\\ h',
      {
        pairs: [
          ["a", "b"],
          ["c", '"d e"'],
          ["f", "g\\ h"],
        ],
      },
    ],
    ["ENV a b c=d", { pairs: [["a", "b c=d"]] }],
    ["ENV a=", { pairs: [["a", ""]] }],
    [
      "LABEL a.b=\"x y\" c='z'",
      {
        pairs: [
          ["a.b", '"x y"'],
          ["c", "'z'"],
        ],
      },
    ],
    ["ARG a b=c", { args: [{ name: "a" }, { name: "b", value: "c" }] }],
    ["ARG a=", { args: [{ name: "a", value: "" }] }],
    ["EXPOSE 80 81/udp", { ports: ["80", "81/udp"] }],
    ['VOLUME ["/a", "/b"]', { paths: ["/a", "/b"] }],
    ["VOLUME /a /b", { paths: ["/a", "/b"] }],
    ["WORKDIR /a b", { path: "/a b" }],
    ["USER a:b", { user: "a:b" }],
    ['SHELL ["/bin/bash", "-c"]', { args: ["/bin/bash", "-c"] }],
    ["STOPSIGNAL SIGINT", { signal: "SIGINT" }],
    ["ONBUILD RUN x", { trigger: "RUN x" }],
    ["ONBUILD COPY <<A <<-'B' /d/\n1\nA\n\t2\n\tB", { trigger: "COPY <<A <<-'B' /d/\n1\nA\n2\nB" }],
    ["HEALTHCHECK --interval= --retries=+3 CMD a", { options: { Interval: undefined, Retries: 3 } }],
    ["MAINTAINER A B <c@d>", { name: "A B <c@d>" }],
    ["HEALTHCHECK NONE", { check: "none", options: {} }],
    [
      "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=1h --retries=5 CMD curl x",
      {
        check: { form: "shell", text: "curl x" },
        options: { Interval: 90e9, Timeout: 5e8, StartPeriod: 3600e9, StartInterval: undefined, Retries: 5 },
      },
    ],
    ['HEALTHCHECK CMD ["a"]', { check: { form: "exec", args: ["a"] } }],
    ["CMD", { kind: "CMD", command: { form: "shell", text: "" } }],
    ['ENTRYPOINT ["/a"]', { kind: "ENTRYPOINT", command: { form: "exec", args: ["/a"] } }],
  ])("%s", (source, expected) => {
    expect(one(source)).toMatchObject(expected);
  });

  test("the shown text is one line with an upper-case keyword", () => {
    expect(one("run a \\\n  b").text).toBe("RUN a   b");
  });
});

describe("errors name line, text and the nearest word", () => {
  test.each([
    [
      "FROM a\n\nRUNN x",
      "dockerfile parse error on line 3: unknown instruction: RUNN (did you mean RUN?)",
      3,
    ],
    ["FORM a", "dockerfile parse error on line 1: unknown instruction: FORM (did you mean FROM?)", 1],
    ["WIBBLE a", "dockerfile parse error on line 1: unknown instruction: WIBBLE", 1],
    [
      "FROM a\nCOPY --chwon=a b c",
      "dockerfile parse error on line 2: unknown flag: --chwon (did you mean chown?)",
      2,
    ],
    ["COPY --from a b", "dockerfile parse error on line 1: missing a value on flag: --from", 1],
    ["COPY --from=a --from=b a b", "dockerfile parse error on line 1: duplicate flag specified: --from", 1],
    [
      "COPY --link=x a b",
      "dockerfile parse error on line 1: expecting boolean value for flag link, not: x",
      1,
    ],
    [
      "COPY a",
      "dockerfile parse error on line 1: COPY requires at least two arguments, but only one was provided. Destination could not be determined",
      1,
    ],
    ["FROM", "dockerfile parse error on line 1: FROM requires either one or three arguments", 1],
    ["FROM a as", "dockerfile parse error on line 1: FROM requires either one or three arguments", 1],
    [
      "FROM a AS 1x",
      'dockerfile parse error on line 1: invalid name for build stage: "1x", name can\'t start with a number or contain symbols',
      1,
    ],
    ["ENV a", "dockerfile parse error on line 1: ENV must have two arguments", 1],
    [
      "ENV a=b c",
      'dockerfile parse error on line 1: Syntax error - can\'t find = in "c". Must be of the form: name=value',
      1,
    ],
    ["ENV =b", "dockerfile parse error on line 1: ENV names can not be blank", 1],
    ...[
      'CMD ["a", 1]',
      "RUN [null]",
      'COPY [["a"], "b"]',
      "VOLUME [{}]",
      "HEALTHCHECK CMD [1]",
      "ONBUILD CMD [1]",
    ].map(
      (text) =>
        [
          text,
          "dockerfile parse error on line 1: when using JSON array syntax, arrays must be comprised of strings only",
          1,
        ] as [string, string, number],
    ),
    [
      "HEALTHCHECK --retries=-1 CMD a",
      "dockerfile parse error on line 1: --retries must be at least 0 (not -1)",
      1,
    ],
    ["LABEL", "dockerfile parse error on line 1: LABEL requires at least one argument", 1],
    ["SHELL a", "dockerfile parse error on line 1: SHELL requires the arguments to be in JSON form", 1],
    [
      "ONBUILD ONBUILD RUN a",
      "dockerfile parse error on line 1: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
      1,
    ],
    ["ONBUILD FROM a", "dockerfile parse error on line 1: FROM isn't allowed as an ONBUILD trigger", 1],
    ["ONBUILD RUNN a", "dockerfile parse error on line 1: unknown instruction: RUNN (did you mean RUN?)", 1],
    [
      "HEALTHCHECK CDM x",
      'dockerfile parse error on line 1: Unknown type "CDM" in HEALTHCHECK (try CMD) (did you mean CMD?)',
      1,
    ],
    ["HEALTHCHECK --interval=5 CMD x", 'dockerfile parse error on line 1: time: invalid duration "5"', 1],
    ["WORKDIR", "dockerfile parse error on line 1: WORKDIR requires exactly one argument", 1],
    ["# only\n", "dockerfile parse error on line 1: file with no instructions", 1],
  ])("%p", (source, message, line) => {
    try {
      parse(source);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(DockerfileError);
      expect((error as DockerfileError).message).toBe(message);
      expect((error as DockerfileError).line).toBe(line);
      expect((error as DockerfileError).status).toBe(400);
    }
  });
});

test("a trigger stands where its FROM does", () => {
  const range = { file: "Dockerfile", line: 3, endLine: 3, source: "FROM a" };
  expect(parseTrigger("COPY . /src", range)).toMatchObject({
    kind: "COPY",
    range: { line: 3, source: "COPY . /src" },
  });
  expect(parseTrigger("RUN <<E\nmake\nE", range)).toMatchObject({
    range: { line: 3, endLine: 3 },
    heredocs: [{ name: "E", content: "make\n" }],
  });
  for (const text of ["RUN <<E\nmake", "RUN a\nRUN b", "# none"])
    expect(() => parseTrigger(text, range)).toThrow(/parse error on line 3/);
});

test("durations as Go writes them", () => {
  expect(["1h2m3s", "1.5s", "250ms", "0", "-1s", "3", "s", ""].map((text) => parseDuration(text))).toEqual([
    3723e9,
    1.5e9,
    25e7,
    0,
    -1e9,
    undefined,
    undefined,
    undefined,
  ]);
});

test("any words parse or are a DockerfileError", () => {
  const word = fc.constantFrom(
    ...keywords,
    "--from=a",
    "--mount",
    "[",
    '["a"]',
    "a=b",
    "a",
    "<<E",
    "E",
    "\n",
    "=",
    '"',
    "--",
  );
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 8 }), (words) => {
      try {
        expect(parse(words.join(" ")).length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(DockerfileError);
        // Every refusal names a line of the file.
        const lines = words.join(" ").split("\n").length;
        expect((error as DockerfileError).line).toBeWithin(1, lines + 1);
      }
    }),
    { numRuns: 1000 },
  );
});
