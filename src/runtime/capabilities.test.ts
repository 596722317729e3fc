import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { capabilityNames } from "../linux/process.ts";
import { containerCapabilities, defaultCapabilities } from "./capabilities.ts";

const everything = new Set<string>(capabilityNames);
const nothing = { add: [], drop: [], privileged: false };

describe("containerCapabilities", () => {
  test.each([
    ["the default", {}, [...defaultCapabilities]],
    ["privileged", { privileged: true }, [...capabilityNames]],
    [
      "privileged ignores lists, as Docker does",
      { privileged: true, drop: ["ALL"], add: ["nonsense"] },
      [...capabilityNames],
    ],
    ["drop all", { drop: ["ALL"] }, []],
    ["drop all, add one", { drop: ["all"], add: ["net_admin"] }, ["CAP_NET_ADMIN"]],
    [
      "add all, drop one",
      { add: ["ALL"], drop: ["CAP_SYS_ADMIN"] },
      capabilityNames.filter((name) => name !== "CAP_SYS_ADMIN"),
    ],
    [
      "both names, with and without CAP_",
      { drop: ["CHOWN", "cap_kill"] },
      defaultCapabilities.filter((name) => !/CHOWN|KILL/.test(name)),
    ],
    ["a name in both lists stays", { drop: ["CHOWN"], add: ["CHOWN"] }, [...defaultCapabilities]],
  ])("%s", (_, request, expected) => {
    expect(containerCapabilities({ ...nothing, ...request }, everything).sort()).toEqual(
      [...expected].sort(),
    );
  });

  test("an unknown name is refused in Docker's words", () => {
    expect(() => containerCapabilities({ ...nothing, add: ["foo"] }, everything)).toThrow(
      'invalid CapAdd: unknown capability: "CAP_FOO"',
    );
    expect(() => containerCapabilities({ ...nothing, drop: ["CAP_BAR"] }, everything)).toThrow(
      'invalid CapDrop: unknown capability: "CAP_BAR"',
    );
  });

  test("what this host can't give is left out of sets, and refused by name", () => {
    const held = new Set(
      capabilityNames.filter((name) => name !== "CAP_SYS_RESOURCE" && name !== "CAP_MKNOD"),
    );
    expect(containerCapabilities(nothing, held)).not.toContain("CAP_MKNOD");
    expect(containerCapabilities({ ...nothing, privileged: true }, held)).not.toContain("CAP_SYS_RESOURCE");
    expect(containerCapabilities({ ...nothing, add: ["ALL"] }, held)).not.toContain("CAP_SYS_RESOURCE");
    expect(() => containerCapabilities({ ...nothing, add: ["SYS_RESOURCE"] }, held)).toThrow(
      "not available in the current environment",
    );
  });

  test("never more than is held, each once, whatever is asked", () => {
    const names = fc.subarray([...capabilityNames, "ALL"]);
    fc.assert(
      fc.property(names, names, fc.subarray([...capabilityNames]), (add, drop, heldNames) => {
        const held = new Set<string>(heldNames);
        const addable = add.filter((name) => name === "ALL" || held.has(name));
        const result = containerCapabilities({ add: addable, drop, privileged: false }, held);
        expect(result.every((name) => held.has(name))).toBeTrue();
        expect(new Set(result).size).toBe(result.length);
        for (const name of result) if (drop.includes(name)) expect(add).toContain(name);
      }),
    );
  });
});
