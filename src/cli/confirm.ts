import type { CliContext } from "./context.ts";

/** Asks before something is destroyed. Only `y` is a yes. */
export async function confirm(context: CliContext, warning: string): Promise<boolean> {
  context.out(`${warning}\nAre you sure you want to continue? [y/N] `);
  const answer = prompt("") ?? "";
  return answer.trim().toLowerCase() === "y";
}
