// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are variables of Dockerfiles
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ExpandError, expandText, expandWord, expandWords } from "./expand.ts";

const variables: Record<string, string> = {
  foo: "bar",
  empty: "",
  path: "/a/b/c.tar.gz",
  sp: "x y",
  star: "a*b",
};
const lookup = (name: string) => (Object.hasOwn(variables, name) ? variables[name] : undefined);
const expand = (text: string) => expandWord(text, lookup);

describe("one word", () => {
  test.each([
    ["plain", "plain"],
    ["$foo", "bar"],
    ["${foo}", "bar"],
    ["a${foo}b", "abarb"],
    ["$foo.txt", "bar.txt"],
    ["$none", ""],
    ["\\$foo", "$foo"],
    ["\\${foo}", "${foo}"],
    ["'$foo'", "$foo"],
    ['"$foo"', "bar"],
    ['"a\\"b"', 'a"b'],
    ['"\\$foo \\n"', "$foo \\n"],
    ["a\\ b", "a b"],
    ["a\\", "a"],
    ["$", "$"],
    ["a$", "a$"],
    ["$ x", "$ x"],
    ["$1x", "x"],
    ["${none:-d}", "d"],
    ["${empty:-d}", "d"],
    ["${empty-d}", ""],
    ["${none-d}", "d"],
    ["${foo:-d}", "bar"],
    ["${foo:+d}", "d"],
    ["${empty:+d}", ""],
    ["${empty+d}", "d"],
    ["${none+d}", ""],
    ["${none:-${foo}}", "bar"],
    ["${none:-a${none:-b}c}", "abc"],
    ["${none:-'}'}", "}"],
    ["${foo:?oops}", "bar"],
    ["${path#*/}", "a/b/c.tar.gz"],
    ["${path##*/}", "c.tar.gz"],
    ["${path%.*}", "/a/b/c.tar"],
    ["${path%%.*}", "/a/b/c"],
    ["${path#x}", "/a/b/c.tar.gz"],
    ["${foo%?}", "ba"],
    ["${star#a\\*}", "b"],
    ["${foo/a/o}", "bor"],
    ["${path/\\//-}", "-a/b/c.tar.gz"],
    ["${path//\\//-}", "-a-b-c.tar.gz"],
    ["${path//[/x}", "/a/b/c.tar.gz"],
    ["${foo/b*/$sp}", "x y"],
    ["${foo/x/y}", "bar"],
    ["ünï$foo", "ünïbar"],
  ])("%s -> %s", (text, expected) => {
    expect(expand(text)).toBe(expected);
  });

  test.each([
    ["${foo", "missing '}'"],
    ["${}", "bad substitution"],
    ["${foo:x}", "unsupported modifier (x)"],
    ["${foo@Q}", "unsupported modifier (@)"],
    ["${none:?oops}", "none: oops"],
    ["${none?}", "none: is not allowed to be unset"],
    ["${empty:?}", "empty: is not allowed to be empty"],
    ["'a", "matching single-quote"],
    ['"a', "matching double-quote"],
  ])("%s fails: %s", (text, message) => {
    expect(() => expand(text)).toThrow(message);
  });

  test("the backtick is an escape when it is asked for", () => {
    expect(expandWord("`$foo\\$foo", lookup, "`")).toBe("$foo\\bar");
  });
});

test("many words: blanks outside quotes split, also those of an unquoted variable", () => {
  expect(expandWords(`80 "a b" $sp "$sp" ''  $none x$sp`, lookup)).toEqual([
    "80",
    "a b",
    "x",
    "y",
    "x y",
    "",
    "xx",
    "y",
  ]);
});

test("text keeps its quotes", () => {
  expect(expandText(`it's "$foo" \\$foo \\n\\\\ \\\n'\\$foo'\n`, lookup)).toBe(
    `it's "bar" $foo n\\ \n'$foo'\n`,
  );
});

test("quoting anything and expanding it gives it back", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const quoted = `"${text.replace(/["$\\]/g, "\\$&")}"`;
      expect(expand(quoted)).toBe(text);
      if (!text.includes("'")) expect(expand(`'${text}'`)).toBe(text);
    }),
  );
});

test("any text expands or is an ExpandError", () => {
  const piece = fc.constantFrom(
    "$",
    "{",
    "}",
    "foo",
    ":",
    "-",
    "+",
    "#",
    "%",
    "/",
    "\\",
    "'",
    '"',
    "*",
    "?",
    " ",
    "é",
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      try {
        expandWords(pieces.join(""), lookup);
        expand(pieces.join(""));
      } catch (error) {
        expect(error).toBeInstanceOf(ExpandError);
      }
    }),
    { numRuns: 2000 },
  );
});
