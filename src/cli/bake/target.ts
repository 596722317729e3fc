/** A target's attributes: what they hold, how two definitions join, and the order in which they are shown. */
import type { Options } from "./options.ts";

interface Kinds {
  text: string;
  flag: boolean;
  texts: string[];
  /** null: the value is taken from the environment of the build. */
  map: Record<string, string | null>;
  options: Options[];
}
export type Kind = keyof Kinds;

interface Field<K extends Kind = Kind> {
  kind: K;
  /**
   * How a later definition joins an earlier one. Default: texts, flags and lists replace, maps join by key.
   * `join`: what is not there yet is added; a function tells which entries are the same thing.
   */
  merge?: "join" | ((options: Options) => string);
}

const byId = ({ id = "" }: Options) => id;

/** In the order of `--print`. */
export const fields = {
  description: { kind: "text" },
  annotations: { kind: "texts", merge: "join" },
  attest: { kind: "options", merge: ({ type = "" }) => type },
  context: { kind: "text" },
  contexts: { kind: "map" },
  dockerfile: { kind: "text" },
  "dockerfile-inline": { kind: "text" },
  args: { kind: "map" },
  labels: { kind: "map" },
  tags: { kind: "texts" },
  "cache-from": { kind: "options", merge: "join" },
  "cache-to": { kind: "options" },
  target: { kind: "text" },
  secret: { kind: "options", merge: byId },
  ssh: { kind: "options", merge: byId },
  platforms: { kind: "texts" },
  output: { kind: "options" },
  pull: { kind: "flag" },
  "no-cache": { kind: "flag" },
  network: { kind: "text" },
  "no-cache-filter": { kind: "texts" },
  "shm-size": { kind: "text" },
  ulimits: { kind: "texts" },
  call: { kind: "text" },
  entitlements: { kind: "texts", merge: "join" },
  "extra-hosts": { kind: "map" },
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof fields;
export type Target = { [N in FieldName]?: Kinds[(typeof fields)[N]["kind"]] };

export const fieldNames = Object.keys(fields) as FieldName[];

/** The earlier definition with the later one over it. */
export function mergeTargets(earlier: Target, later: Target): Target {
  const merged: Record<string, unknown> = { ...earlier };
  for (const name of fieldNames) {
    const value = later[name];
    if (value !== undefined) merged[name] = mergeField(fields[name], earlier[name], value);
  }
  return merged as Target;
}

function mergeField(field: Field, earlier: unknown, later: unknown): unknown {
  if (earlier === undefined) return later;
  if (field.kind === "map") return { ...(earlier as object), ...(later as object) };
  if (!field.merge) return later;
  const identity = field.merge === "join" ? (entry: unknown) => JSON.stringify(entry) : field.merge;
  const entries = [...(earlier as Options[]), ...(later as Options[])];
  return [...new Map(entries.map((entry) => [identity(entry), entry])).values()];
}
