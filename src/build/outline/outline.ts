/** Reads off a parsed Dockerfile what its targets are, and what one of them takes. */
import { expandWord } from "../dockerfile/expand.ts";
import type { Instruction, SourceRange } from "../dockerfile/instructions.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { parseRunMounts, type RunMount } from "../exec/run-mounts.ts";
import { argValue, type BuildArgs } from "../graph/scope.ts";
import type { Graph, Stage } from "../graph/stages.ts";
import type { Outline, Place, TargetList } from "./types.ts";

export function targetsOf({ source }: ParsedDockerfile, { stages }: Graph): TargetList {
  const targets = stages.map(({ from, index }) => ({
    name: from.as?.name ?? "",
    default: index === stages.length - 1,
    description: describes(from, from.as?.name),
    base: from.image,
    platform: from.platform ?? "",
    ...place(from.range),
  }));
  return { targets, source };
}

/** @throws DockerfileError malformed mounts */
export function outlineOf(dockerfile: ParsedDockerfile, graph: Graph, buildArgs: BuildArgs): Outline {
  const { from } = graph.stages[graph.target]!;
  const stages = graph.needed.map((index) => graph.stages[index]!);
  const args = new Map<string, Outline["args"][number]>();
  const mounts: (RunMount & Place)[] = [];
  for (const argument of globalArgs(dockerfile, graph, stages)) args.set(argument.name, argument);
  for (const stage of stages) {
    const known = new Map<string, string>();
    const expand = (text: string) => expandWord(text, (name) => known.get(name), dockerfile.esc);
    for (const instruction of stage.instructions) {
      if (instruction.kind === "ARG") {
        for (const { name, value } of instruction.args) {
          const found = argValue(name, value, buildArgs, expand) ?? graph.globals.get(name) ?? "";
          known.set(name, found);
          const description = describes(instruction, name);
          if (!args.has(name))
            args.set(name, { name, value: found, description, ...place(instruction.range) });
        }
      } else if (instruction.kind === "ENV") {
        for (const [name, value] of instruction.pairs) known.set(name, expand(value));
      } else if (instruction.kind === "RUN") {
        const found = parseRunMounts(instruction, expand, (path) => path);
        mounts.push(...found.map((mount) => ({ ...mount, ...place(instruction.range) })));
      }
    }
  }
  return {
    name: from.as?.name ?? "",
    description: describes(from, from.as?.name),
    args: [...args.values()].sort((a, b) => a.line - b.line),
    secrets: inputs(mounts.filter((mount) => mount.type === "secret")),
    ssh: inputs(mounts.filter((mount) => mount.type === "ssh")),
    caches: inputs(
      mounts.filter((mount) => mount.type === "cache").map((one) => ({ ...one, required: false })),
    ).map(({ name, line, endLine }) => ({ id: name, line, endLine })),
    source: dockerfile.source,
  };
}

/** ARGs before the first FROM, as far as a stage begins from what they say. */
function globalArgs(
  { instructions }: ParsedDockerfile,
  { globals }: Graph,
  stages: readonly Stage[],
): Outline["args"] {
  const texts = stages.map(({ from }) => `${from.image} ${from.platform ?? ""}`).join(" ");
  const before = instructions.slice(
    0,
    instructions.findIndex(({ kind }) => kind === "FROM"),
  );
  return before.flatMap((instruction) => {
    if (instruction.kind !== "ARG") return [];
    const { range } = instruction;
    const used = instruction.args.filter(({ name }) => new RegExp(`\\$(?:\\{)?${name}\\b`).test(texts));
    return used.map(({ name }) => ({
      name,
      value: globals.get(name) ?? "",
      description: describes(instruction, name),
      ...place(range),
    }));
  });
}

/** Each once; needed is what any mount needs. */
function inputs(
  mounts: readonly (Place & { id: string; required: boolean })[],
): (Place & { name: string; required: boolean })[] {
  const byName = new Map<string, Place & { name: string; required: boolean }>();
  for (const { id, required, line, endLine } of mounts) {
    const known = byName.get(id);
    if (known) known.required ||= required;
    else byName.set(id, { name: id, required, line, endLine });
  }
  return [...byName.values()];
}

const place = ({ line, endLine }: SourceRange): Place => ({ line, endLine });

/** A comment right above that begins with the name it is about: `# VERSION of the compiler`. */
function describes({ comment }: Instruction, name: string | undefined): string {
  const text = comment?.trim() ?? "";
  return name && text.startsWith(`${name} `) ? text.slice(name.length + 1) : "";
}
