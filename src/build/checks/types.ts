/** BuildKit's build checks: rules that find what is likely a mistake in a Dockerfile that can be built. */

import type { IgnoreRules } from "../../lib/ignore.ts";
import type { TextEdit } from "../../lib/text-edit.ts";
import type { SourceRange } from "../dockerfile/instructions.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import type { Graph, Stage } from "../graph/stages.ts";
import type { BaseImage } from "../types.ts";

export interface Violation {
  range: SourceRange;
  /** What is wrong here, in BuildKit's words. */
  detail: string;
  /** Changes of the file that end it and change nothing else about the image. */
  edits?: TextEdit[];
}

export type Severity = "error" | "warning" | "info";

interface RuleText {
  /** As `# check=skip=` names it. */
  name: string;
  /** What the rule is about, one sentence. */
  description: string;
  url: string;
  /** Default `warning`. */
  severity?: Severity;
  /** What to do about it, where the description doesn't say. */
  advice?: string;
  /** Runs only when it is asked for by name. */
  experimental?: boolean;
}

/** A rule about the file alone. */
export interface FileRule extends RuleText {
  scope: "file";
  find(dockerfile: ParsedDockerfile): Iterable<Violation>;
}

/** A rule about the stages that a build needs, with what is known of their base images. */
export interface StageRule extends RuleText {
  scope: "stage";
  find(stage: Stage, subject: StageSubject): Iterable<Violation>;
}

export type Rule = FileRule | StageRule;

export interface StageSubject {
  dockerfile: ParsedDockerfile;
  graph: Graph;
  ignore: IgnoreRules;
  /** The image that a stage begins from; undefined: none, or not known. */
  base(stage: Stage): BaseImage | undefined;
  /** `linux/amd64`: what a stage is built for. */
  platform(stage: Stage): string;
}

/** A violation with its rule, as it is reported. */
export interface CheckWarning extends Violation {
  rule: Rule;
}
