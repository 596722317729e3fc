/** Short forms become long ones, on trees: what merging and decoding build on. Values already long stay as they are. */
import { ComposeError } from "./errors.ts";
import { parseDevice, parseVolume } from "./mounts.ts";
import {
  child,
  type Mapping,
  mapEntries,
  mapping,
  type Node,
  type Position,
  scalar,
  sequence,
  withEntries,
} from "./node.ts";
import { parsePort } from "./ports.ts";

type Rewrite = (node: Node) => Node;

/** One file (or one extended service's file) with every short form made long. */
export function canonicalize(root: Mapping): Mapping {
  return mapEntries(root, (value, section) => {
    if (section === "services") return onValues(value, canonicalService);
    if (section === "include")
      return onItems(value, (item) => rewriteFields(asField("path")(item), includeFields));
    return namedSections.has(section) ? onValues(value, canonicalResource) : value;
  });
}

/** One service with every short form made long. */
export function canonicalService(service: Node): Node {
  return rewriteFields(service, serviceFields);
}

const toList: Rewrite = (node) =>
  node.kind === "scalar" && node.value !== null ? sequence([node], node.at) : node;

/** `["A=1", "B"]` -> `{A: "1", B: <bare>}`; values of mappings stay. */
const toMapping =
  (separators: string, bare: string | null): Rewrite =>
  (node) => {
    if (node.kind !== "sequence") return node;
    const entries = new Map<string, { at: Position; value: Node }>();
    for (const item of node.items) {
      const text = textOf(item);
      const cut = [...text].findIndex((character) => separators.includes(character));
      const name = cut < 0 ? text : text.slice(0, cut);
      entries.set(name, { at: item.at, value: scalar(cut < 0 ? bare : text.slice(cut + 1), item.at) });
    }
    return { kind: "mapping", entries, at: node.at, tag: node.tag };
  };

/** `["a", "b"]` -> `{a: <value>, b: <value>}` */
const toKeys =
  (value: (at: Position) => Node): Rewrite =>
  (node) => {
    if (node.kind !== "sequence") return node;
    const entries = new Map(node.items.map((item) => [textOf(item), { at: item.at, value: value(item.at) }]));
    return { kind: "mapping", entries, at: node.at, tag: node.tag };
  };

const asField =
  (name: string): Rewrite =>
  (node) =>
    node.kind === "scalar" && node.value !== null ? mapping({ [name]: node }, node.at) : node;

/** Hosts may have several addresses, so each value becomes a list; a repeated name in a list adds one. */
const toHosts: Rewrite = (node) => {
  const entries = new Map<string, { at: Position; value: Node }>();
  if (node.kind === "sequence") {
    for (const item of node.items) {
      const match = /^([^=:]+)[=:](.*)$/.exec(textOf(item));
      if (!match) throw ComposeError.at(item.at, `invalid additional host, missing IP: ${textOf(item)}`);
      const before = entries.get(match[1]!)?.value;
      const address = scalar(match[2]!.replace(/^\[(.*)\]$/, "$1"), item.at);
      const items = [...(before?.kind === "sequence" ? before.items : []), address];
      entries.set(match[1]!, { at: item.at, value: sequence(items, item.at) });
    }
    return { kind: "mapping", entries, at: node.at, tag: node.tag };
  }
  return node.kind === "mapping" ? mapEntries(node, toList) : node;
};

/** Parses short text to a plain object and puts it where the text stood. */
const expand =
  (parse: (text: string) => object | object[]): Rewrite =>
  (node) => {
    if (node.kind !== "sequence") return node;
    const items = node.items.flatMap((item): Node[] => {
      if (item.kind !== "scalar") return [item];
      try {
        return [parse(textOf(item))].flat().map((value) => fromData(value, item.at));
      } catch (error) {
        if (error instanceof RangeError) throw ComposeError.at(item.at, error.message);
        throw error;
      }
    });
    return { ...node, items };
  };

const toReferences: Rewrite = (node) =>
  node.kind === "sequence" ? { ...node, items: node.items.map(asField("source")) } : node;

const requiredByDefault: Rewrite = (node) =>
  node.kind === "mapping" && !node.entries.has("required")
    ? withEntries(node, { required: scalar(true, node.at) })
    : node;

const toEnvFiles: Rewrite = (node) => {
  const list = toList(node);
  if (list.kind !== "sequence") return list;
  return { ...list, items: list.items.map((item) => requiredByDefault(asField("path")(item))) };
};

const toExternal: Rewrite = (node) => {
  const external = child(node, "external");
  if (node.kind !== "mapping" || external?.kind !== "mapping") return node;
  return withEntries(node, {
    external: scalar(true, external.at),
    name: child(external, "name") ?? child(node, "name"),
  });
};

/** A mount's long form gets the defaults that the short form has. */
const completeVolume: Rewrite = (given) => {
  const node = rewriteFields(given, { volume: (options) => rewriteFields(options, { labels }) });
  if (child(node, "type")?.kind !== "scalar" || node.kind !== "mapping") return node;
  const type = textOf(child(node, "type")!);
  if (type === "bind") {
    const bind = child(node, "bind") ?? mapping({}, node.at);
    if (bind.kind !== "mapping" || bind.entries.has("create_host_path")) return node;
    return withEntries(node, { bind: withEntries(bind, { create_host_path: scalar(true, node.at) }) });
  }
  return node;
};

