/** One Compose file with all that it draws in: `include` and `extends` resolved, paths absolute, forms canonical. */
import { dirname } from "node:path";
import { canonicalize } from "./canonical.ts";
import { parseDotenv } from "./dotenv.ts";
import { ComposeError, didYouMean } from "./errors.ts";
import { interpolateTree, type Lookup } from "./interpolation.ts";
import { merge } from "./merge.ts";
import {
  child,
  type Entry,
  type Mapping,
  mapEntries,
  mapping,
  type Node,
  parseYaml,
  toData,
  withEntries,
} from "./node.ts";
import { absolutePath, resolvePaths } from "./paths.ts";
import { checkSchema } from "./schema.ts";

/** What reading layers needs from outside. */
export interface LayerContext {
  /** undefined: there is no such file. */
  readFile: (path: string) => string | undefined;
  lookup: Lookup;
  onUnset: (variable: string) => void;
  warn: (message: string) => void;
  interpolate: boolean;
  resolvePaths: boolean;
}

/**
 * Reads a file and what it includes and extends.
 * @param base directory of relative paths
 * @param trail the files that are being read, against include cycles
 * @throws ComposeError
 */
export function readLayer(
  file: string,
  base: string,
  context: LayerContext,
  trail: readonly string[] = [],
): Mapping {
  if (trail.includes(file))
    throw ComposeError.at(undefined, `include cycle detected:\n${[...trail, file].join("\n include ")}`);
  let layer: Mapping | undefined;
  for (const document of readDocuments(file, context)) {
    const tree = context.resolvePaths ? resolvePaths(document, base) : document;
    const extended = resolveExtends(tree, file, base, context);
    const whole = resolveIncludes(extended, base, context, [...trail, file]);
    layer = layer ? (merge(layer, whole) as Mapping) : whole;
  }
  return layer ?? mapping({}, { file, line: 1, column: 1 });
}

/** The file's documents, filled, checked against the schema and in canonical form; paths as written. */
function readDocuments(file: string, context: LayerContext): Mapping[] {
  const text = context.readFile(file);
  if (text === undefined) throw ComposeError.at(undefined, `open ${file}: no such file or directory`);
  return parseYaml(text, file).map((document) => {
    if (document.entries.has("version"))
      context.warn(
        `${file}: the attribute \`version\` is obsolete, it will be ignored, please remove it to avoid potential confusion`,
      );
    const filled = context.interpolate
      ? interpolateTree(document, context.lookup, context.onUnset)
      : document;
    const problems = checkSchema(filled);
    if (problems.length > 0) throw new ComposeError(problems);
    return canonicalize(withEntries(filled as Mapping, { version: undefined }));
  });
}

/** Gives each service what the service it `extends` says. */
function resolveExtends(tree: Mapping, file: string, base: string, context: LayerContext): Mapping {
  const services = child(tree, "services");
  if (services?.kind !== "mapping") return tree;
  const resolved = mapEntries(services, (_, name) =>
    extendedService(services, name, file, base, context, []),
  );
  return withEntries(tree, { services: resolved });
}

function extendedService(
  services: Mapping,
  name: string,
  file: string,
  base: string,
  context: LayerContext,
  trail: readonly string[],
): Node {
  const service = services.entries.get(name)!.value;
  const extension = child(service, "extends");
  if (service.kind !== "mapping" || extension?.kind !== "mapping") return service;
  const here = `${file}#${name}`;
  if (trail.includes(here))
    throw ComposeError.at(extension.at, `Circular reference:\n  ${[...trail, here].join("\n  extends ")}`);
  const target = String(toData(child(extension, "service")!));
  const given = child(extension, "file");
  const otherFile = given ? absolutePath(String(toData(given)), base) : file;
  const otherBase = given ? dirname(otherFile) : base;
  const siblings = given ? servicesOf(otherFile, otherBase, given, context) : services;
  if (!siblings.entries.has(target))
    throw ComposeError.at(
      extension.at,
      `cannot extend service ${JSON.stringify(name)} in ${file}: service ${JSON.stringify(target)} not found${given ? ` in ${otherFile}` : ""}`,
      didYouMean(target, siblings.entries.keys()),
    );
  const parent = extendedService(siblings, target, otherFile, otherBase, context, [...trail, here]);
  const own = withEntries(service, { extends: undefined });
  return merge(parent, own, "services.*");
}

