/** Lint of a text, for tests. */

import { IgnoreRules } from "../../lib/ignore.ts";
import { applyEdits } from "../../lib/text-edit.ts";
import { checkSettings } from "../checks/index.ts";
import type { CheckWarning } from "../checks/types.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { hostPlatform, platformArgs } from "../graph/scope.ts";
import { buildGraph } from "../graph/stages.ts";
import { lint } from "./index.ts";

const platform = platformArgs(hostPlatform(), hostPlatform(), undefined);

/** @param ignore the text of .dockerignore */
export function lintText(text: string, ignore = ".git"): CheckWarning[] {
  const dockerfile = parseDockerfile(text, "Dockerfile");
  const subject = {
    dockerfile,
    graph: buildGraph(dockerfile, { buildArgs: {}, platform }),
    ignore: IgnoreRules.parse(ignore),
    base: () => undefined,
    platform: () => "linux/amd64",
  };
  return lint(dockerfile, subject, checkSettings(dockerfile.directives.get("check")));
}

/** One round of what --fix does. */
export function mendText(text: string): string {
  return applyEdits(
    text,
    lintText(text).flatMap(({ edits }) => edits ?? []),
  );
}
