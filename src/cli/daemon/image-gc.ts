/** `gantry-gc` of daemon.json: how much space images may take. */
import * as v from "valibot";
import type { ImageGc } from "../../engine/types.ts";
import { parseDuration } from "../../lib/duration.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { parseSize } from "../../lib/units.ts";

export const imageGcSchema = v.optional(
  v.strictObject({
    /** Bytes, or text such as `50g`. */
    maxUsedSpace: v.union([v.string(), v.number()]),
    /** As in `24h`. */
    keepRecent: v.optional(v.string()),
  }),
);

/** @throws InvalidParameter */
export function imageGcOf(config: v.InferOutput<typeof imageGcSchema>): ImageGc | undefined {
  if (!config) return undefined;
  const keepRecent = config.keepRecent === undefined ? 0 : parseDuration(config.keepRecent);
  if (keepRecent === undefined)
    throw new InvalidParameter(
      `gantry-gc.keepRecent: invalid duration ${config.keepRecent}: as in 48h or 1h30m`,
    );
  return { maxUsedSpace: parseSize(String(config.maxUsedSpace)), keepRecent: keepRecent / 1e6 };
}
