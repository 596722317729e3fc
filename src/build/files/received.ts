/**
 * A context that came as an archive: its directory is one build's alone and goes with it, and nothing changes the
 * files meanwhile.
 */
export class ReceivedContext {
  readonly #taken = new Set<number>();

  /** @param hashes of files' content (lib/content-hash.ts), by inode number */
  constructor(readonly hashes: ReadonlyMap<number, string>) {}

  /**
   * Whether the file may become a layer's by a link, which costs no copy. Once, for a container would see the same
   * file at two places.
   */
  take(inode: number): boolean {
    if (this.#taken.has(inode) || !Number.isSafeInteger(inode)) return false;
    this.#taken.add(inode);
    return true;
  }
}
