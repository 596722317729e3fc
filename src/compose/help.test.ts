import { expect, test } from "bun:test";
import { type ComposeContext, composeCommand } from "./index.ts";

async function help(...words: string[]) {
  let text = "";
  const out = { write: (part: string) => (text += part) };
  const exit = await composeCommand([...words, "--help"], { out, err: out } as unknown as ComposeContext);
  return { exit, text };
}
const { text: overview } = await help();
const names = [...overview.split("Commands:\n")[1]!.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(
  ([, name]) => name!,
);

test("every command is listed", () => expect(names.length).toBeGreaterThan(20));

test.each(names)("help of compose %s shows it at work, with flags that it has", async (name) => {
  const { exit, text } = await help(name);
  expect(exit).toBe(0);
  const [options, example] = text.split("Examples:\n  gantry compose ");
  expect(example).toStartWith(name);
  for (const [flag] of example!.matchAll(/(?<= )--?[a-z-]+/g))
    expect(options).toMatch(new RegExp(`(^|\\s)${flag}[, \n]`));
});
