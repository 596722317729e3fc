/** Go's types as templates see them, read from declarations that look like Go's own. */
import { goTime } from "../format/units.ts";
import { GoMap, GoStruct, Named, nilSlice, type StructField, type Value } from "./values.ts";

export type GoJson = undefined | null | string | number | boolean | GoJson[] | { [name: string]: GoJson };

/** Makes a value of a type from what JSON says of it; of nothing the type's zero. */
export type GoType = (json: GoJson) => Value;

const isObject = (json: GoJson): json is { [name: string]: GoJson } =>
  json !== null && typeof json === "object" && !Array.isArray(json);

const listOf =
  (item: GoType): GoType =>
  (json) =>
    Array.isArray(json) ? json.map((value) => item(value)) : nilSlice;

const mapOf =
  (item: GoType): GoType =>
  (json) =>
    new GoMap(
      isObject(json)
        ? Object.fromEntries(Object.entries(json).map(([key, value]) => [key, item(value)]))
        : {},
      () => item(undefined),
      !isObject(json),
    );

/** Followed wherever it is met, so that it is what it points to. */
const pointerTo =
  (item: GoType): GoType =>
  (json) =>
    json === undefined || json === null ? null : item(json);

/** A value of any type: JSON as it is, its objects by their keys' order. */
const any: GoType = (json) => {
  if (json === undefined || json === null) return null;
  if (Array.isArray(json)) return json.map(any);
  if (!isObject(json)) return json;
  const sorted = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, value]) => [name, any(value)]));
};

/** What is decoded without a type has its numbers as they were written, which compare as texts. */
const jsonNumber = { name: "json.Number", json: (value: string) => value };
export const untyped: GoType = (json) => {
  if (typeof json === "number") return new Named(String(json), jsonNumber);
  if (Array.isArray(json)) return json.map(untyped);
  if (!isObject(json)) return json ?? null;
  const sorted = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, value]) => [name, untyped(value)]));
};

const zeroTime = "0001-01-01T00:00:00Z";
const time = {
  name: "time.Time",
  show: (value: string) => (value === zeroTime ? "0001-01-01 00:00:00 +0000 UTC" : goTime(value, true)),
  json: (value: string) =>
    JSON.stringify(value.replace(/(\.\d*?)0+Z$/, (_, kept: string) => (kept === "." ? "Z" : `${kept}Z`))),
};

