// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the variables are those of Compose files
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ComposeError } from "./errors.ts";
import { interpolate, interpolateTree, TemplateError, variablesOf } from "./interpolation.ts";
import { parseYaml, toData } from "./node.ts";

const values: Record<string, string> = { NAME: "value", EMPTY: "", OTHER: "other" };
const lookup = (name: string) => values[name];

describe("interpolate", () => {
  const cases: [template: string, result: string][] = [
    ["plain", "plain"],
    ["$NAME", "value"],
    ["${NAME}", "value"],
    ["a-$NAME-b", "a-value-b"],
    ["$NAME.txt", "value.txt"],
    ["${MISSING}", ""],
    ["$$NAME", "$NAME"],
    ["$$$NAME", "$value"],
    ["$${NAME}", "${NAME}"],
    ["${MISSING-default}", "default"],
    ["${MISSING:-default}", "default"],
    ["${EMPTY-default}", ""],
    ["${EMPTY:-default}", "default"],
    ["${NAME:-default}", "value"],
    ["${NAME+there}", "there"],
    ["${NAME:+there}", "there"],
    ["${EMPTY+there}", "there"],
    ["${EMPTY:+there}", ""],
    ["${MISSING+there}", ""],
    ["${MISSING:-${OTHER}}", "other"],
    ["${MISSING:-${ALSO_MISSING:-deep}}", "deep"],
    ["${MISSING:-a $OTHER b}", "a other b"],
    ["${MISSING:-}", ""],
    ["${NAME:?must be set}", "value"],
    ["${EMPTY?must be set}", ""],
    ["${MISSING:-http://x:80/?a=b}", "http://x:80/?a=b"],
    ["}", "}"],
  ];
  test.each(cases)("%s -> %s", (template, result) => {
    expect(interpolate(template, lookup)).toBe(result);
  });

  const failures: [template: string, message: RegExp][] = [
    ["$", /must be followed/],
    ["a$ b", /must be followed/],
    ["$1", /must be followed/],
    ["${", /name is missing/],
    ["${}", /name is missing/],
    ["${NAME", /closing }/],
    ["${NAME:-x", /closing }/],
    ["${NAME!}", /closing }/],
    ["${MISSING:?say why}", /required variable MISSING is missing a value: say why/],
    ["${EMPTY:?}", /required variable EMPTY is missing a value$/],
    ["${MISSING?$OTHER}", /missing a value: other/],
  ];
  test.each(failures)("%s fails", (template, message) => {
    expect(() => interpolate(template, lookup)).toThrow(message);
    expect(() => interpolate(template, lookup)).toThrow(TemplateError);
  });

  test("tells of variables that are not set, but not of those with a default or in a branch not taken", () => {
    const unset: string[] = [];
    interpolate("$A ${B:-x} ${C+x} ${NAME:-$D} ${NAME+$E}", lookup, (name) => unset.push(name));
    expect(unset).toEqual(["A", "E"]);
  });

  test("any text survives when its dollars are doubled", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(interpolate(text.replaceAll("$", "$$$$"), lookup)).toBe(text);
      }),
    );
  });

  test("never fails otherwise than with a TemplateError", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("$", "{", "}", ":", "-", "?", "+", "A", " ") }),
        (text) => {
          try {
            interpolate(text, lookup);
          } catch (error) {
            expect(error).toBeInstanceOf(TemplateError);
          }
        },
      ),
    );
  });
});

test("a tree's strings are filled, its keys are not, and a problem has its place", () => {
  const [tree] = parseYaml("$NAME: [a, $NAME, 3]\n", "f.yaml");
  expect(toData(interpolateTree(tree!, lookup, () => {}))).toEqual({ $NAME: ["a", "value", 3] });
  const [bad] = parseYaml("services:\n  web:\n    image: ${x\n", "f.yaml");
  expect(() => interpolateTree(bad!, lookup, () => {})).toThrow(ComposeError);
  expect(() => interpolateTree(bad!, lookup, () => {})).toThrow(
    /^f\.yaml:3:12: invalid interpolation format for services\.web\.image/,
  );
});

test("variablesOf finds names and defaults", () => {
  expect(variablesOf("$A ${B:-c} $$C ${D:?e}")).toEqual([
    { name: "A", fallback: undefined, required: false },
    { name: "B", fallback: "c", required: false },
    { name: "D", fallback: undefined, required: true },
  ]);
});
