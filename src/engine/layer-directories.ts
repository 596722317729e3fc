import { dirname, join } from "node:path";
import type { Snapshots } from "../store/types.ts";

/**
 * The directories that a snapshot's tree is made of, under the names that Docker's overlay2 driver gives them.
 * @param merged where the whole tree is mounted; undefined for an image's, which Docker tells all the same
 */
export function layerDirectories(snapshots: Snapshots, key: string, merged?: string): Record<string, string> {
  if (!snapshots.stat(key)) return {};
  const options = snapshots.mounts(key)[0]?.options ?? [];
  const option = (name: string) =>
    options.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  const upper = snapshots.upperDir(key);
  const lower = (option("lowerdir") ?? "").split(":").filter((path) => path !== "" && path !== upper);
  const beside = (name: string) => join(dirname(upper), name);
  return {
    ...(lower.length > 0 && { LowerDir: lower.join(":") }),
    MergedDir: merged ?? beside("merged"),
    UpperDir: upper,
    WorkDir: option("workdir") ?? beside("work"),
  };
}
