import { describe, expect, test } from "bun:test";
import { parseIgnore } from "./ignore.ts";

describe("parseIgnore", () => {
  const cases: [rules: string, path: string, ignored: boolean][] = [
    ["node_modules", "node_modules", true],
    ["node_modules", "node_modules/a/b.js", true],
    ["node_modules", "src/node_modules", false],
    ["**/node_modules", "src/node_modules/x", true],
    ["**/node_modules", "node_modules", true],
    ["*.log", "a.log", true],
    ["*.log", "d/a.log", false],
    ["**/*.log", "d/e/a.log", true],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["[ab].txt", "b.txt", true],
    ["[^ab].txt", "b.txt", false],
    ["/abs/", "abs/x", true],
    ["./a/../b", "b", true],
    ["# comment\n\nx", "# comment", false],
    ["*\n!keep", "keep", false],
    ["*\n!keep", "drop", true],
    ["*.md\n!README.md", "README.md", false],
    ["secrets\n!secrets/public", "secrets/public/a", false],
    ["secrets\n!secrets/public", "secrets/private", true],
    ["!x\nx", "x", true],
    ["a\\*b", "a*b", true],
    ["a\\*b", "axb", false],
    ["a.b", "axb", false],
    ["**", "any/thing", true],
  ];
  test.each(cases)("%j on %s: %p", (rules, path, ignored) => {
    expect(parseIgnore(rules).ignores(path)).toBe(ignored);
  });
  test("an ignored directory is entered only when something below may be kept", () => {
    const rules = parseIgnore("a\nb\n!a/keep\n");
    expect(rules.mayKeepBelow("a")).toBe(true);
    expect(rules.mayKeepBelow("b")).toBe(false);
    expect(parseIgnore("b\n!**/keep").mayKeepBelow("b")).toBe(true);
  });
  test.each(["[a", "a\\", "!"])("%j is malformed", (rules) => {
    expect(() => parseIgnore(rules)).toThrow();
  });
});
