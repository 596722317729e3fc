import type { Snapshots } from "../store/types.ts";

/**
 * The directories that a snapshot's tree is made of, under the names that Docker's overlay2 driver gives them.
 * @param merged where the whole tree is mounted, if anywhere
 */
export function layerDirectories(snapshots: Snapshots, key: string, merged?: string): Record<string, string> {
  if (!snapshots.stat(key)) return {};
  const options = snapshots.mounts(key)[0]?.options ?? [];
  const option = (name: string) =>
    options.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  const lower = option("lowerdir");
  const work = option("workdir");
  return {
    ...(lower !== undefined && { LowerDir: lower }),
    ...(merged !== undefined && { MergedDir: merged }),
    UpperDir: snapshots.upperDir(key),
    ...(work !== undefined && { WorkDir: work }),
  };
}
