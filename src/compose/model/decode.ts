/**
 * Small decoders from trees to typed values, each throwing a ComposeError with the place of what it can't read. An
 * `object` decoder gives its fields in the order in which they are declared.
 */
import { parseDuration } from "../../lib/duration.ts";
import { ComposeError } from "./errors.ts";
import { type Node, toData } from "./node.ts";
import { parseSize } from "./units.ts";
import { splitWords } from "./words.ts";

/** @param path for messages: `services.web.cpus` */
export type Decoder<T> = (node: Node, path: string) => T;

function fail(node: Node, path: string, message: string): never {
  throw ComposeError.at(node.at, `${path} ${message}`);
}

/** A scalar as text: numbers and booleans as they print. */
export const text: Decoder<string> = (node, path) => {
  if (node.kind !== "scalar") fail(node, path, "must be a string");
  return node.value === null ? "" : String(node.value);
};

export const number: Decoder<number> = (node, path) => {
  const written = text(node, path);
  const value = Number(written);
  if (written.trim() === "" || !Number.isFinite(value))
    fail(node, path, `must be a number, not ${JSON.stringify(written)}`);
  return value;
};

export const integer: Decoder<number> = (node, path) => {
  const value = number(node, path);
  if (!Number.isSafeInteger(value)) fail(node, path, `must be an integer, not ${value}`);
  return value;
};

export const boolean: Decoder<boolean> = (node, path) => {
  const value = text(node, path);
  if (/^(true|yes|on|y|1|t)$/i.test(value)) return true;
  if (/^(false|no|off|n|0|f)$/i.test(value)) return false;
  return fail(node, path, `must be a boolean, not ${JSON.stringify(value)}`);
};

/** Bytes; -1 where a key allows it to mean "no limit". */
export const size: Decoder<number> = (node, path) => {
  const value = parseSize(text(node, path));
  return (
    value ??
    fail(node, path, `has an invalid size: ${JSON.stringify(text(node, path))}; write for example 64m`)
  );
};

/** Nanoseconds. */
export const duration: Decoder<number> = (node, path) => {
  const written = text(node, path);
  return (
    parseDuration(written, { days: true }) ??
    fail(node, path, `has an invalid duration: ${JSON.stringify(written)}; write for example 1m30s`)
  );
};

/** A file mode: a number as it is, text as octal digits. */
export const mode: Decoder<number> = (node, path) => {
  if (node.kind === "scalar" && typeof node.value === "number") return node.value;
  const written = text(node, path);
  if (!/^(0o)?[0-7]+$/.test(written))
    fail(node, path, `has an invalid mode: ${JSON.stringify(written)}; write for example "0440"`);
  return Number.parseInt(written.replace("0o", ""), 8);
};

/** A command line: a list as it is, text split as a shell would. */
export const command: Decoder<string[] | undefined> = (node, path) => {
  if (node.kind === "scalar" && node.value === null) return undefined;
  if (node.kind === "sequence") return list(text)(node, path);
  try {
    return splitWords(text(node, path));
  } catch (error) {
    if (error instanceof RangeError) fail(node, path, `can't be split into words: ${error.message}`);
    throw error;
  }
};

export const list =
  <T>(item: Decoder<T>): Decoder<T[]> =>
  (node, path) => {
    if (node.kind !== "sequence") fail(node, path, "must be an array");
    return node.items.map((value, index) => item(value, `${path}.${index}`));
  };

/** Keys of the user's choice, sorted as `config` prints them. */
export const record =
  <T>(value: Decoder<T>): Decoder<Record<string, T>> =>
  (node, path) => {
    if (node.kind !== "mapping") fail(node, path, "must be a mapping");
    const names = [...node.entries.keys()].sort();
    return Object.fromEntries(
      names.map((name) => [name, value(node.entries.get(name)!.value, `${path}.${name}`)]),
    );
  };

/** null stays null. */
export const nullable =
  <T>(value: Decoder<T>): Decoder<T | null> =>
  (node, path) =>
    node.kind === "scalar" && node.value === null ? null : value(node, path);

/** The fields of `T` that have a name of their own; `x-` names are copied as they are. */
export type Shape<T> = { [K in keyof T as K extends `x-${string}` ? never : K]-?: Decoder<T[K]> };

/** A mapping with known fields. Unknown ones were reported by the schema check and are left out here. */
export const object =
  <T extends object>(shape: Shape<T>): Decoder<T> =>
  (node, path) => {
    if (node.kind === "scalar" && node.value === null) return {} as T;
    if (node.kind !== "mapping") fail(node, path, "must be a mapping");
    const result: Record<string, unknown> = {};
    for (const [name, decode] of Object.entries(shape) as [string, Decoder<unknown>][]) {
      const entry = node.entries.get(name);
      if (!entry) continue;
      const value = decode(entry.value, `${path}.${name}`);
      if (value !== undefined) result[name] = value;
    }
    return { ...result, ...extensions(node) } as T;
  };

/** The `x-` entries of a mapping as plain data. */
export function extensions(node: Node): Record<string, unknown> {
  if (node.kind !== "mapping") return {};
  const names = [...node.entries.keys()].filter((name) => name.startsWith("x-")).sort();
  return Object.fromEntries(names.map((name) => [name, toData(node.entries.get(name)!.value)]));
}
