/** Checks against the build context. */
import { posix } from "node:path";
import { isRemote } from "../files/remote.ts";
import { stageRule } from "./rule.ts";

export const copyIgnoredFile = stageRule(
  "CopyIgnoredFile",
  "Attempting to Copy file that is excluded by .dockerignore",
  function* ({ instructions }, { ignore }) {
    for (const instruction of instructions) {
      if (instruction.kind !== "COPY" && instruction.kind !== "ADD") continue;
      const { kind, range, sources, from } = instruction;
      if (from !== undefined) continue;
      const verb = kind === "COPY" ? "Copy" : "Add";
      for (const source of sources) {
        const path = posix.normalize(source.replace(/^\/+/, "") || ".").replace(/\/$/, "");
        if (path === "." || source.includes("$") || isRemote(source) || !ignore.excludes(path)) continue;
        const detail = `Attempting to ${verb} file ${JSON.stringify(source)} that is excluded by .dockerignore`;
        yield { range, detail };
      }
    }
  },
);
