/** Relative paths in a file become absolute: from the project's directory, or an extended or included file's own. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { child, type Mapping, mapEntries, type Node, scalar, withEntries } from "./node.ts";

/** What `~` stands for and where relative paths start. */
export function absolutePath(path: string, base: string): string {
  if (path === "~" || path.startsWith("~/")) return join(homedir(), path.slice(1));
  return isAbsolute(path) ? resolve(path) : resolve(base, path);
}

/** `https://…`, `git@…`, `github.com/…` and the like are build contexts that are no directories of this machine. */
export function isRemoteContext(context: string): boolean {
  return (
    /^(https?|git|ssh|docker-image|oci-layout|target|service):/.test(context) ||
    /^(git@|github\.com\/)/.test(context)
  );
}

/** Every path of a canonical tree made absolute. */
export function resolvePaths(root: Mapping, base: string): Mapping {
  return mapEntries(root, (section, name) => {
    if (section.kind !== "mapping") return section;
    if (name === "services") return mapEntries(section, (service) => resolveServicePaths(service, base));
    if (name === "secrets" || name === "configs")
      return mapEntries(section, (item) => changeText(item, "file", (path) => absolutePath(path, base)));
    if (name === "volumes") return mapEntries(section, (volume) => resolveBindVolume(volume, base));
    return section;
  });
}

/** One service's paths made absolute. */
export function resolveServicePaths(service: Node, base: string): Node {
  if (service.kind !== "mapping") return service;
  const onList = (name: string, change: (item: Node) => Node) => {
    const list = child(service, name);
    return list?.kind === "sequence" ? { [name]: { ...list, items: list.items.map(change) } } : {};
  };
  const build = child(service, "build");
  return withEntries(service, {
    ...(build
      ? {
          build: resolveBuildPaths(build, base),
        }
      : {}),
    ...watched(service, base),
    ...onList("env_file", (item) => changeText(item, "path", (path) => absolutePath(path, base))),
    ...onList("label_file", (item) =>
      item.kind === "scalar" && typeof item.value === "string"
        ? scalar(absolutePath(item.value, base), item.at)
        : item,
    ),
    ...onList("volumes", (item) =>
      textAt(item, "type") === "bind" ? changeText(item, "source", (path) => absolutePath(path, base)) : item,
    ),
  });
}

function watched(service: Node, base: string): Record<string, Node> {
  const develop = child(service, "develop");
  const rules = develop && child(develop, "watch");
  if (develop?.kind !== "mapping" || rules?.kind !== "sequence") return {};
  const items = rules.items.map((rule) => changeText(rule, "path", (path) => absolutePath(path, base)));
  return { develop: withEntries(develop, { watch: { ...rules, items } }) };
}

function resolveBuildPaths(build: Node, base: string): Node {
  const place = (path: string) => (isRemoteContext(path) ? path : absolutePath(path, base));
  const agent = (path: string) => (path === "" ? path : absolutePath(path, base));
  const whole = changeText(build, "context", place);
  if (whole.kind !== "mapping") return whole;
  return mapEntries(whole, (value, name) => {
    if (value.kind !== "mapping") return value;
    if (name === "additional_contexts") return mapEntries(value, (item) => changedScalar(item, place));
    return name === "ssh" ? mapEntries(value, (item) => changedScalar(item, agent)) : value;
  });
}

/** A local volume that is a bind mount (`o: bind`) names its directory in `device`. */
function resolveBindVolume(volume: Node, base: string): Node {
  const options = child(volume, "driver_opts");
  if (volume.kind !== "mapping" || !options || !textAt(options, "o")?.split(",").includes("bind"))
    return volume;
  return withEntries(volume, {
    driver_opts: changeText(options, "device", (path) => absolutePath(path, base)),
  });
}

function textAt(node: Node, name: string): string | undefined {
  const value = child(node, name);
  return value?.kind === "scalar" && typeof value.value === "string" ? value.value : undefined;
}

function changeText(node: Node, name: string, change: (text: string) => string): Node {
  const value = child(node, name);
  if (node.kind !== "mapping" || value === undefined) return node;
  return withEntries(node, { [name]: changedScalar(value, change) });
}

function changedScalar(node: Node, change: (text: string) => string): Node {
  return node.kind === "scalar" && typeof node.value === "string"
    ? scalar(change(node.value), node.at)
    : node;
}
