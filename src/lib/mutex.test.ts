import { expect, test } from "bun:test";
import { KeyedMutex } from "./mutex.ts";

test("tasks of one key follow one another, those of two run at once", async () => {
  const mutex = new KeyedMutex<string>();
  const log: string[] = [];
  const task = (name: string) => async () => {
    log.push(`+${name}`);
    await Bun.sleep(5);
    log.push(`-${name}`);
  };
  await Promise.all([mutex.run("a", task("a1")), mutex.run("a", task("a2")), mutex.run("b", task("b1"))]);
  expect(log.filter((entry) => entry.includes("a"))).toEqual(["+a1", "-a1", "+a2", "-a2"]);
  expect(log.indexOf("+b1")).toBeLessThan(log.indexOf("-a1"));
});

test("a failed task is its caller's alone", async () => {
  const mutex = new KeyedMutex<string>();
  const failed = mutex.run("a", () => Promise.reject(new Error("no")));
  const next = mutex.run("a", () => "yes");
  await expect(failed).rejects.toThrow("no");
  expect(await next).toBe("yes");
});
