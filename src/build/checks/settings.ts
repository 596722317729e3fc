/** `# check=skip=A,B;error=true;experimental=C`, or the same in the build argument BUILDKIT_DOCKERFILE_CHECK. */
import type { Rule } from "./types.ts";

export interface CheckSettings {
  runs(rule: Rule): boolean;
  /** A violation fails the build. */
  error: boolean;
}

/** @param text undefined: all rules that are not experimental, as warnings */
export function checkSettings(text: string | undefined): CheckSettings {
  const settings = new Map<string, string>();
  for (const part of (text ?? "").split(";")) {
    const at = part.indexOf("=");
    if (at >= 0) settings.set(part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim());
  }
  const skip = listed(settings.get("skip"));
  const experimental = listed(settings.get("experimental"));
  return {
    runs: (rule) => !skip(rule.name) && (!rule.experimental || experimental(rule.name)),
    error: /^(?:true|1|t)$/i.test(settings.get("error") ?? ""),
  };
}

/** Whether a comma-separated list has a name, or `all`. */
function listed(text = ""): (name: string) => boolean {
  const names = text.split(",").map((name) => name.trim().toLowerCase());
  return (name) => names.includes("all") || names.includes(name.toLowerCase());
}