/** `1h2m3.5s`, as Go's time.Duration shows itself. */
export function goDuration(nanoseconds: number): string {
  const size = Math.abs(nanoseconds);
  if (size === 0) return "0s";
  const sign = nanoseconds < 0 ? "-" : "";
  if (size < 1e3) return `${sign}${size}ns`;
  if (size < 1e6) return `${sign}${size / 1e3}µs`;
  if (size < 1e9) return `${sign}${size / 1e6}ms`;
  const minutes = Math.floor(size / 60e9);
  const rest = `${(size - minutes * 60e9) / 1e9}s`;
  if (minutes === 0) return sign + rest;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours > 0 ? `${hours}h` : ""}${minutes % 60}m${rest}`;
}

const duration = {
  name: "time.Duration",
  show: goDuration,
  methods: {
    String: goDuration,
    Nanoseconds: (value: number) => value,
    Microseconds: (value: number) => Math.trunc(value / 1e3),
    Milliseconds: (value: number) => Math.trunc(value / 1e6),
    Seconds: (value: number) => value / 1e9,
    Minutes: (value: number) => value / 60e9,
    Hours: (value: number) => value / 3600e9,
  },
};

/** Digits that can be more than a number of ours holds. */
const digits = { name: "int64", json: (value: string) => value };

const basic: Record<string, GoType> = {
  string: (json) => (typeof json === "string" ? json : ""),
  bool: (json) => json === true,
  int: (json) => (typeof json === "number" ? json : typeof json === "string" ? new Named(json, digits) : 0),
  empty: () => new GoStruct("struct {}", [], []),
  any,
  time: (json) => new Named(typeof json === "string" ? json : zeroTime, time),
  duration: (json) => new Named(typeof json === "number" ? json : 0, duration),
};

const containerOf = (mode: string) =>
  mode.startsWith("container:") ? mode.slice("container:".length) : undefined;
const builtinNetworks = ["bridge", "host", "none", "default", "nat", ""];
const isUserDefined = (mode: string) => containerOf(mode) === undefined && !builtinNetworks.includes(mode);

/** Texts that say more when they are asked (api/types/container/hostconfig.go). */
const modes: Record<string, Record<string, (mode: string) => Value>> = {
  NetworkMode: {
    IsNone: (mode) => mode === "none",
    IsDefault: (mode) => mode === "default",
    IsBridge: (mode) => mode === "bridge",
    IsHost: (mode) => mode === "host",
    IsPrivate: (mode) => mode !== "host" && containerOf(mode) === undefined,
    IsContainer: (mode) => containerOf(mode) !== undefined,
    ConnectedContainer: (mode) => containerOf(mode) ?? "",
    IsUserDefined: isUserDefined,
    UserDefined: (mode) => (isUserDefined(mode) ? mode : ""),
    NetworkName: (mode) => (containerOf(mode) === undefined ? mode : "container"),
  },
  IpcMode: {
    IsPrivate: (mode) => mode === "private",
    IsHost: (mode) => mode === "host",
    IsShareable: (mode) => mode === "shareable",
    IsNone: (mode) => mode === "none",
    IsEmpty: (mode) => mode === "",
    IsContainer: (mode) => containerOf(mode) !== undefined,
    Container: (mode) => containerOf(mode) ?? "",
  },
  PidMode: {
    IsPrivate: (mode) => mode !== "host" && containerOf(mode) === undefined,
    IsHost: (mode) => mode === "host",
    IsContainer: (mode) => containerOf(mode) !== undefined,
    Container: (mode) => containerOf(mode) ?? "",
  },
  HostMode: { IsHost: (mode) => mode === "host", IsPrivate: (mode) => mode !== "host" },
  CgroupnsMode: {
    IsHost: (mode) => mode === "host",
    IsPrivate: (mode) => mode === "private",
    IsEmpty: (mode) => mode === "",
  },
};

/** How structs show themselves, and what they tell besides their fields. */
const methods: Record<string, Record<string, (self: GoStruct) => Value>> = {
  RestartPolicy: {
    IsNone: ({ values: [name] }) => name === "no" || name === "",
    IsAlways: ({ values: [name] }) => name === "always",
    IsOnFailure: ({ values: [name] }) => name === "on-failure",
    IsUnlessStopped: ({ values: [name] }) => name === "unless-stopped",
  },
  Ulimit: { String: ({ values: [name, hard, soft] }) => `${name}=${soft}:${hard}` },
};

/**
 * Types by name, from declarations of Go's form: `Name Type [json name][,omitempty]` a line, and a type alone for one
 * whose fields are the struct's own.
 */
export function declareTypes<N extends string>(declarations: Readonly<Record<N, string>>): Record<N, GoType> {
  const types: Record<string, GoType> = { ...basic };
  for (const [name, own] of Object.entries(modes)) {
    const type = { name: `container.${name}`, methods: own };
    types[name] = (json) => new Named(typeof json === "string" ? json : "", type);
  }
  const find = (source: string): GoType => {
    if (source.startsWith("[]")) return listOf(find(source.slice(2)));
    if (source.startsWith("map[]")) return mapOf(find(source.slice("map[]".length)));
    if (source.startsWith("*")) return pointerTo(find(source.slice(1)));
    // A type may be declared after those that use it.
    return (json) => types[source]!(json);
  };
  for (const [name, body] of Object.entries<string>(declarations)) {
    const fields: (StructField & { type: GoType })[] = [];
    for (const line of body.split("\n").filter((text) => text.trim() !== "")) {
      const [first = "", type, tag = ""] = line.trim().split(/\s+/);
      const [json, option] = tag.split(",");
      fields.push({
        name: type === undefined ? first.replace("*", "") : first,
        json: json || first,
        omitEmpty: option === "omitempty",
        embedded: type === undefined,
        type: find(type ?? first.replace("*", "")),
      });
    }
    const short = name.split(".").at(-1)!;
    types[short] = (json) => {
      const from = isObject(json) ? json : {};
      const values = fields.map(({ embedded, type, json: key }) => type(embedded ? from : from[key]));
      return new GoStruct(name, fields, values, methods[short]);
    };
    types[name] = types[short];
  }
  return types as Record<N, GoType>;
}
