import { describe, expect, test } from "bun:test";
import { posix } from "node:path";
import fc from "fast-check";
import { compileGlob } from "./glob.ts";
import { IgnoreRules } from "./ignore.ts";

const excluded = (rules: string, path: string) => IgnoreRules.parse(rules).excludes(path);

describe("Docker's documentation and moby's own cases", () => {
  test.each<[string, string, boolean]>([
    ["# comment\n*/temp*\n*/*/temp*\ntemp?", "somedir/temporary.txt", true],
    ["*/temp*", "somedir/temp", true],
    ["*/temp*", "temp", false],
    ["*/*/temp*", "somedir/subdir/temporary.txt", true],
    ["*/*/temp*", "a/temporary.txt", false],
    ["temp?", "tempa", true],
    ["temp?", "temp", false],
    ["temp?", "temp/", false],
    ["*.md\n!README.md", "README.md", false],
    ["*.md\n!README.md", "x.md", true],
    ["*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true],
    ["*.md\n!README*.md\nREADME-secret.md", "README-x.md", false],
    ["*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false],
    ["**/*.go", "a.go", true],
    ["**/*.go", "x/y/a.go", true],
    ["**", "a/b", true],
    ["**", "a", true],
    ["**/", "a/b", true],
    ["/foo/bar", "foo/bar", true],
    ["foo/bar", "foo/bar", true],
    ["foo/bar/", "foo/bar", true],
    ["foo/bar", "foo/bar/baz", true],
    ["foo", "x/foo", false],
    ["./foo", "foo", true],
    ["a/../foo", "foo", true],
    ["  foo  ", "foo", true],
    ["! foo", "foo", false],
    ["../foo", "foo", false],
    ["a/../../foo", "foo", false],
    ["/../foo", "foo", true],
    ["#foo", "#foo", false],
    ["\\#foo", "#foo", true],
    [" #foo", "#foo", true],
    ["*\n!a", "a", false],
    ["*\n!a/b", "a/b", false],
    ["*\n!a/b", "a/c", true],
    ["a\n!a/b\na/b/c", "a/b/d", false],
    ["a\n!a/b\na/b/c", "a/b/c/e", true],
    ["**/foo", "foo", true],
    ["**/foo", "a/b/foo/c", true],
    ["**foo", "foo", true],
    ["**foo", "a/foo", true],
    ["**foo", "afoo", false],
    ["a/**", "a/b/c", true],
    ["a/**", "a", false],
    ["a/**/b", "a/b", true],
    ["a/**/b", "a/x/y/b", true],
    ["a**/b", "ax/y/b", true],
    ["a**", "abc/d", true],
    ["dir/**\n!dir/keep", "dir/keep", false],
    ["**/**/x", "a/x", true],
    ["a[b-d]e", "ace", true],
    ["a[b-d]e", "aee", false],
    ["a[^b-d]e", "aee", true],
    ["a\\*b", "a*b", true],
    ["a\\*b", "axb", false],
    ["*", "a/b", true],
    [".*", ".git", true],
    [".*", "a/.git", false],
    ["a.b", "axb", false],
    ["\uFEFFfoo", "foo", true],
    ["foo\r\nbar", "foo", true],
    ["", "foo", false],
    ["\n\n", "foo", false],
    ["a?c", "a/c", false],
    ["*", ".hidden", true],
    ["日本*", "日本語", true],
    ["?", "💾", true],
  ])("%p on %p: %p", (rules, path, expected) => {
    expect(excluded(rules, posix.normalize(path).replace(/\/$/, ""))).toBe(
      path.endsWith("/") ? false : expected,
    );
  });

  test.each(["!", "[", "a[", "a[b", "a\\", "[]a]", "[-]"])("%p is refused", (rules) => {
    expect(() => IgnoreRules.parse(rules)).toThrow();
  });
});

/** The same language as a regular expression, as moby translates it; slow on hostile patterns, so only here. */
function asRegExp(pattern: string): RegExp {
  let out = "^";
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (char === "*" && pattern[i + 1] === "*") {
      i++;
      if (pattern[i + 1] === "/") i++;
      out += i + 1 >= pattern.length ? ".*" : "(?:.*/)?";
    } else if (char === "*") out += "[^/]*";
    else if (char === "?") out += "[^/]";
    else out += RegExp.escape(char);
  }
  return new RegExp(`${out}$`, "s");
}

const part = fc.constantFrom("a", "b", "ab", "*", "**", "?", "a*", "*b", "**a");
const pattern = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const path = fc
  .array(fc.constantFrom("a", "b", "ab", "aab", "c"), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));

test("a glob is the regular expression that moby makes of it", () => {
  fc.assert(
    fc.property(pattern, path, (pattern, path) => {
      const glob = compileGlob(pattern, { globstar: true });
      expect(glob.matches(path)).toBe(asRegExp(pattern).test(path));
    }),
    { numRuns: 3000 },
  );
});

test("what matches below a directory was announced by it", () => {
  fc.assert(
    fc.property(pattern, path, path, (pattern, directory, rest) => {
      const glob = compileGlob(pattern, { globstar: true });
      if (glob.matches(`${directory}/${rest}`)) expect(glob.couldMatchBelow(directory)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test("the last rule that matches a path or one of its parents decides", () => {
  const rule = fc.tuple(fc.boolean(), pattern);
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 5 }), path, (rules, path) => {
      const text = rules.map(([negated, pattern]) => `${negated ? "!" : ""}${pattern}`).join("\n");
      const parents = path.split("/").map((_, i, parts) => parts.slice(0, i + 1).join("/"));
      const last = rules.findLast(([, pattern]) => parents.some((parent) => asRegExp(pattern).test(parent)));
      expect(excluded(text, path)).toBe(last !== undefined && !last[0]);
    }),
    { numRuns: 3000 },
  );
});

test("no pattern is slow", () => {
  const hostile = compileGlob(`${"**/a*".repeat(40)}z`, { globstar: true });
  expect(hostile.matches("a/".repeat(2000))).toBe(false);
});
