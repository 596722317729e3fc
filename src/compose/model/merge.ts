/**
 * How a later file overrides an earlier one (Compose Specification, "Merge and override"). Trees in canonical form
 * come in: mappings are merged key by key, lists are joined, scalars are replaced, and some keys have their own rule.
 */
import { child, type Entry, type Mapping, type Node, type Sequence, toData } from "./node.ts";

/** Lists whose later value replaces the earlier one as a whole. */
const replaced = new Set(["services.*.command", "services.*.entrypoint", "services.*.healthcheck.test"]);

/** Lists of mappings in which a later item replaces or extends the one with the same identity. */
const identities: Record<string, (item: Node) => string> = {
  "services.*.ports": (item) => identity(item, ["host_ip", "target", "published", "protocol"]),
  "services.*.volumes": (item) => identity(item, ["target"]),
  "services.*.devices": (item) => identity(item, ["target"]),
  "services.*.secrets": (item) => identity(item, ["source", "target"]),
  "services.*.configs": (item) => identity(item, ["source", "target"]),
  "services.*.env_file": (item) => identity(item, ["path"]),
  "networks.*.ipam.config": (item) => identity(item, ["subnet"]),
};

/** Lists of the items above in which the later item is the whole truth, not merged into the earlier. */
const wholeItems = new Set(["services.*.volumes"]);

/** @param path where the trees stand, for the rules; "" for whole files */
export function merge(base: Node, override: Node, path = ""): Node {
  if (override.tag === "override") return withoutTag(override);
  if (base.kind === "mapping" && override.kind === "mapping") {
    if (path === "services.*.logging" && driverChanges(base, override)) return override;
    return mergeMappings(base, override, path);
  }
  if (base.kind === "sequence" && override.kind === "sequence" && !replaced.has(path))
    return mergeSequences(base, override, path);
  // A bare `db:` in an override says nothing new about it.
  if (override.kind === "scalar" && override.value === null && base.kind === "mapping") return base;
  return override;
}

function mergeMappings(base: Mapping, override: Mapping, path: string): Mapping {
  const entries = new Map<string, Entry>(base.entries);
  for (const [name, entry] of override.entries) {
    if (entry.value.tag === "reset") {
      entries.delete(name);
      continue;
    }
    const before = base.entries.get(name);
    const below = pathBelow(path, name);
    entries.set(name, before ? { at: entry.at, value: merge(before.value, entry.value, below) } : entry);
  }
  return { kind: "mapping", entries, at: override.at };
}

function mergeSequences(base: Sequence, override: Sequence, path: string): Sequence {
  const identify = identities[path] ?? ((item: Node) => JSON.stringify(toData(item)));
  const items = new Map<string, Node>();
  for (const item of base.items) items.set(identify(item), item);
  for (const item of override.items) {
    const key = identify(item);
    const before = items.get(key);
    items.set(key, before && !wholeItems.has(path) ? merge(before, item, `${path}.*`) : item);
  }
  return { kind: "sequence", items: [...items.values()], at: override.at };
}

/** Sections hold names of the user's choice, which a rule's path writes as `*`. */
const sections = new Set(["services", "networks", "volumes", "secrets", "configs", "models"]);

function pathBelow(path: string, name: string): string {
  if (path === "") return name;
  return sections.has(path) ? `${path}.*` : `${path}.${name}`;
}

function identity(item: Node, fields: string[]): string {
  return JSON.stringify(fields.map((field) => String(scalarAt(child(item, field)))));
}

function scalarAt(node: Node | undefined): unknown {
  return node?.kind === "scalar" ? node.value : "";
}

function driverChanges(base: Node, override: Node): boolean {
  const before = scalarAt(child(base, "driver"));
  const after = scalarAt(child(override, "driver"));
  return before !== "" && after !== "" && before !== after;
}

/** Takes marks that only matter between files out of the result: `!reset` entries go, `!override` is plain. */
export function settle(node: Node): Node {
  const plain = withoutTag(node);
  if (plain.kind === "mapping") {
    const entries = new Map<string, Entry>();
    for (const [name, entry] of plain.entries)
      if (entry.value.tag !== "reset") entries.set(name, { at: entry.at, value: settle(entry.value) });
    return { ...plain, entries };
  }
  if (plain.kind === "sequence")
    return { ...plain, items: plain.items.filter((item) => item.tag !== "reset").map(settle) };
  return plain;
}

function withoutTag<T extends Node>(node: T): T {
  return node.tag ? { ...node, tag: undefined } : node;
}