const toVolumes: Rewrite = (node) => {
  const list = expand(parseVolume)(node);
  return list.kind === "sequence" ? { ...list, items: list.items.map(completeVolume) } : list;
};

const completePort: Rewrite = (node) => {
  if (node.kind !== "mapping") return node;
  const add: Record<string, Node> = {};
  if (!node.entries.has("mode")) add.mode = scalar("ingress", node.at);
  if (!node.entries.has("protocol")) add.protocol = scalar("tcp", node.at);
  return withEntries(node, add);
};

const toPorts: Rewrite = (node) => {
  const list = expand(parsePort)(node);
  return list.kind === "sequence" ? { ...list, items: list.items.map(completePort) } : list;
};

const toDependencies: Rewrite = (node) => {
  const whole = toKeys((at) => mapping({ condition: scalar("service_started", at) }, at))(node);
  if (whole.kind !== "mapping") return whole;
  return mapEntries(whole, requiredByDefault);
};

const toTest: Rewrite = (node) =>
  node.kind === "scalar" && node.value !== null
    ? sequence([scalar("CMD-SHELL", node.at), node], node.at)
    : node;

const environment = toMapping("=", null);
const labels = toMapping("=", "");

/** `gpus: all` is one request for all. */
const toGpus: Rewrite = (node) =>
  toRequests(
    node.kind === "scalar" && node.value === "all"
      ? sequence([mapping({ count: scalar("all", node.at) }, node.at)], node.at)
      : node,
  );

/** Who says neither how many nor which gets all. */
const toRequests: Rewrite = (node) =>
  onItems(node, (item) => {
    const request = rewriteFields(item, { options: environment });
    if (request.kind !== "mapping" || request.entries.has("count") || request.entries.has("device_ids"))
      return request;
    return withEntries(request, { count: scalar("all", item.at) });
  });

const hookFields: Record<string, Rewrite> = { environment };
const toHooks: Rewrite = (node) => onItems(node, (item) => rewriteFields(item, hookFields));

const watchFields: Record<string, Rewrite> = {
  exec: (node) => rewriteFields(node, hookFields),
  ignore: toList,
  include: toList,
};

const deployFields: Record<string, Rewrite> = {
  labels,
  resources: (node) =>
    rewriteFields(node, { reservations: (item) => rewriteFields(item, { devices: toRequests }) }),
};

const buildFields: Record<string, Rewrite> = {
  args: environment,
  labels,
  additional_contexts: labels,
  extra_hosts: toHosts,
  ssh: environment,
  secrets: toReferences,
};

const serviceFields: Record<string, Rewrite> = {
  annotations: labels,
  build: (node) => rewriteFields(asField("context")(node), buildFields),
  configs: toReferences,
  depends_on: toDependencies,
  deploy: (node) => rewriteFields(node, deployFields),
  develop: (node) =>
    rewriteFields(node, { watch: (item) => onItems(item, (rule) => rewriteFields(rule, watchFields)) }),
  devices: expand(parseDevice),
  dns: toList,
  dns_search: toList,
  env_file: toEnvFiles,
  environment,
  extends: asField("service"),
  extra_hosts: toHosts,
  gpus: toGpus,
  healthcheck: (node) => rewriteFields(node, { test: toTest }),
  label_file: toList,
  labels,
  models: toKeys((at) => scalar(null, at)),
  networks: toKeys((at) => scalar(null, at)),
  ports: toPorts,
  post_start: toHooks,
  pre_stop: toHooks,
  provider: (node) =>
    rewriteFields(node, { options: (item) => (item.kind === "mapping" ? mapEntries(item, toList) : item) }),
  secrets: toReferences,
  sysctls: environment,
  tmpfs: toList,
  volumes: toVolumes,
};

const includeFields: Record<string, Rewrite> = { path: toList, env_file: toList };

const namedSections = new Set(["networks", "volumes", "secrets", "configs"]);
const canonicalResource: Rewrite = (node) => rewriteFields(toExternal(node), { labels });

function rewriteFields(node: Node, fields: Record<string, Rewrite>): Node {
  if (node.kind !== "mapping") return node;
  return mapEntries(node, (value, name) => {
    if (value.tag === "reset" || !Object.hasOwn(fields, name)) return value;
    const changed = fields[name]!(value);
    return value.tag ? { ...changed, tag: value.tag } : changed;
  });
}

function onValues(node: Node, rewrite: Rewrite): Node {
  return node.kind === "mapping" ? mapEntries(node, rewrite) : node;
}

function onItems(node: Node, rewrite: Rewrite): Node {
  return node.kind === "sequence" ? { ...node, items: node.items.map(rewrite) } : node;
}

function textOf(node: Node): string {
  if (node.kind !== "scalar") throw ComposeError.at(node.at, "must be a string");
  return String(node.value);
}

function fromData(value: unknown, at: Position): Node {
  if (Array.isArray(value))
    return sequence(
      value.map((item) => fromData(item, at)),
      at,
    );
  if (typeof value === "object" && value !== null)
    return mapping(
      Object.fromEntries(Object.entries(value).map(([name, item]) => [name, fromData(item, at)])),
      at,
    );
  return scalar(value as string | number | boolean | null, at);
}
