/** `--security-opt`: what a container's and its execs' processes may, besides capabilities. */
import { InvalidParameter } from "../../lib/errors.ts";
import { appArmorIsOn } from "../../linux/process.ts";
import type { ContainerSpec } from "../../runtime/types.ts";
import type { Context } from "../context.ts";

export interface SecurityOptions {
  noNewPrivileges: boolean;
  seccomp: ContainerSpec["seccomp"];
  apparmor?: string;
}

/** @throws InvalidParameter in Docker's words for what is no such option */
export function parseSecurityOptions(
  options: readonly string[] | null,
  defaults: Context["options"],
): SecurityOptions {
  const result: SecurityOptions = {
    noNewPrivileges: hasNoNewPrivileges(options, defaults),
    seccomp: defaults.seccomp.profile,
  };
  for (const option of options ?? []) {
    const [key, value = ""] = split(option);
    if (key === "seccomp")
      result.seccomp =
        value === "unconfined" ? "unconfined" : value === "builtin" ? "default" : parseProfile(value);
    // As Docker does: on a host without the module its labels and profiles mean nothing.
    else if (key === "apparmor") result.apparmor = appArmorIsOn() ? value : undefined;
  }
  return result;
}

const truths: Record<string, boolean> = {
  "": true,
  "1": true,
  t: true,
  true: true,
  "0": false,
  f: false,
  false: false,
};

/** Of a process that is added, which has the rest from its container. @throws InvalidParameter */
export function hasNoNewPrivileges(
  options: readonly string[] | null,
  { noNewPrivileges }: Context["options"],
): boolean {
  let has = noNewPrivileges;
  for (const option of options ?? []) {
    const [key, value] = split(option);
    if (key === "no-new-privileges") {
      const asked = truths[value ?? ""];
      if (asked === undefined) refuse(2, option);
      has = asked!;
    } else if (value === undefined) refuse(1, option);
    else if (!["seccomp", "apparmor", "label"].includes(key)) refuse(2, option);
  }
  return has;
}

const split = (option: string) => option.split(/[=:](.*)/s) as [string, string?];

function refuse(kind: 1 | 2, option: string): never {
  throw new InvalidParameter(`invalid --security-opt ${kind}: ${JSON.stringify(option)}`);
}

function parseProfile(text: string): object {
  try {
    const profile: unknown = JSON.parse(text);
    if (typeof profile === "object" && profile !== null) return profile;
  } catch {
    // Told below.
  }
  throw new InvalidParameter("Decoding seccomp profile failed: it is not a JSON object");
}
