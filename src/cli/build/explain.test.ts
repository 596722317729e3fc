import { expect, test } from "bun:test";
import { explainFormat, showExplanations } from "./explain.ts";

const told = [
  { id: "0.0", name: "[1/3] FROM busybox", cached: true, reasons: [] },
  {
    id: "0.1",
    name: "[2/3] COPY a b /",
    cached: false,
    reasons: [
      { kind: "file", name: "a", change: "changed" },
      { kind: "arg", name: "V", change: "added" },
    ],
  },
  {
    id: "0.2",
    name: `[3/3] RUN ${"x".repeat(80)}`,
    cached: false,
    reasons: [{ kind: "parent", name: "COPY", change: "changed" }],
  },
];

test("a table with a line for each reason", () => {
  expect(
    showExplanations(told, "table")
      .split("\n")
      .map((line) => line.replace(/ {2,}/g, " | ")),
  ).toEqual([
    "STEP | CACHED | WHY",
    "[1/3] FROM busybox | yes | ",
    "[2/3] COPY a b / | no | file a changed",
    " | argument V added",
    `[3/3] RUN ${"x".repeat(49)}… | no | the step before changed`,
    "",
  ]);
});

test("JSON is what the engine told", () => {
  expect(JSON.parse(showExplanations(told, "json"))).toEqual(told);
  expect(() => explainFormat("yaml")).toThrow("table or json is wanted");
});
