/** `# gantry-lint ignore=RULE,RULE` among the comments right above an instruction: its findings are not told. */
import type { CheckWarning } from "../checks/types.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";

const directive = /^\s*#\s*gantry-lint\s+ignore=([\w,\s]+?)\s*$/;

export function withoutSkipped(
  { source }: ParsedDockerfile,
  warnings: readonly CheckWarning[],
): CheckWarning[] {
  const lines = source.split(/\r?\n/);
  return warnings.filter(({ rule, range }) => {
    for (let i = range.line - 2; i >= 0 && /^\s*#/.test(lines[i]!); i--) {
      const names =
        directive
          .exec(lines[i]!)?.[1]
          ?.split(",")
          .map((name) => name.trim().toLowerCase()) ?? [];
      if (names.includes("all") || names.includes(rule.name.toLowerCase())) return false;
    }
    return true;
  });
}
