import { elementOf } from "../evaluate.ts";
import type { Value } from "../types.ts";
import { distinct, entriesOf, equals, isMap, toMap, unify, ValueError, type ValueMap } from "../value.ts";
import { fixed, type HclFunction, variadic } from "./define.ts";

const has = (list: Value[], item: Value) => list.some((one) => equals(one, item));
const values = (map: ValueMap) => entriesOf(map).map(([, value]) => value);
const flat = (list: Value[]): Value[] => list.flatMap((item) => (Array.isArray(item) ? flat(item) : [item]));
/** Sets are lists in order without duplicates. */
const asSet = (list: Value[]): Value[] =>
  distinct(list).sort((a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : 1,
  );

export const collections: Record<string, HclFunction> = {
  and: fixed(["bool", "bool"], (a, b) => a && b),
  or: fixed(["bool", "bool"], (a, b) => a || b),
  not: fixed(["bool"], (a) => !a),
  equal: fixed(["any", "any"], equals),
  notequal: fixed(["any", "any"], (a, b) => !equals(a, b)),
  chunklist: fixed(["list", "whole"], chunk),
  coalesce: variadic([], "any", (...all) => {
    const found = all.find((value) => value !== null);
    if (found === undefined) throw new ValueError("no argument is set");
    return all.filter((value) => value !== null).reduce((value: Value, other) => unify(value, other), found);
  }),
  coalescelist: variadic([], "list", (...lists) => {
    const found = lists.find((list) => list.length > 0);
    if (!found) throw new ValueError("all lists are empty");
    return found;
  }),
  compact: fixed(["list"], (list) => list.filter((item) => item !== "" && item !== null)),
  concat: variadic([], "list", (...lists) => lists.flat()),
  contains: fixed(["list", "any"], has),
  distinct: fixed(["list"], distinct),
  element: fixed(["list", "whole"], (list, index) => {
    if (list.length === 0) throw new ValueError("the list is empty");
    return list[((index % list.length) + list.length) % list.length]!;
  }),
  flatten: fixed(["list"], flat),
  hasindex: fixed(["any", "any"], (of, key) => {
    if (Array.isArray(of)) return typeof key === "number" && Number.isInteger(key) && key in of;
    return isMap(of) && typeof key === "string" && Object.hasOwn(of, key);
  }),
  index: fixed(["any", "any"], elementOf),
  indexof: fixed(["list", "any"], (list, item) => {
    const found = list.findIndex((one) => equals(one, item));
    if (found < 0) throw new ValueError("the item is not in the list");
    return found;
  }),
  keys: fixed(["map"], (map) => entriesOf(map).map(([key]) => key)),
  length: fixed(["any"], (value) => (Array.isArray(value) ? value.length : Object.keys(toMap(value)).length)),
  lookup: fixed(["map", "string", "any"], (map, key, otherwise) =>
    Object.hasOwn(map, key) ? map[key]! : otherwise,
  ),
  merge: variadic([], "any", (...maps) =>
    Object.fromEntries(maps.filter((map) => map !== null).flatMap((map) => Object.entries(toMap(map)))),
  ),
  reverselist: fixed(["list"], (list) => list.toReversed()),
  sethaselement: fixed(["list", "any"], has),
  setintersection: variadic(["list"], "list", (first, ...rest) =>
    asSet(first.filter((item) => rest.every((list) => has(list, item)))),
  ),
  setproduct: variadic([], "list", (...lists) =>
    lists.reduce<Value[][]>((rows, list) => rows.flatMap((row) => list.map((item) => [...row, item])), [[]]),
  ),
  setsubtract: fixed(["list", "list"], (a, b) => asSet(a.filter((item) => !has(b, item)))),
  setsymmetricdifference: variadic(["list"], "list", (first, ...rest) =>
    asSet(
      rest.reduce(
        (a, b) => [...a.filter((item) => !has(b, item)), ...b.filter((item) => !has(a, item))],
        first,
      ),
    ),
  ),
  setunion: variadic([], "list", (...lists) => asSet(lists.flat())),
  slice: fixed(["list", "whole", "whole"], (list, start, end) => {
    if (start < 0 || end < start || end > list.length)
      throw new ValueError(`${start} to ${end} is not within a list of ${list.length}`);
    return list.slice(start, end);
  }),
  sort: fixed(["strings"], (list) => list.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))),
  values: fixed(["map"], values),
  zipmap: fixed(["strings", "list"], (keys, items) => {
    if (keys.length !== items.length) throw new ValueError("there must be as many keys as values");
    return Object.fromEntries(keys.map((key, i) => [key, items[i]!]));
  }),
};

function chunk(list: Value[], size: number): Value[] {
  if (size < 0) throw new ValueError("the size must not be negative");
  if (size === 0) return [list];
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}
