import { expect, test } from "bun:test";
import { differences, type NamedInput } from "./inputs.ts";

const input = (kind: NamedInput["kind"], name: string, digest: string, more: Partial<NamedInput> = {}) => ({
  kind,
  name,
  digest,
  ...more,
});

test("what is the same is no reason", () => {
  const inputs = [input("arg", "A", "1"), input("file", "src", "2", { files: { "src/a": "3" } })];
  expect(differences(inputs, inputs)).toEqual([]);
});

test("arguments that changed, came and went", () => {
  const before = [input("arg", "A", "1"), input("arg", "B", "1")];
  const after = [input("arg", "A", "2"), input("arg", "C", "1")];
  expect(differences(before, after)).toEqual([
    { kind: "arg", name: "A", change: "changed" },
    { kind: "arg", name: "C", change: "added" },
    { kind: "arg", name: "B", change: "removed" },
  ]);
});

test("files are named one by one, and counted when they are many", () => {
  const before = input("file", ".", "1", { files: { a: "1", b: "1", c: "1" } });
  const after = input("file", ".", "2", { files: { a: "1", b: "2", d: "1" } });
  expect(differences([before], [after])).toEqual([
    { kind: "file", name: "b", change: "changed" },
    { kind: "file", name: "c", change: "removed" },
    { kind: "file", name: "d", change: "added" },
  ]);
  const files = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}`, "1"]));
  const many = differences([before], [input("file", ".", "3", { files })]);
  expect(many.length).toBe(21);
  expect(many.at(-1)).toEqual({ kind: "file", name: "83 more", change: "changed" });
});

test("a base image's change shows digests, a step before its name", () => {
  const base = (digest: string) =>
    input("base", "busybox", "chain", { digest: `${digest}chain`, shown: digest });
  const [one, two] = [`sha256:${"1".repeat(64)}`, `sha256:${"2".repeat(64)}`];
  expect(differences([base(one)], [base(two)])).toEqual([
    { kind: "base", name: "busybox", change: "sha256:111111111111 -> sha256:222222222222" },
  ]);
  expect(differences([input("instruction", "USER a", "1")], [input("instruction", "USER b", "2")])).toEqual([
    { kind: "instruction", name: "USER b", change: "was USER a" },
  ]);
  expect(differences([input("parent", "RUN a", "1")], [input("parent", "RUN a", "2")])).toEqual([
    { kind: "parent", name: "RUN a", change: "changed" },
  ]);
});
