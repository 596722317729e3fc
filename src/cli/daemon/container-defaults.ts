/** What the daemon's settings give to containers that say nothing themselves. */
import { readFileSync } from "node:fs";
import type { EngineOptions } from "../../engine/types.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import type { RuntimeProgram } from "../../runtime/types.ts";

/** One of the words that a setting can be. @throws InvalidParameter */
export function oneOf<const W extends string>(
  setting: string,
  words: readonly W[],
  value: string | undefined,
): W | undefined {
  if (!value) return undefined;
  const found = words.find((word) => word === value);
  if (found === undefined)
    throw new InvalidParameter(`invalid ${setting} ${value}: ${words.join(" or ")} is wanted`);
  return found;
}

/** `--seccomp-profile`: `builtin`, `unconfined`, or a file. @throws InvalidParameter */
export function seccompOf(setting: string | undefined): EngineOptions["seccomp"] {
  if (!setting || setting === "builtin") return { name: "builtin", profile: "default" };
  if (setting === "unconfined") return { name: setting, profile: setting };
  try {
    const profile: unknown = JSON.parse(readFileSync(setting, "utf8"));
    if (typeof profile !== "object" || profile === null) throw new Error("it is not a JSON object");
    return { name: setting, profile };
  } catch (error) {
    throw new InvalidParameter(`opening seccomp profile (${setting}) failed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** `--add-runtime NAME=PATH`. @throws InvalidParameter */
export function runtimesOf(
  flags: readonly string[],
  file: Record<string, { path?: string; runtimeArgs?: string[]; runtimeType?: string }> | undefined,
): Record<string, RuntimeProgram> {
  const programs: Record<string, RuntimeProgram> = {};
  for (const flag of flags) {
    const [, name, path] = /^([^=]+)=(.+)$/.exec(flag) ?? [];
    if (!name || !path) throw new InvalidParameter(`invalid --add-runtime ${flag}: NAME=PATH is wanted`);
    programs[name] = { path };
  }
  for (const [name, { path, runtimeArgs, runtimeType }] of Object.entries(file ?? {})) {
    if (!path || runtimeType)
      throw new InvalidParameter(
        `runtimes: ${name}: the path of an OCI runtime is wanted; containerd's shims (runtimeType) are not used`,
      );
    programs[name] = { path, ...(runtimeArgs && { runtimeArgs }) };
  }
  return programs;
}
