/** `--set target.key=value`: what the command line puts over the files. */
import { InvalidParameter } from "../../lib/errors.ts";
import { nearest } from "../args/nearest.ts";
import { parseBool } from "../args/values.ts";
import { type Options, type OptionsField, parseOptions } from "./options.ts";
import { type FieldName, fields, type Target } from "./target.ts";

export interface Override {
  /** A name, or a pattern with `*` and `?`. */
  pattern: string;
  /** `+=`: added to what is there. */
  add: boolean;
  change: Target;
}

/** The output of `--push`. */
export const pushed: Options = { type: "image", push: "true" };

/** The keys of `--set`, where they are not the attributes' names. */
const keys: Record<string, FieldName> = {
  annotations: "annotations",
  args: "args",
  attest: "attest",
  "cache-from": "cache-from",
  "cache-to": "cache-to",
  call: "call",
  context: "context",
  contexts: "contexts",
  dockerfile: "dockerfile",
  entitlements: "entitlements",
  "extra-hosts": "extra-hosts",
  labels: "labels",
  network: "network",
  "no-cache": "no-cache",
  "no-cache-filter": "no-cache-filter",
  output: "output",
  platform: "platforms",
  pull: "pull",
  secrets: "secret",
  "shm-size": "shm-size",
  ssh: "ssh",
  tags: "tags",
  target: "target",
  ulimits: "ulimits",
};

/** @throws InvalidParameter */
export function parseOverride(text: string, env: Record<string, string | undefined>): Override {
  const equals = text.indexOf("=");
  const left = equals < 0 ? text : text.slice(0, equals);
  const add = left.endsWith("+");
  const [pattern = "", key = "", ...rest] = (add ? left.slice(0, -1) : left).split(".");
  const name = rest.join(".");
  const value = equals < 0 ? undefined : text.slice(equals + 1);
  if (key === "push" || key === "load") {
    const on = value === undefined || parseBool(value);
    const output = key === "push" ? pushed : { type: "docker" };
    return { pattern, add, change: on ? { output: [output] } : {} };
  }
  const field = Object.hasOwn(keys, key) ? keys[key] : undefined;
  if (pattern === "" || key === "" || (value === undefined && field !== "args"))
    throw new InvalidParameter(`invalid override ${text}, expected target.name=value`);
  if (!field) {
    const meant = nearest(key, Object.keys(keys));
    throw new InvalidParameter(
      `unknown key: ${key}${meant === undefined ? "" : ` (did you mean ${meant}?)`}`,
    );
  }
  return { pattern, add, change: { [field]: changeOf(field, key, name, value, env) } };
}

function changeOf(
  field: FieldName,
  key: string,
  name: string,
  value: string | undefined,
  env: Record<string, string | undefined>,
): unknown {
  const { kind } = fields[field];
  if (kind === "map") {
    if (name === "") throw new InvalidParameter(`invalid format for ${key}, expecting ${key}.<name>=<value>`);
    // An argument by name alone takes its value from the environment.
    const found = value ?? env[name];
    return found === undefined ? {} : { [name]: found };
  }
  if (name !== "") throw new InvalidParameter(`invalid key ${key}.${name}: ${key} has no names in it`);
  const text = value ?? "";
  switch (kind) {
    case "text":
      return text;
    case "flag":
      return parseBool(text);
    case "texts":
      return text === "" ? [] : [text];
    case "options":
      return text === "" ? [] : [parseOptions(field as OptionsField, text)];
  }
}

/**
 * Puts the overrides of a target over it. Several for one list are all of it, in their order.
 */
export function applyOverrides(target: Target, overrides: readonly Override[]): Target {
  const result: Record<string, unknown> = { ...target };
  const replaced = new Set<string>();
  for (const { add, change } of overrides) {
    for (const [name, value] of Object.entries(change)) {
      const { kind } = fields[name as FieldName];
      if (kind === "map") result[name] = { ...(result[name] as object), ...(value as object) };
      else if (Array.isArray(value) && (add || replaced.has(name)))
        result[name] = [...((result[name] as unknown[] | undefined) ?? []), ...value];
      else result[name] = value;
      replaced.add(name);
    }
  }
  return result as Target;
}

export function matches(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(name);
}
