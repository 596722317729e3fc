/**
 * System call filters: Docker's profile format, whose rules depend on capabilities, architecture and kernel, to
 * the flat form of the OCI runtime-spec (config-linux.md, "Seccomp").
 */
import { release } from "node:os";
import * as v from "valibot";
import { InvalidParameter } from "../lib/errors.ts";

const argSchema = v.object({
  index: v.number(),
  value: v.number(),
  valueTwo: v.optional(v.number()),
  op: v.string(),
});

const conditionSchema = v.object({
  caps: v.nullish(v.array(v.string())),
  arches: v.nullish(v.array(v.string())),
  /** `major.minor`, or more parts. */
  minKernel: v.nullish(v.string()),
});

const ruleSchema = v.object({
  names: v.nullish(v.array(v.string())),
  /** The older form of `names`. */
  name: v.nullish(v.string()),
  action: v.string(),
  errnoRet: v.nullish(v.number()),
  args: v.nullish(v.array(argSchema)),
  includes: v.nullish(conditionSchema),
  excludes: v.nullish(conditionSchema),
});

const profileSchema = v.object({
  defaultAction: v.string(),
  defaultErrnoRet: v.nullish(v.number()),
  architectures: v.nullish(v.array(v.string())),
  archMap: v.nullish(
    v.array(v.object({ architecture: v.string(), subArchitectures: v.nullish(v.array(v.string())) })),
  ),
  flags: v.nullish(v.array(v.string())),
  listenerPath: v.nullish(v.string()),
  listenerMetadata: v.nullish(v.string()),
  syscalls: v.nullish(v.array(ruleSchema)),
});

export type SeccompRule = v.InferOutput<typeof ruleSchema>;
export type SeccompProfile = v.InferOutput<typeof profileSchema>;

/** `linux.seccomp` of the OCI runtime-spec. */
export interface OciSeccomp {
  defaultAction: string;
  defaultErrnoRet?: number;
  architectures?: string[];
  flags?: string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls?: {
    names: string[];
    action: string;
    errnoRet?: number;
    args?: v.InferOutput<typeof argSchema>[];
  }[];
}

/** What conditions are tested against. */
export interface SeccompHost {
  /** Go's name, e.g. `amd64`. */
  arch: string;
  /** As of `uname -r`. */
  kernel: string;
}

const archNames: Partial<Record<NodeJS.Architecture, { go: string; seccomp: string }>> = {
  x64: { go: "amd64", seccomp: "SCMP_ARCH_X86_64" },
  arm64: { go: "arm64", seccomp: "SCMP_ARCH_AARCH64" },
  riscv64: { go: "riscv64", seccomp: "SCMP_ARCH_RISCV64" },
  s390x: { go: "s390x", seccomp: "SCMP_ARCH_S390X" },
};

export function thisSeccompHost(): SeccompHost {
  return { arch: archNames[process.arch]?.go ?? process.arch, kernel: release() };
}

/** @throws InvalidParameter when the JSON is not a profile */
export function parseSeccompProfile(json: unknown): SeccompProfile {
  const result = v.safeParse(profileSchema, json);
  if (!result.success)
    throw new InvalidParameter(`Decoding seccomp profile failed: ${v.summarize(result.issues)}`);
  const profile = result.output;
  if (profile.architectures?.length && profile.archMap?.length) {
    throw new InvalidParameter(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  for (const rule of profile.syscalls ?? []) {
    if (rule.name && rule.names?.length) {
      throw new InvalidParameter(
        "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
      );
    }
  }
  return profile;
}

/** The profile's rules that hold for these capabilities on this host. */
export function ociSeccomp(
  profile: SeccompProfile,
  capabilities: readonly string[],
  host = thisSeccompHost(),
): OciSeccomp {
  const own = Object.values(archNames).find(({ go }) => go === host.arch)?.seccomp;
  const mapped = profile.archMap?.find(({ architecture }) => architecture === own);
  const holds = (rule: SeccompRule) => {
    const { includes, excludes } = rule;
    if (includes?.arches?.length && !includes.arches.includes(host.arch)) return false;
    if (excludes?.arches?.includes(host.arch)) return false;
    if (includes?.caps?.some((name) => !capabilities.includes(name))) return false;
    if (excludes?.caps?.some((name) => capabilities.includes(name))) return false;
    if (includes?.minKernel && !kernelIsAtLeast(host.kernel, includes.minKernel)) return false;
    return !(excludes?.minKernel && kernelIsAtLeast(host.kernel, excludes.minKernel));
  };
  return {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet ?? undefined,
    architectures: mapped
      ? [mapped.architecture, ...(mapped.subArchitectures ?? [])]
      : (profile.architectures ?? undefined),
    flags: profile.flags?.length ? profile.flags : undefined,
    listenerPath: profile.listenerPath || undefined,
    listenerMetadata: profile.listenerMetadata || undefined,
    syscalls: (profile.syscalls ?? []).filter(holds).map((rule) => ({
      names: rule.names?.length ? rule.names : rule.name ? [rule.name] : [],
      action: rule.action,
      errnoRet: rule.errnoRet ?? undefined,
      args: rule.args?.length ? rule.args : undefined,
    })),
  };
}

function kernelIsAtLeast(kernel: string, wanted: string): boolean {
  const parts = (text: string) => /^\d+(?:\.\d+)*/.exec(text)?.[0].split(".").map(Number) ?? [];
  const have = parts(kernel);
  for (const [index, part] of parts(wanted).entries()) {
    const difference = (have[index] ?? 0) - part;
    if (difference !== 0) return difference > 0;
  }
  return true;
}
