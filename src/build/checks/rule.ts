import type { FileRule, StageRule } from "./types.ts";

/** Docker's page on a rule; its address is made of the rule's name. */
export function urlOf(name: string): string {
  const kebab = name.replace(/([a-z])([A-Z])|([A-Z]+)([A-Z][a-z])/g, "$1$3-$2$4").toLowerCase();
  return `https://docs.docker.com/go/dockerfile/rule/${kebab}/`;
}

export function fileRule(
  name: string,
  description: string,
  find: FileRule["find"],
  options: { experimental?: boolean } = {},
): FileRule {
  return { scope: "file", name, description, url: urlOf(name), find, ...options };
}

export function stageRule(name: string, description: string, find: StageRule["find"]): StageRule {
  return { scope: "stage", name, description, url: urlOf(name), find };
}
