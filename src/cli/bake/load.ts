/** From files and the command line to what is built. */

import type { CliContext } from "../context.ts";
import { readDefinitions } from "./bakefile.ts";
import { composeTargets } from "./compose.ts";
import type { Sources } from "./files.ts";
import { readGroup, readTargets } from "./read-target.ts";
import { addTarget, type Project } from "./resolve.ts";
import { BakeScope, type Variable } from "./scope.ts";

export interface Loaded {
  project: Project;
  variables: Variable[];
}

/** Go's names of this machine's architecture. */
const architectures: Record<string, string> = { x64: "amd64", ia32: "386" };
const localPlatform = `linux/${architectures[process.arch] ?? process.arch}`;

/** @param env variables by name, those of `--var` included @throws HclError, InvalidParameter */
export async function load(
  context: CliContext,
  sources: Sources,
  env: Record<string, string | undefined>,
): Promise<Loaded> {
  const project: Project = { targets: new Map(), groups: new Map() };
  if (sources.composeFiles.length > 0) {
    const targets = await composeTargets(context, sources);
    for (const [name, target] of targets) addTarget(project, name, target);
    project.groups.set("default", [...targets.keys()].sort());
  }
  const bakefile = readDefinitions(sources.bodies);
  const scope = new BakeScope(bakefile, env, {
    BAKE_LOCAL_PLATFORM: localPlatform,
    BAKE_CMD_CONTEXT: "cwd://",
  });
  scope.validate();
  for (const definition of bakefile.targets) {
    const made = readTargets(definition, scope);
    for (const { name, target, inherits } of made) addTarget(project, name, target, inherits);
    // The targets of a matrix are a group of its name.
    if (definition.attributes.has("matrix") && !made.some(({ name }) => name === definition.name))
      project.groups.set(
        definition.name,
        made.map(({ name }) => name),
      );
  }
  const groups = new Map<string, string[]>();
  for (const definition of bakefile.groups) {
    const members = [...(groups.get(definition.name) ?? []), ...readGroup(definition, scope)];
    groups.set(definition.name, [...new Set(members)]);
  }
  for (const [name, members] of groups) project.groups.set(name, members);
  return { project, variables: scope.variables() };
}
