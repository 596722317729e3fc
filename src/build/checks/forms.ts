/** Checks of the form that instructions have. */
import type { Instruction } from "../dockerfile/instructions.ts";
import { fileRule, stageRule } from "./rule.ts";
import { ancestry } from "./stages.ts";

export const noEmptyContinuation = fileRule(
  "NoEmptyContinuation",
  "Empty continuation lines will become errors in a future release",
  function* ({ instructions }) {
    for (const { emptyContinuation, range } of instructions) {
      if (emptyContinuation) yield { range, detail: "Empty continuation line" };
    }
  },
);

export const maintainerDeprecated = fileRule(
  "MaintainerDeprecated",
  "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
  function* ({ instructions }) {
    for (const { kind, range } of instructions) {
      if (kind === "MAINTAINER")
        yield { range, detail: "Maintainer instruction is deprecated in favor of using label" };
    }
  },
);

export const legacyKeyValueFormat = fileRule(
  "LegacyKeyValueFormat",
  "Legacy key/value format with whitespace separator should not be used",
  function* ({ instructions }) {
    for (const instruction of instructions) {
      const { kind, range } = instruction;
      if ((kind !== "ENV" && kind !== "LABEL") || !instruction.legacy) continue;
      yield {
        range,
        detail: `"${kind} key=value" should be used instead of legacy "${kind} key value" format`,
      };
    }
  },
);

export const invalidDefinitionDescription = fileRule(
  "InvalidDefinitionDescription",
  "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
  function* ({ instructions }) {
    for (const instruction of instructions) {
      const names = definedNames(instruction);
      const { comment, kind, range } = instruction;
      if (names.length === 0 || !comment || names.includes(comment.split(" ", 1)[0]!)) continue;
      const shown = names.length === 1 ? names[0] : "<arg_key>";
      yield { range, detail: `Comment for ${kind} should follow the format: \`# ${shown} <description>\`` };
    }
  },
  { experimental: true },
);

function definedNames(instruction: Instruction): string[] {
  if (instruction.kind === "ARG") return instruction.args.map(({ name }) => name);
  return instruction.kind === "FROM" && instruction.as ? [instruction.as.name] : [];
}

export const jsonArgsRecommended = stageRule(
  "JSONArgsRecommended",
  "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
  function* (stage, subject) {
    let shell = ancestry(stage, subject.graph).some((one) => {
      const base = subject.base(one)?.config.config?.Shell;
      const inherited = one !== stage && one.instructions.some(({ kind }) => kind === "SHELL");
      return inherited || (base !== undefined && base !== null && base.length > 0);
    });
    for (const instruction of stage.instructions) {
      const { kind, range } = instruction;
      if (kind === "SHELL") shell = true;
      if ((kind !== "CMD" && kind !== "ENTRYPOINT") || instruction.command.form === "exec" || shell) continue;
      yield {
        range,
        detail: `JSON arguments recommended for ${kind} to prevent unintended behavior related to OS signals`,
      };
    }
  },
);

const once = ["CMD", "ENTRYPOINT", "HEALTHCHECK"];

export const multipleInstructionsDisallowed = stageRule(
  "MultipleInstructionsDisallowed",
  "Multiple instructions of the same type should not be used in the same stage",
  function* ({ instructions }) {
    for (const [i, { kind, range }] of instructions.entries()) {
      if (!once.includes(kind) || !instructions.slice(i + 1).some((later) => later.kind === kind)) continue;
      yield {
        range,
        detail: `Multiple ${kind} instructions should not be used in the same stage because only the last one will be used`,
      };
    }
  },
);

export const workdirRelativePath = stageRule(
  "WorkdirRelativePath",
  "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
  function* (stage, { graph }) {
    // A directory of the base image does not count: it may change.
    let set = ancestry(stage, graph).some(
      (one) => one !== stage && one.instructions.some(({ kind }) => kind === "WORKDIR"),
    );
    for (const instruction of stage.instructions) {
      if (instruction.kind !== "WORKDIR") continue;
      const { path, range } = instruction;
      if (!set && !/^["']?[/$]/.test(path)) {
        const shown = JSON.stringify(path);
        yield {
          range,
          detail: `Relative workdir ${shown} can have unexpected results if the base image changes`,
        };
      }
      set = true;
    }
  },
);

export const exposeProtoCasing = stageRule(
  "ExposeProtoCasing",
  "Protocol in EXPOSE instruction should be lowercase",
  function* ({ instructions }) {
    for (const { port, range } of ports(instructions)) {
      const protocol = port.split("/")[1] ?? "";
      if (protocol !== protocol.toLowerCase() && !protocol.includes("$")) {
        yield { range, detail: `Defined protocol '${port}' in EXPOSE instruction should be lowercase` };
      }
    }
  },
);

export const exposeInvalidFormat = stageRule(
  "ExposeInvalidFormat",
  "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
  function* ({ instructions }) {
    for (const { port, range } of ports(instructions)) {
      if (!port.replace(/\$\{[^}]*\}/g, "").includes(":")) continue;
      yield {
        range,
        detail: `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
      };
    }
  },
);

function ports(instructions: Instruction[]) {
  return instructions.flatMap((instruction) =>
    instruction.kind === "EXPOSE"
      ? instruction.ports.map((port) => ({ port, range: instruction.range }))
      : [],
  );
}
