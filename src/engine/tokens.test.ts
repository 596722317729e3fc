import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Conflict, InvalidParameter, NotFound } from "../lib/errors.ts";
import { openStore } from "../store/index.ts";
import { Tokens } from "./tokens.ts";

const root = mkdtempSync(join(tmpdir(), "gt-tokens-"));
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("a token is found by its secret, which is not kept, until it is over", async () => {
  await using store = await openStore(root);
  let now = 1000;
  const tokens = new Tokens(store.metadata, () => now);
  const scope = { readOnly: true, labels: { a: "b" }, expiresAt: 2000 };
  const { secret, token } = tokens.create("ci", scope);
  expect(tokens.find(secret)).toEqual(token);
  expect(tokens.find(token.hash)).toBeUndefined();
  expect(JSON.stringify(tokens.list())).not.toContain(secret);
  for (const file of ["gantry.db", "gantry.db-wal"])
    expect(readFileSync(join(root, file)).includes(secret)).toBe(false);
  expect(() => tokens.create("ci", scope)).toThrow(Conflict);
  expect(() => tokens.create("late", { ...scope, expiresAt: 1000 })).toThrow(InvalidParameter);
  expect(() => tokens.create("a/b", scope)).toThrow(InvalidParameter);
  now = 2000;
  expect(tokens.find(secret)).toBeUndefined();
  tokens.remove("ci");
  expect(() => tokens.remove("ci")).toThrow(NotFound);
});
