/** Which targets are built: groups resolved, attributes inherited, overrides put over them. */
import { InvalidParameter } from "../../lib/errors.ts";
import { nearest } from "../args/nearest.ts";
import { applyOverrides, matches, type Override } from "./overrides.ts";
import { mergeTargets, type Target } from "./target.ts";

export interface Project {
  /** Definitions of each target, the later over the earlier. */
  targets: Map<string, { inherits: string[]; target: Target }>;
  /** Names of targets and groups. */
  groups: Map<string, string[]>;
}

export interface Plan {
  /** For display: those that the named ones lead through, and `default` for the named ones themselves. */
  groups: Map<string, string[]>;
  targets: Map<string, Target>;
  /** Targets that a target takes files or its base from. */
  needs: Map<string, string[]>;
}

/** A project's targets and groups by name; definitions of the same name join. */
export function addTarget(project: Project, name: string, target: Target, inherits: string[] = []): void {
  const earlier = project.targets.get(name);
  project.targets.set(name, {
    target: earlier ? mergeTargets(earlier.target, target) : target,
    inherits: inherits.length > 0 ? inherits : (earlier?.inherits ?? []),
  });
}

/** @throws InvalidParameter for an unknown name, and for what leads in a circle */
export function plan(project: Project, names: readonly string[], overrides: readonly Override[]): Plan {
  const known = [...project.targets.keys()];
  for (const { pattern } of overrides) {
    if (!known.some((name) => matches(pattern, name)))
      throw new InvalidParameter(`could not find any target matching '${pattern}'`);
  }
  const result: Plan = { groups: new Map(), targets: new Map(), needs: new Map() };
  const asked = names.flatMap((name) => resolveGroup(project, name, result, []));
  for (const name of asked) addWithNeeds(name, []);
  nameDefault(project, names, result);
  const linked = [...result.targets.keys()].filter((name) => !asked.includes(name));
  // What nobody asked for is built for others alone.
  for (const name of linked) {
    const target = result.targets.get(name)!;
    if (!target.output?.length) target.output = [{ type: "cacheonly" }];
  }
  return result;

  function addWithNeeds(name: string, through: string[]): void {
    if (through.includes(name)) throw new InvalidParameter(`infinite loop from ${through.at(-1)} to ${name}`);
    if (result.targets.has(name)) return;
    const inherited = inherit(project, name, []);
    const own = overrides.filter(({ pattern }) => matches(pattern, name));
    const target = applyOverrides(inherited, own);
    const links = Object.values(target.contexts ?? {}).flatMap((value) =>
      value?.startsWith("target:") ? [value.slice("target:".length)] : [],
    );
    for (const link of links) addWithNeeds(link, [...through, name]);
    result.needs.set(name, links);
    result.targets.set(name, { context: ".", dockerfile: "Dockerfile", ...target });
  }
}

/** The group of the command line: `default` shows what was named. */
function nameDefault(project: Project, names: readonly string[], result: Plan): void {
  const isDefault = names.length === 1 && names[0] === "default";
  if (isDefault && (project.groups.has("default") || !project.targets.has("default"))) return;
  const before = result.groups.get("default");
  result.groups.set("default", before ? [...new Set([...before, ...names])].sort() : [...names]);
}

function resolveGroup(project: Project, name: string, result: Plan, through: string[]): string[] {
  const members = project.groups.get(name);
  if (!members || through.includes(name)) {
    if (!project.targets.has(name)) throw notFound(project, name);
    return [name];
  }
  result.groups.set(name, members);
  return members.flatMap((member) =>
    // A target and a group may have one name; the group is looked at first.
    resolveGroup(project, member, result, [...through, name]),
  );
}

/** What a target inherits, the later over the earlier, under what is its own. */
function inherit(project: Project, name: string, through: string[]): Target {
  const found = project.targets.get(name);
  if (!found) throw notFound(project, name);
  const parents = found.inherits.filter((parent) => parent !== name && !through.includes(parent));
  const inherited = parents.map((parent) => inherit(project, parent, [...through, name]));
  const { description: _, ...base } = inherited.reduce<Target>(mergeTargets, {});
  return mergeTargets(base, found.target);
}

function notFound({ targets, groups }: Project, name: string): InvalidParameter {
  const meant = nearest(name, [...targets.keys(), ...groups.keys()]);
  return new InvalidParameter(
    `failed to find target ${name}${meant === undefined ? "" : ` (did you mean ${meant}?)`}`,
  );
}
