import { expect, test } from "bun:test";
import { Slots } from "./slots.ts";

test("no more than the limit at once, in order, also when tasks fail", async () => {
  const slots = new Slots(2);
  const log: number[] = [];
  let running = 0;
  let most = 0;
  const task = (n: number) => async () => {
    log.push(n);
    most = Math.max(most, ++running);
    await Bun.sleep(1);
    running--;
    if (n === 1) throw new Error("one fails");
  };
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map((n) => slots.run(task(n))));
  expect(results.filter(({ status }) => status === "rejected").length).toBe(1);
  expect([log, most]).toEqual([[0, 1, 2, 3, 4], 2]);
});

test("one that stops waiting takes no place", async () => {
  const slots = new Slots(1);
  const controller = new AbortController();
  let release = () => {};
  const first = slots.run(() => new Promise<void>((resolve) => (release = resolve)));
  const gone = slots.run(async () => "never", controller.signal);
  const last = slots.run(async () => "last");
  controller.abort(new Error("left"));
  await expect(gone).rejects.toThrow("left");
  release();
  await first;
  expect(await last).toBe("last");
});
