import { expect, test } from "bun:test";
import { once } from "node:events";
import { together } from "./together.ts";

const never = new AbortController().signal;

test("gives what all parts give", async () => {
  expect(await together<[number, string]>(never, () => [Promise.resolve(1), Promise.resolve("a")])).toEqual([
    1,
    "a",
  ]);
});

test("a failure ends the others, and comes when they have ended", async () => {
  const said: string[] = [];
  const work = together(never, (signal) => [
    Promise.reject(new Error("broken")),
    (async () => {
      await once(signal, "abort");
      await Bun.sleep(1);
      said.push("ended");
    })(),
  ]);
  await expect(work).rejects.toThrow("broken");
  expect(said).toEqual(["ended"]);
});

test("all of it ends from outside", async () => {
  const outside = new AbortController();
  const work = together(outside.signal, (signal) => [
    (async () => {
      await once(signal, "abort");
      signal.throwIfAborted();
    })(),
  ]);
  outside.abort(new Error("enough"));
  await expect(work).rejects.toThrow("enough");
});
