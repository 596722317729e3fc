import { describe, expect, test } from "bun:test";
import { lastState, Picture, visibleLine } from "./picture.ts";

describe("a picture", () => {
  function drawn(pictures: [string[], number][]): string[] {
    const written: string[] = [];
    const picture = new Picture((text) => written.push(text.replaceAll(/\x1b\[\?7[lh]/g, "")));
    for (const [lines, columns] of pictures) picture.draw(lines, columns);
    return written;
  }

  test("goes back over the last one, line by line, and erases what is below", () => {
    expect(
      drawn([
        [["a", "b"], 80],
        [["c"], 80],
        [[], 80],
      ]),
    ).toEqual(["\ra\x1b[K\nb\x1b[K\n\x1b[J", "\x1b[2A\rc\x1b[K\n\x1b[J", "\x1b[1A\r\x1b[J"]);
  });

  test("knows how many rows its lines take on a terminal that has become narrower", () => {
    const wide = ["x".repeat(70), "\x1b[31m漢字\x1b[0m", ""];
    expect(
      drawn([
        [wide, 80],
        [["y"], 40],
      ])[1],
    ).toStartWith("\x1b[4A\r");
    expect(
      drawn([
        [wide, 40],
        [["y"], 80],
      ])[1],
    ).toStartWith("\x1b[3A\r");
  });
});

test.each([
  ["plain", "plain"],
  ["10%\r20%\r100%", "100%"],
  ["10%\r20%\r", "20%"],
  ["\x1b[31mred\x1b[0m\tand", "red\tand"],
  ["\x1b[2A\x1b[Kup", "up"],
  ["\x1b]0;title\x07x", "x"],
  ["bell\x07 nul\0 back\b", "bell nul back"],
  ["user\u202Etxt.exe", "usertxt.exe"],
  ["漢字 é 👩‍👩‍👧", "漢字 é 👩‍👩‍👧"],
])("%p is seen as %p", (text, seen) => {
  expect(visibleLine(text)).toBe(seen);
});

test("what was written over is forgotten, what ends in a return may be", () => {
  expect(["a", "a\r", "a\rb", "a\rb\r\r", "\r", ""].map(lastState)).toEqual([
    "a",
    "a\r",
    "b",
    "b\r\r",
    "",
    "",
  ]);
});
