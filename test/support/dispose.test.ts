import { expect, test } from "bun:test";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { disposeAll } from "./dispose.ts";

test("each is disposed of, whatever the others do, and what failed is told", async () => {
  const gone: string[] = [];
  const directory = mkdtempSync(join(tmpdir(), "gt-dispose-"));
  const failing = (what: string) => () => {
    gone.push(what);
    throw new Error(what);
  };
  const all = disposeAll(
    { [Symbol.asyncDispose]: async () => failing("async")() },
    undefined,
    { [Symbol.dispose]: failing("sync") },
    async () => void gone.push("last"),
    directory,
  );
  const told = await all.then(
    () => [],
    (error: AggregateError) => error.errors.map(String),
  );
  expect(told).toEqual(["Error: async", "Error: sync"]);
  expect(gone).toEqual(["async", "sync", "last"]);
  expect(existsSync(directory)).toBeFalse();
  expect(disposeAll(failing("alone"))).rejects.toThrow("alone");
});
