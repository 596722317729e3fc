/** Keeps what an archive unpacks to within limits: ten gigabytes of zeros fit into ten megabytes of gzip. */
import { TooLarge } from "../../lib/errors.ts";
import type { LayerLimits } from "../types.ts";

/** Without a limit of bytes, so much is let through whatever the archive's own size. */
const alwaysAllowed = 4 * 2 ** 30;
/** And then so many times the archive's own size. Programs and texts shrink to a half or a tenth. */
const maxExpansion = 100;
const defaultMaxEntries = 2_000_000;

/** Throws TooLarge from whichever of its methods meets a limit. */
export class SizeGuard {
  readonly #maxBytes: number | undefined;
  readonly #maxEntries: number;
  #archive = 0;
  #declared = 0;
  #written = 0;
  #entries = 0;

  constructor(limits: LayerLimits = {}) {
    this.#maxBytes = limits.maxBytes;
    this.#maxEntries = limits.maxEntries ?? defaultMaxEntries;
  }

  /** More bytes of the archive, as it is stored. */
  archive(bytes: number): void {
    this.#archive += bytes;
  }

  /** An entry begins that says it is so large. */
  entry(size: number): void {
    if (++this.#entries > this.#maxEntries)
      throw new TooLarge(
        `the archive has more than ${this.#maxEntries} entries (daemon.json: gantry-layer-max-entries)`,
      );
    this.#declared += size;
    if (this.#maxBytes !== undefined && this.#declared > this.#maxBytes)
      throw new TooLarge(
        `the archive unpacks to more than ${this.#maxBytes} bytes (daemon.json: gantry-layer-max-size)`,
      );
  }

  /** So much of it is about to be written. */
  data(bytes: number): void {
    this.#written += bytes;
    if (this.#maxBytes !== undefined || this.#written <= alwaysAllowed) return;
    if (this.#written > this.#archive * maxExpansion)
      throw new TooLarge(
        `the archive unpacks to more than ${maxExpansion} times its own size; if that is meant, set gantry-layer-max-size in daemon.json`,
      );
  }
}
