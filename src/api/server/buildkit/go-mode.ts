/** Go's os.FileMode, which fsutil's protocol carries, and the kernel's permission bits. */
export const goMode = {
  directory: 0x8000_0000,
  link: 0x0800_0000,
  device: 0x0400_0000,
  pipe: 0x0200_0000,
  socket: 0x0100_0000,

  /** Permission bits (0o7777) of a Go mode. */
  permissions(mode: number): number {
    return special.reduce((bits, [go, kernel]) => (mode & go ? bits | kernel : bits), mode & 0o777);
  },

  /** The Go mode of permission bits. */
  of(mode: number): number {
    return special.reduce((bits, [go, kernel]) => (mode & kernel ? bits | go : bits), mode & 0o777);
  },
};

/** Setuid, setgid, sticky. */
const special = [
  [0x0080_0000, 0o4000],
  [0x0040_0000, 0o2000],
  [0x0010_0000, 0o1000],
] as const;
