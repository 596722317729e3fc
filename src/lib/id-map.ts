/** Ids of a user namespace, and what they are outside of it (user_namespaces(7)). */

/** `size` ids from `inside` on are those from `outside` on. */
export interface IdRange {
  inside: number;
  outside: number;
  size: number;
}

export interface IdMap {
  uids: IdRange[];
  gids: IdRange[];
}

/** What the kernel shows for an id that a namespace has no number for. */
export const overflowId = 65534;

/** @returns undefined for an id that the namespace doesn't have */
export function toOutside(ranges: readonly IdRange[], id: number): number | undefined {
  const range = ranges.find(({ inside, size }) => id >= inside && id < inside + size);
  return range && range.outside + id - range.inside;
}

/** An id of the host as it looks from inside. */
export function toInside(ranges: readonly IdRange[], id: number): number {
  const range = ranges.find(({ outside, size }) => id >= outside && id < outside + size);
  return range ? range.inside + id - range.outside : overflowId;
}

/** The lines of uid_map and gid_map. */
export const mapLines = (ranges: readonly IdRange[]) =>
  ranges.map(({ inside, outside, size }) => `${inside} ${outside} ${size}\n`).join("");

/** Host ids of the namespace's root. */
export const rootOf = ({ uids, gids }: IdMap) => ({
  uid: toOutside(uids, 0) ?? 0,
  gid: toOutside(gids, 0) ?? 0,
});
