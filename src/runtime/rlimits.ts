/** Resource limits as the OCI runtime gets them: a default is lowered to what the kernel allows, an explicit one fails. */
import { readFileSync } from "node:fs";
import { InvalidParameter } from "../lib/errors.ts";
import { heldCapabilities, isRlimitName, rlimitNumber, rlimitOf } from "../linux/process.ts";
import type { ProcessSpec } from "./types.ts";

export interface OciRlimit {
  type: string;
  soft: number | bigint;
  hard: number | bigint;
}

/** What can be set here at most. */
export type RlimitCeiling = (type: string) => number;

const unlimited = 0xffff_ffff_ffff_ffffn;

/** The hard limit that a child of this process can have. */
export function kernelCeiling(type: string): number {
  if (!isRlimitName(type)) return Number.POSITIVE_INFINITY;
  const mayRaise = heldCapabilities().has("CAP_SYS_RESOURCE");
  const own = mayRaise ? Number.POSITIVE_INFINITY : rlimitOf(type).hard;
  return type === "RLIMIT_NOFILE" ? Math.min(own, Number(readFileSync("/proc/sys/fs/nr_open", "utf8"))) : own;
}

/**
 * @param limits -1 or Infinity: unlimited
 * @throws InvalidParameter for an unknown type, or an explicit limit that the kernel wouldn't let us set
 */
export function ociRlimits(
  limits: ProcessSpec["rlimits"],
  ceilingOf: RlimitCeiling = kernelCeiling,
): OciRlimit[] {
  return limits.map(({ type, soft, hard, explicit }) => {
    if (!isRlimitName(type)) throw new InvalidParameter(`invalid ulimit type: ${type}`);
    const ceiling = ceilingOf(type);
    const wanted = {
      soft: soft < 0 ? Number.POSITIVE_INFINITY : soft,
      hard: hard < 0 ? Number.POSITIVE_INFINITY : hard,
    };
    if (explicit && wanted.hard > ceiling) {
      throw new InvalidParameter(
        `error setting rlimit type ${rlimitNumber(type)}: operation not permitted: ` +
          `the hard limit of ${type.slice("RLIMIT_".length).toLowerCase()} can be ${ceiling} at most on this host`,
      );
    }
    const allowed = Math.min(wanted.hard, ceiling);
    return { type, soft: ociNumber(Math.min(wanted.soft, allowed)), hard: ociNumber(allowed) };
  });
}

/** RLIM_INFINITY doesn't fit a double: it's written as a bigint. */
function ociNumber(value: number): number | bigint {
  return value === Number.POSITIVE_INFINITY ? unlimited : value;
}
