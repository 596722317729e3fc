/** Docker Compose's own commands and flags, as its version 2 lists them, against what there is here. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { aliases, commands, missing } from "./commands/table.ts";
import type { FlagSpec, FlagSpecs } from "./flags.ts";
import { globalFlags } from "./index.ts";

const rows = readFileSync(join(import.meta.dir, "../../test/reference/compose-flags.tsv"), "utf8")
  .trimEnd()
  .split("\n")
  .slice(1)
  .map((line) => line.split("\t"));

const types: Record<string, FlagSpec["type"]> = {
  bool: "bool",
  bytes: "string",
  filter: "list",
  int: "int",
  list: "list",
  string: "string",
  stringArray: "list",
};

const own = rows.filter(([command]) => !(command!.split(" ")[2]! in missing));

describe("flags", () => {
  test.each(own)("%s %s %s", async (command, short, long, type) => {
    const name = command!.split(" ")[2];
    const flags: FlagSpecs =
      name === undefined ? globalFlags : (await commands[aliases[name] ?? name]!.load()).flags;
    const flag = flags[long!.slice(2)];
    expect(flag && { short: flag.short ? `-${flag.short}` : "", type: flag.type }).toEqual({
      short: short!,
      type: types[type!]!,
    });
  });
});

test("what is missing is in the reference, and not there", () => {
  for (const name of Object.keys(missing)) {
    expect(rows.some(([command]) => command!.startsWith(`docker compose ${name}`))).toBe(true);
    expect(commands).not.toHaveProperty(name);
  }
});
