import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { sealedCopy } from "./sealed.ts";

test("a sealed copy runs, and nobody can change it", () => {
  const path = sealedCopy("/bin/echo");
  expect(Bun.spawnSync([path, "it runs"]).stdout.toString()).toBe("it runs\n");
  expect(() => writeFileSync(path, "other bytes")).toThrow(/EPERM|EACCES|ETXTBSY/);
  expect(Bun.spawnSync([path, "it still runs"]).stdout.toString()).toBe("it still runs\n");
});
