/** `commit --change` and `import --change`: Dockerfile instructions on an image's config alone. */
import { InvalidParameter, messageOf } from "../lib/errors.ts";
import type { ImageRunConfig } from "../lib/oci.ts";
import { ExpandError, expandWord } from "./dockerfile/expand.ts";
import type { Instruction } from "./dockerfile/instructions.ts";
import { parseTrigger } from "./dockerfile/parse.ts";
import { applyMetadata, type MetadataInstruction, workdir } from "./graph/metadata.ts";
import { envMap } from "./graph/scope.ts";

/** What needs files or other stages, or is no part of a config. */
const refused: ReadonlySet<Instruction["kind"]> = new Set([
  "FROM",
  "RUN",
  "COPY",
  "ADD",
  "ARG",
  "MAINTAINER",
  "SHELL",
]);

/**
 * @param changes an instruction each, as in a Dockerfile (`CMD ["sh"]`); variables are those of `config.Env`
 * @returns a new config
 * @throws DockerfileError for what can't be parsed, InvalidParameter for an instruction that is no change
 */
export function applyChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  let cmdSet = false;
  for (const change of changes) {
    if (change.trim() === "") continue;
    const range = { file: "change", line: 1, endLine: 1, source: change };
    const instruction = parseTrigger(change.trim(), range);
    if (refused.has(instruction.kind))
      throw new InvalidParameter(`${instruction.kind} is not a valid change command`);
    const env = envMap(config.Env ?? []);
    const lookup = (name: string) => env.get(name);
    const expand = (text: string) => expandWord(text, lookup);
    try {
      config =
        instruction.kind === "WORKDIR"
          ? { ...config, WorkingDir: workdir(config.WorkingDir, expand(instruction.path)) }
          : applyMetadata(instruction as MetadataInstruction, { config, expand, lookup, esc: "\\", cmdSet })
              .config;
    } catch (error) {
      if (error instanceof ExpandError) throw new InvalidParameter(`${messageOf(error)}: ${change}`);
      throw error;
    }
    cmdSet ||= instruction.kind === "CMD";
  }
  return config;
}
