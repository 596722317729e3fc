import { expect, test } from "bun:test";
import { own } from "./own.ts";

test("only what a table has itself", () => {
  const table: Record<string, number> = { a: 1 };
  expect(own(table, "a")).toBe(1);
  for (const name of ["b", "constructor", "__proto__", "toString", ""])
    expect(own(table, name)).toBeUndefined();
});