function servicesOf(file: string, base: string, at: Node, context: LayerContext): Mapping {
  if (context.readFile(file) === undefined)
    throw ComposeError.at(at.at, `open ${file}: no such file or directory`);
  let whole: Node | undefined;
  for (const document of readDocuments(file, context)) {
    const services = child(context.resolvePaths ? resolvePaths(document, base) : document, "services");
    if (services) whole = whole ? merge(whole, services, "services") : services;
  }
  return whole?.kind === "mapping" ? whole : mapping({}, { file, line: 1, column: 1 });
}

/** Reads what `include:` names, each as a project of its own, and adds its resources to the file's. */
function resolveIncludes(
  tree: Mapping,
  base: string,
  context: LayerContext,
  trail: readonly string[],
): Mapping {
  const includes = child(tree, "include");
  let whole = withEntries(tree, { include: undefined });
  if (includes?.kind !== "sequence") return whole;
  for (const include of includes.items) {
    const paths = textsOf(child(include, "path")).map((path) => absolutePath(path, base));
    const first = paths[0];
    if (!first) throw ComposeError.at(include.at, "include must name a file: path is missing");
    for (const path of paths)
      if (context.readFile(path) === undefined)
        throw ComposeError.at(include.at, `open ${path}: no such file or directory`);
    const given = textsOf(child(include, "project_directory"))[0];
    const directory = given ? absolutePath(given, base) : dirname(first);
    const lookup = includeLookup(include, base, directory, context);
    let layer: Mapping | undefined;
    for (const path of paths) {
      const next = readLayer(path, directory, { ...context, lookup }, trail);
      layer = layer ? (merge(layer, next) as Mapping) : next;
    }
    whole = importResources(whole, layer!);
  }
  return whole;
}

/** An include has variables of its own from its `env_file` or `.env`; the project's come first. */
function includeLookup(include: Node, base: string, directory: string, context: LayerContext): Lookup {
  const given = textsOf(child(include, "env_file"));
  const files =
    given.length > 0 ? given.map((path) => absolutePath(path, base)) : [absolutePath(".env", directory)];
  const own: Record<string, string> = {};
  for (const file of files) {
    const text = file === "/dev/null" ? "" : context.readFile(file);
    if (text === undefined && given.length > 0)
      throw ComposeError.at(include.at, `open ${file}: no such file or directory`);
    Object.assign(
      own,
      parseDotenv(text ?? "", file, (name) => own[name] ?? context.lookup(name)),
    );
  }
  return (name) => context.lookup(name) ?? own[name];
}

const sections = ["services", "networks", "volumes", "secrets", "configs"];

/** @throws ComposeError when a name is defined differently on both sides */
function importResources(tree: Mapping, included: Mapping): Mapping {
  let result = tree;
  for (const section of sections) {
    const theirs = child(included, section);
    if (theirs?.kind !== "mapping") continue;
    const ours = child(result, section);
    const entries = new Map<string, Entry>(ours?.kind === "mapping" ? ours.entries : []);
    for (const [name, entry] of theirs.entries) {
      const mine = entries.get(name);
      if (mine && JSON.stringify(toData(mine.value)) !== JSON.stringify(toData(entry.value)))
        throw ComposeError.at(
          mine.at,
          `${section}.${name} conflicts with imported resource`,
          `it comes from ${entry.at.file}`,
        );
      entries.set(name, entry);
    }
    result = withEntries(result, { [section]: { kind: "mapping", entries, at: ours?.at ?? theirs.at } });
  }
  return result;
}

function textsOf(node: Node | undefined): string[] {
  if (!node) return [];
  return [toData(node)].flat().map(String);
}
