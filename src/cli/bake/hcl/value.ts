/** What values are, and how one becomes another. Problems are told as a reason; who asks knows the place. */
import { InvalidParameter } from "../../../lib/errors.ts";
import type { Value } from "./types.ts";

/** A value that isn't what is needed. */
export class ValueError extends InvalidParameter {}

export type ValueMap = { [key: string]: Value };

export const isMap = (value: Value): value is ValueMap =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function typeName(value: Value): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "list";
  return isMap(value) ? "map" : typeof value;
}

function fail(value: Value, wanted: string): never {
  throw new ValueError(`${wanted} is needed, this is ${value === null ? "null" : `a ${typeName(value)}`}`);
}

/** As HCL writes numbers: no exponent for whole ones. */
export function numberText(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? BigInt(value).toString() : String(value);
}

export function toText(value: Value): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return numberText(value);
  return typeof value === "boolean" ? String(value) : fail(value, "a string");
}

export function toNumber(value: Value): number {
  if (typeof value === "number") return value;
  if (typeof value === "string" && /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value))
    return Number(value);
  return fail(value, "a number");
}

export function toWhole(value: Value): number {
  const number = toNumber(value);
  if (!Number.isInteger(number)) throw new ValueError(`a whole number is needed, this is ${number}`);
  return number;
}

export function toBoolean(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  return fail(value, "a bool");
}

export function toList(value: Value): Value[] {
  return Array.isArray(value) ? value : fail(value, "a list");
}

export function toMap(value: Value): ValueMap {
  return isMap(value) ? value : fail(value, "a map");
}

/** Maps are walked in the order of their keys. */
export function entriesOf(map: ValueMap): [string, Value][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Of types that differ, none are equal. */
export function equals(a: Value, b: Value): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => equals(item, b[i]!));
  if (a === null || b === null || !isMap(a) || !isMap(b)) return a === b;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && equals(a[key]!, b[key]!))
  );
}

export function distinct(values: readonly Value[]): Value[] {
  return values.filter((value, i) => !values.slice(0, i).some((earlier) => equals(earlier, value)));
}

/** Two results of which one is taken have one type: scalars of two kinds become text. */
export function unify(value: Value, other: Value): Value {
  const scalar = (one: Value) => one !== null && typeof one !== "object";
  return scalar(value) && scalar(other) && typeof value !== typeof other ? toText(value) : value;
}
