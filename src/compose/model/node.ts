/**
 * A YAML document as a tree whose every value knows where it was written. All steps of loading (interpolation,
 * schema check, canonical forms, merging) map trees to trees, so that an error at any step can say file:line:column.
 * Trees are immutable.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseAllDocuments } from "yaml";
import { ComposeError } from "./errors.ts";

export interface Position {
  file: string;
  /** From 1. */
  line: number;
  column: number;
}

interface Located {
  at: Position;
  /** `!reset` removes what earlier files said, `!override` replaces it without merging. */
  tag?: "reset" | "override";
}

export interface Scalar extends Located {
  kind: "scalar";
  value: string | number | boolean | null;
  /** The text came out of a variable: `"8080"` may then stand for a number. */
  interpolated?: boolean;
}
export interface Sequence extends Located {
  kind: "sequence";
  items: readonly Node[];
}
export interface Mapping extends Located {
  kind: "mapping";
  entries: ReadonlyMap<string, Entry>;
}
export interface Entry {
  /** Where the key stands. */
  at: Position;
  value: Node;
}
export type Node = Scalar | Sequence | Mapping;

/** What a document with anchors may expand to, so that aliases of aliases can't exhaust memory. */
const maximumNodes = 200_000;

/**
 * The documents of a file as mappings, in order.
 * @throws ComposeError for text that isn't YAML, duplicate keys, runaway aliases, or a document that is no mapping
 */
export function parseYaml(text: string, file: string): Mapping[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, logLevel: "silent" });
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const failure = document.errors[0];
    if (failure)
      throw ComposeError.at(position(failure.pos[0]), `yaml: ${failure.message.split(/ at line \d+/)[0]}`);
    let budget = maximumNodes;
    const open = new Set<ParsedNode>();

    const convert = (node: ParsedNode | null, fallback: Position): Node => {
      if (node === null) return { kind: "scalar", value: null, at: fallback };
      const at = position(node.range[0]);
      if (--budget < 0) throw ComposeError.at(at, "yaml: document contains excessive aliasing");
      if (isAlias(node)) {
        const target = node.resolve(document) as ParsedNode | undefined;
        if (!target) throw ComposeError.at(at, `yaml: unknown anchor '${node.source}' referenced`);
        if (open.has(target))
          throw ComposeError.at(at, `yaml: anchor '${node.source}' value contains itself`);
        return convert(target, at);
      }
      const tag = node.tag === "!reset" ? "reset" : node.tag === "!override" ? "override" : undefined;
      open.add(node);
      try {
        if (isMap(node)) {
          const entries = new Map<string, Entry>();
          const inherited = new Map<string, Entry>();
          for (const pair of node.items) {
            const key = pair.key as ParsedNode;
            const keyAt = position(key.range[0]);
            if (!isScalar(key)) throw ComposeError.at(keyAt, "yaml: a key must be a plain name");
            const value = convert(pair.value as ParsedNode | null, keyAt);
            if (key.value === "<<" && key.type === "PLAIN") mergeKey(value, inherited);
            else entries.set(String(key.value ?? key.source ?? ""), { at: keyAt, value });
          }
          for (const [name, entry] of inherited) if (!entries.has(name)) entries.set(name, entry);
          return { kind: "mapping", entries, at, tag };
        }
        if (isSeq(node))
          return {
            kind: "sequence",
            items: node.items.map((item) => convert(item as ParsedNode, at)),
            at,
            tag,
          };
        return { kind: "scalar", value: scalarValue(node.value, node.source, node.type), at, tag };
      } finally {
        open.delete(node);
      }
    };

    const root = document.contents as ParsedNode | null;
    if (root === null) return [];
    const tree = convert(root, position(0));
    if (tree.kind === "scalar" && tree.value === null) return [];
    if (tree.kind !== "mapping") throw ComposeError.at(tree.at, "top-level object must be a mapping");
    return [tree];
  });
}

function mergeKey(value: Node, inherited: Map<string, Entry>): void {
  const sources = value.kind === "sequence" ? value.items : [value];
  for (const source of sources) {
    if (source.kind !== "mapping")
      throw ComposeError.at(source.at, "yaml: map merge requires map or sequence of maps as the value");
    for (const [name, entry] of source.entries) if (!inherited.has(name)) inherited.set(name, entry);
  }
}

/** YAML 1.2 values, and `0644` as octal: Compose files carry file modes written so. */
function scalarValue(value: unknown, source: string | undefined, type: string | undefined): Scalar["value"] {
  if (type === "PLAIN" && source !== undefined && /^0[0-7]+$/.test(source)) return Number.parseInt(source, 8);
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "bigint") return Number(value);
  return null;
}

/** Plain data of a tree. */
export function toData(node: Node): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "sequence") return node.items.map(toData);
  return Object.fromEntries([...node.entries].map(([name, entry]) => [name, toData(entry.value)]));
}

/** The child of a mapping; undefined when it is missing or `node` is no mapping. */
export function child(node: Node | undefined, name: string): Node | undefined {
  return node?.kind === "mapping" ? node.entries.get(name)?.value : undefined;
}

/** The position of the deepest part of `path` that exists: for a mapping's entry its key. */
export function locate(root: Node, path: readonly string[]): Position {
  let at = root.at;
  let node: Node | undefined = root;
  for (const name of path) {
    if (node?.kind === "mapping") {
      const entry: Entry | undefined = node.entries.get(name);
      if (!entry) break;
      at = entry.at;
      node = entry.value;
    } else if (node?.kind === "sequence") {
      node = node.items[Number(name)];
      if (!node) break;
      at = node.at;
    } else break;
  }
  return at;
}

/** A scalar at the same place. */
export function scalar(value: Scalar["value"], at: Position): Scalar {
  return { kind: "scalar", value, at };
}

/** A mapping whose keys stand where their values do. Undefined values are left out. */
export function mapping(fields: Record<string, Node | undefined>, at: Position): Mapping {
  const entries = new Map<string, Entry>();
  for (const [name, value] of Object.entries(fields)) if (value) entries.set(name, { at: value.at, value });
  return { kind: "mapping", entries, at };
}

export function sequence(items: readonly Node[], at: Position): Sequence {
  return { kind: "sequence", items, at };
}

/** The mapping with some entries replaced, added, or (undefined) removed. */
export function withEntries(node: Mapping, changes: Record<string, Node | undefined>): Mapping {
  const entries = new Map(node.entries);
  for (const [name, value] of Object.entries(changes)) {
    if (value) entries.set(name, { at: entries.get(name)?.at ?? value.at, value });
    else entries.delete(name);
  }
  return { ...node, entries };
}

/** The mapping with each value mapped; undefined removes. */
export function mapEntries(node: Mapping, change: (value: Node, name: string) => Node | undefined): Mapping {
  const entries = new Map<string, Entry>();
  for (const [name, entry] of node.entries) {
    const value = change(entry.value, name);
    if (value) entries.set(name, { at: entry.at, value });
  }
  return { ...node, entries };
}
