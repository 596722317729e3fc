/** What the file system below the snapshots is and can: `docker info`'s "Storage Driver". */
import { statfsSync } from "node:fs";
import { Descriptor, tellsTypes } from "../linux/fs.ts";

/** statfs(2), f_type; names as Docker writes them (moby, daemon/graphdriver/driver_linux.go). */
const names: Record<number, string> = {
  1635083891: "aufs",
  2435016766: "btrfs",
  684539205: "cramfs",
  61791: "ecryptfs",
  61267: "extfs",
  4076150800: "f2fs",
  1702057286: "fuse",
  1196443219: "gpfs",
  29366: "jffs2",
  827541066: "jfs",
  26985: "nfs",
  2035054128: "overlayfs",
  2240043254: "ramfs",
  1382369651: "reiserfs",
  20859: "smb",
  1936814952: "squashfs",
  16914836: "tmpfs",
  2768370933: "vxfs",
  1481003842: "xfs",
  801189825: "zfs",
};

/**
 * @param root a directory with something in it, on the snapshots' file system
 * @param overlayOptions what trees are mounted with
 * @returns names and values, in Docker's order
 */
export function driverStatus(root: string, overlayOptions: readonly string[]): [string, string][] {
  using directory = Descriptor.directory(root);
  const metacopy = overlayOptions.includes("metacopy=on");
  const redirects = overlayOptions.includes("redirect_dir=on");
  return [
    ["Backing Filesystem", names[Number(statfsSync(root).type) >>> 0] ?? "<unknown>"],
    ["Supports d_type", String(tellsTypes(directory.fd))],
    ["Using metacopy", String(metacopy)],
    // An upper directory is a layer as it stands unless files in it stand for others below.
    ["Native Overlay Diff", String(!metacopy && !redirects)],
    ["userxattr", String(overlayOptions.includes("userxattr"))],
  ];
}
