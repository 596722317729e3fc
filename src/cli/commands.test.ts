import { describe, expect, test } from "bun:test";
import { commandHelp } from "./args/help.ts";
import { commands, findCommand, groups } from "./commands.ts";
import { frequent } from "./frequent.ts";

const loaded = await Promise.all(commands.map(async (entry) => ({ ...entry, command: await entry.load() })));

describe("commands", () => {
  test.each(loaded.map((each) => [each.names[0]!, each] as const))("%s", (name, { command, names }) => {
    expect(command.name).toBe(name);
    expect(command.aliases ?? [name]).toEqual(names);
    expect(command.examples).toBeArray();
    const isShown = command.examples!.some((line) => names.some((spelling) => line.includes(spelling)));
    expect(isShown).toBe(true);
    const used = command.examples!.flatMap((line) =>
      [...line.matchAll(/ --([a-z][a-z0-9-]+)/g)].map(([, flag]) => flag!),
    );
    expect(Object.keys(command.flags)).toEqual(expect.arrayContaining(used));
    for (const { help } of Object.values(command.flags)) expect(help).toMatch(/^[^a-z].*[^.]$/s);
    for (const spelling of names) {
      expect(findCommand(spelling.split(" "))?.entry.names).toEqual(names);
      expect(commandHelp(command, spelling)).toContain(`Usage:  gantry ${spelling}`);
      if (spelling.includes(" ")) expect(Object.keys(groups)).toContain(spelling.split(" ")[0]!);
    }
    const shorts = Object.values(command.flags).flatMap(({ short }) => short ?? []);
    expect(new Set(shorts).size).toBe(shorts.length);
  });

  test.each(Object.entries(frequent))("%s is the table's command, loaded sooner", async (word, load) => {
    expect(await load()).toBe(await findCommand([word])!.entry.load());
  });

  test("no spelling belongs to two commands", () => {
    const spellings = commands.flatMap(({ names }) => names);
    expect(new Set(spellings).size).toBe(spellings.length);
  });
});
