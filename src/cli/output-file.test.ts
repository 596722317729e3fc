import { afterAll, beforeAll, expect, test } from "bun:test";
import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localDestination } from "./container/copy-files.ts";
import { checkReplaceable, removePlainFile } from "./output-file.ts";

let root: string;
const at = (name: string) => join(root, name);
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "gt-output-"));
  writeFileSync(at("file"), "");
  mkdirSync(at("directory"));
  symlinkSync("file", at("link"));
  symlinkSync("link", at("chain"));
  symlinkSync("new", at("dangling"));
  for (const command of [
    ["mkfifo", at("fifo")],
    ["mknod", at("device"), "c", "1", "3"],
  ])
    expect(Bun.spawnSync(command).exitCode).toBe(0);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ["directory", "a directory"],
  ["link", "a symbolic link directly"],
  ["dangling", "a symbolic link directly"],
  ["fifo", "a named pipe (FIFO)"],
  ["device", "a character device file"],
])("a %s is not replaced by a file, nor removed", (name, kind) => {
  expect(() => checkReplaceable(at(name))).toThrow(`cannot write to ${kind}`);
  removePlainFile(at(name));
  expect(lstatSync(at(name), { throwIfNoEntry: false })).toBeDefined();
});

test("plain files are, and what is not there may come", () => {
  checkReplaceable(at("file"));
  checkReplaceable(at("none"));
  writeFileSync(at("gone"), "");
  removePlainFile(at("gone"));
  removePlainFile(at("none"));
  expect(lstatSync(at("gone"), { throwIfNoEntry: false })).toBeUndefined();
});

test("a copy goes where links lead, and over no device", () => {
  const isFile = { isDirectory: false };
  expect(localDestination(at("link"))).toEqual({ path: at("file"), info: isFile });
  expect(localDestination(at("chain"))).toEqual({ path: at("file"), info: isFile });
  expect(localDestination(at("dangling"))).toEqual({ path: at("new"), info: undefined });
  expect(localDestination(at("directory"))).toEqual({ path: at("directory"), info: { isDirectory: true } });
  expect(() => localDestination(at("device"))).toThrow("must be a directory or a regular file: got a device");
  expect(() => localDestination(at("none/file"))).toThrow("does not exist");
});
