// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the variables are those of Compose files
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDotenv } from "./dotenv.ts";

const lookup = (name: string) => ({ HOME: "/root" })[name];
const parse = (text: string, raw = false) => parseDotenv(text, ".env", lookup, raw);

describe("parseDotenv", () => {
  const cases: [text: string, result: Record<string, string>][] = [
    ["A=1", { A: "1" }],
    ["A = spaced \nB=2", { A: "spaced", B: "2" }],
    ["# comment\n\nA=1 # tail\nB=a#b", { A: "1", B: "a#b" }],
    ["export A=1", { A: "1" }],
    ["A=", { A: "" }],
    ["A: yaml", { A: "yaml" }],
    ["A='single $HOME # no'", { A: "single $HOME # no" }],
    ['A="double $HOME\\n" # tail', { A: "double /root\n" }],
    ['A="two\nlines"', { A: "two\nlines" }],
    ['A="\\$HOME"', { A: "$HOME" }],
    ["A=$HOME/x\nB=${A}/y", { A: "/root/x", B: "/root/x/y" }],
    ["A=${NO:-default}", { A: "default" }],
    ["HOME", { HOME: "/root" }],
    ["UNKNOWN", {}],
    ["A=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["\uFEFFA=1", { A: "1" }],
    ["A=1\nA=2", { A: "2" }],
  ];
  test.each(cases)("%j", (text, result) => {
    expect(parse(text)).toEqual(result);
  });

  test("raw takes what stands behind =", () => {
    expect(parse("A=\"$HOME\" # x\nB='y'", true)).toEqual({ A: '"$HOME" # x', B: "'y'" });
  });

  const failures: [text: string, message: RegExp][] = [
    ["A=1\nTWO WORDS=1", /^\.env:2:1: key cannot contain a space/],
    ["A='open", /^\.env:1:3: unterminated quoted value/],
    ['A="x" y', /unexpected characters after the closing quote of A/],
    ["A=${x", /^\.env:1:3: a closing } is missing/],
    ["=x", /unexpected character in variable name/],
  ];
  test.each(failures)("%j fails", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  test("single quotes keep everything but quotes and backslashes", () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !/['\\\r]/.test(text)),
        (text) => {
          expect(parse(`A='${text}'`)).toEqual({ A: text });
        },
      ),
    );
  });
});
