/** How practices are written: rules of the same shape as the build checks, with what to do about a finding. */
import type { FileRule, Severity, StageRule } from "../checks/types.ts";

interface Text {
  name: string;
  severity: Severity;
  description: string;
  advice: string;
}

/** Where Docker's page tells the reasons; Gantry's own are in the rule's text. */
const url = "https://docs.docker.com/build/building/best-practices/";

export function filePractice(text: Text, find: FileRule["find"]): FileRule {
  return { scope: "file", url, ...text, find };
}

/** About a stage that is needed. */
export function stagePractice(text: Text, find: StageRule["find"]): StageRule {
  return { scope: "stage", url, ...text, find };
}

/** About the stage whose image is the result. */
export function targetPractice(text: Text, find: StageRule["find"]): StageRule {
  return stagePractice(text, function* (stage, subject) {
    if (stage.index === subject.graph.target) yield* find(stage, subject);
  });
}
