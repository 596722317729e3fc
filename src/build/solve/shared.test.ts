import { expect, test } from "bun:test";
import { SharedWork } from "./shared.ts";

const never = new AbortController().signal;

/** Work that ends when it is told to, and counts how often it was begun. */
function manual() {
  const begun: { signal: AbortSignal; tell: (event: string) => void }[] = [];
  const ends: PromiseWithResolvers<string>[] = [];
  const work = (signal: AbortSignal, tell: (event: string) => void) => {
    const end = Promise.withResolvers<string>();
    begun.push({ signal, tell });
    ends.push(end);
    return end.promise;
  };
  return { begun, ends, work };
}

test("is done once; all hear all of it and get the same", async () => {
  const shared = new SharedWork<string, string>();
  const { begun, ends, work } = manual();
  const heard: string[][] = [[], []];
  const wish = (n: number) => ({ signal: never, onEvent: (event: string) => heard[n]!.push(event) });
  const first = shared.run("k", wish(0), work);
  await Bun.sleep(0);
  begun[0]!.tell("early");
  const second = shared.run("k", wish(1), work);
  begun[0]!.tell("late");
  ends[0]!.resolve("done");
  expect(await Promise.all([first, second])).toEqual(["done", "done"]);
  expect(heard).toEqual([
    ["early", "late"],
    ["early", "late"],
  ]);
  expect(begun.length).toBe(1);
});

test("goes on while one wants it, and is stopped by the last who leaves", async () => {
  const shared = new SharedWork<string, string>();
  const { begun, ends, work } = manual();
  const [a, b] = [new AbortController(), new AbortController()];
  const first = shared.run("k", { signal: a.signal }, work);
  await Bun.sleep(0);
  const second = shared.run("k", { signal: b.signal }, work);
  a.abort(new Error("a left"));
  await expect(first).rejects.toThrow("a left");
  expect(begun[0]!.signal.aborted).toBe(false);
  b.abort(new Error("b left"));
  expect(begun[0]!.signal.aborted).toBe(true);
  let over = false;
  const left = second.catch((error) => error).finally(() => (over = true));
  await Bun.sleep(1);
  expect(over).toBe(false);
  ends[0]!.reject(new Error("stopped"));
  expect((await left).message).toBe("b left");
});

test("one who comes while it is being stopped begins it anew", async () => {
  const shared = new SharedWork<string, string>();
  const { begun, ends, work } = manual();
  const a = new AbortController();
  const first = shared.run("k", { signal: a.signal }, work).catch(() => "left");
  await Bun.sleep(0);
  a.abort();
  const second = shared.run("k", { signal: never }, work);
  ends[0]!.reject(new Error("stopped"));
  expect(await first).toBe("left");
  await Bun.sleep(0);
  ends[1]!.resolve("second");
  expect(await second).toBe("second");
  expect(begun.length).toBe(2);
});

test("a failure is told as each wants it, or tried again", async () => {
  const shared = new SharedWork<string, string>();
  const { ends, work } = manual();
  const first = shared.run("k", { signal: never }, work).catch((error) => error.message);
  await Bun.sleep(0);
  const told = shared
    .run("k", { signal: never, failure: () => new Error("told") }, work)
    .catch((error) => error.message);
  const again = shared.run("k", { signal: never }, work);
  ends[0]!.reject(new Error("failed"));
  expect([await first, await told]).toEqual(["failed", "told"]);
  await Bun.sleep(0);
  ends[1]!.resolve("again");
  expect(await again).toBe("again");
});

test("bound work ends with the one who began it", async () => {
  const shared = new SharedWork<string, string>();
  const { begun, ends, work } = manual();
  const a = new AbortController();
  const first = shared.run("k", { signal: a.signal, bound: true }, work).catch(() => "left");
  await Bun.sleep(0);
  const second = shared.run("k", { signal: never, bound: true, failure: (error) => error }, work);
  a.abort();
  expect(begun[0]!.signal.aborted).toBe(true);
  ends[0]!.reject(new Error("stopped"));
  expect(await first).toBe("left");
  await Bun.sleep(0);
  ends[1]!.resolve("own");
  expect(await second).toBe("own");
});

test("late comers are told no more than the limit", async () => {
  const shared = new SharedWork<string, string>((event) => event.length, 10);
  const { begun, ends, work } = manual();
  const first = shared.run("k", { signal: never }, work);
  await Bun.sleep(0);
  for (const event of ["aaaa", "bbbb", "cccc", "dddd"]) begun[0]!.tell(event);
  const heard: string[] = [];
  const second = shared.run("k", { signal: never, onEvent: (event) => heard.push(event) }, work);
  ends[0]!.resolve("x");
  await Promise.all([first, second]);
  expect(heard).toEqual(["cccc", "dddd"]);
});
