import { expect, test } from "bun:test";
import { parseChmod } from "./chmod.ts";

test.each<[string, number, boolean, number]>([
  ["755", 0o644, false, 0o755],
  ["0644", 0o755, false, 0o644],
  ["4755", 0o644, false, 0o4755],
  ["+x", 0o644, false, 0o755],
  ["u+x", 0o644, false, 0o744],
  ["go-rwx", 0o777, false, 0o700],
  ["u=rwX,go=rX", 0o600, false, 0o644],
  ["u=rwX,go=rX", 0o600, true, 0o755],
  ["u=rwX,go=rX", 0o700, false, 0o755],
  ["g=u", 0o750, false, 0o770],
  ["a=r", 0o777, false, 0o444],
  ["u+s", 0o755, false, 0o4755],
  ["+t", 0o777, true, 0o1777],
  ["a-r,u+s,o+t", 0o644, false, 0o4200],
  ["o=t", 0o644, false, 0o640],
  ["uo+t", 0o644, false, 0o1644],
  ["u=", 0o755, false, 0o055],
  ["u+x-w", 0o644, false, 0o544],
])("%s on %o", (text, mode, directory, expected) => {
  expect(parseChmod(text)!.change(mode, directory)).toBe(expected);
});

test("only an octal mode is that of directories on the way too", () => {
  expect([parseChmod("0750")!.made, parseChmod("u=rwx,go=")!.made]).toEqual([0o750, undefined]);
});

test.each(["", "999", "u", "u+y", "rwx", "7555555", "u+x,"])("%p is none", (text) => {
  expect(parseChmod(text)).toBeUndefined();
});
