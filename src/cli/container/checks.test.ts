import { expect, test } from "bun:test";
import { checkAddress, checkLabel, checkSysctl } from "./checks.ts";

test.each([
  [
    checkAddress,
    ["1.2.3.4", "255.0.0.1", "::1", "fd00::5:1"],
    ["x", "", "1.2.3", "1.2.3.256", "a:b", "1.2.3.4:5"],
  ],
  [checkLabel, ["a", "a=b", "a="], ["", "=b", " =b"]],
  [
    checkSysctl,
    ["net.core.somaxconn=1", "kernel.sem=1 2", "fs.mqueue.x=1"],
    ["foo", "kernel.foo=1", "net.x"],
  ],
])("%p", (check, good, bad) => {
  for (const text of good) expect(() => check(text)).not.toThrow();
  for (const text of bad) expect(() => check(text)).toThrow();
});
