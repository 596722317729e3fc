/**
 * crun copies itself out of a container's reach before it does anything, and executes itself once more (its answer to
 * CVE-2019-5736). A copy that is sealed already needs none of that: it is the same protection, made once for all
 * starts, and spares each of them a bind mount and the linking of eleven libraries.
 */
import { statSync } from "node:fs";
import { sealedCopy } from "../linux/sealed.ts";

export class SealedBinary {
  #copy: string | undefined;
  /** What the file was when it was copied. */
  #version = "";

  constructor(private readonly binary: string) {}

  /** What to execute: the sealed copy, or the file itself where no copy can be made. */
  get path(): string {
    return this.sealed ?? this.binary;
  }

  /** The sealed copy of the file as it is now; undefined where none can be made. */
  get sealed(): string | undefined {
    try {
      const { ino, size, mtimeMs } = statSync(this.binary);
      const version = `${ino} ${size} ${mtimeMs}`;
      if (this.#copy && this.#version === version) return this.#copy;
      // An older copy stays, for a start that is under way with it: crun is seldom upgraded.
      this.#copy = sealedCopy(this.binary);
      this.#version = version;
      return this.#copy;
    } catch {
      return undefined;
    }
  }
}
