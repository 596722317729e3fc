/** `builder.gc` of daemon.json: what the build cache is held to (Docker's keys). */
import { statfsSync } from "node:fs";
import * as v from "valibot";
import type { BuildGcRule } from "../../engine/types.ts";
import { parseMilliseconds } from "../../lib/duration.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { parseSize } from "../../lib/units.ts";

const size = v.optional(v.union([v.string(), v.number()]));
const limits = { reservedSpace: size, keepStorage: size, maxUsedSpace: size, minFreeSpace: size };

export const builderSchema = v.strictObject({
  gc: v.optional(
    v.strictObject({
      enabled: v.optional(v.boolean()),
      defaultReservedSpace: size,
      defaultKeepStorage: size,
      defaultMaxUsedSpace: size,
      defaultMinFreeSpace: size,
      policy: v.optional(
        v.array(
          v.strictObject({
            ...limits,
            all: v.optional(v.boolean()),
            keepDuration: v.optional(v.string()),
            filter: v.optional(v.array(v.string())),
          }),
        ),
      ),
    }),
  ),
});
type BuilderConfig = v.InferOutput<typeof builderSchema>;
type Policy = NonNullable<NonNullable<BuilderConfig["gc"]>["policy"]>[number];

/** Cache that costs little to make again goes first. */
const shortLived = { filters: { type: ["exec.cachemount"] }, unusedFor: 48 * 3600_000 };
const longUnused = 60 * 24 * 3600_000;

/**
 * @param diskSize bytes of the disk that the data is on
 * @returns the rules in their order; none when collection is switched off
 * @throws InvalidParameter
 */
export function buildGcRules(config: BuilderConfig | undefined, diskSize: number): BuildGcRule[] {
  const gc = config?.gc ?? {};
  if (gc.enabled === false) return [];
  if (gc.policy) return gc.policy.map(ruleOf);
  const space = {
    reservedSpace: bytes(gc.defaultReservedSpace ?? gc.defaultKeepStorage) ?? Math.floor(diskSize * 0.1),
    maxUsedSpace: bytes(gc.defaultMaxUsedSpace) ?? Math.floor(diskSize * 0.6),
    minFreeSpace: bytes(gc.defaultMinFreeSpace) ?? Math.floor(diskSize * 0.1),
  };
  return [
    { all: false, ...shortLived, maxUsedSpace: 512_000_000 },
    { all: false, unusedFor: longUnused, ...space },
    { all: false, ...space },
    { all: true, ...space },
  ];
}

function ruleOf({ all = false, keepDuration, filter = [], ...limits }: Policy): BuildGcRule {
  const filters: Record<string, string[]> = {};
  for (const condition of filter) {
    const [, name, value] = /^([^=]+)==?(.*)$/.exec(condition) ?? [];
    if (name === undefined)
      throw new InvalidParameter(`builder.gc.policy: invalid filter ${condition}: name=value is wanted`);
    filters[name] = [...(filters[name] ?? []), value!];
  }
  const { "unused-for": unusedFor, until, ...others } = filters;
  const age = keepDuration ?? unusedFor?.[0] ?? until?.[0];
  return {
    all,
    filters: others,
    unusedFor: age === undefined ? undefined : parseMilliseconds(age),
    reservedSpace: bytes(limits.reservedSpace ?? limits.keepStorage),
    maxUsedSpace: bytes(limits.maxUsedSpace),
    minFreeSpace: bytes(limits.minFreeSpace),
  };
}

function bytes(value: string | number | undefined): number | undefined {
  return value === undefined ? undefined : parseSize(String(value));
}

/** Bytes of the disk that a path is on, or will be. */
export function diskSizeAt(path: string): number {
  for (let at = path; ; at = at.slice(0, Math.max(at.lastIndexOf("/"), 0)) || "/") {
    try {
      const { bsize, blocks } = statfsSync(at);
      return bsize * blocks;
    } catch (error) {
      if (at === "/") throw error;
    }
  }
}
