/** A layer's file that is read while it is still being written, by a worker beside the one that writes it. */
import { closeSync, openSync, readSync } from "node:fs";
import { Cancelled } from "../../lib/errors.ts";

/** What a worker hands on of a file that it has begun to write. */
export interface ArrivingFile {
  /** Path in the archive, as the archive has it. */
  path: string;
  /** Tells it from the archive's others; an inode's number may be that of another file in the end. */
  key: number;
  /** Opened for reading; to be closed by who gets this. */
  fd: number;
  /** Bytes that it will have. */
  size: number;
  /** Whether its first bytes are those of a compressed file. */
  compressed: boolean;
  /** One BigInt64: the bytes that are written, or `lost`. */
  written: SharedArrayBuffer;
}

/** In the place of a count: the file will not be complete. */
const lost = -1n;
const readSize = 512 << 10;
/** An abort is seen after so many milliseconds when no bytes come. */
const patience = 500;

/** The writer's side: says how far the file is. */
export class Arrival implements Disposable {
  readonly #count = new BigInt64Array(new SharedArrayBuffer(8));
  #complete = false;

  constructor(private readonly size: number) {}

  /** @param fd the writer's own descriptor of the file */
  file(fd: number, of: Pick<ArrivingFile, "path" | "key" | "compressed">): ArrivingFile {
    const written = this.#count.buffer as SharedArrayBuffer;
    return { ...of, fd: openSync(`/proc/self/fd/${fd}`, "r"), size: this.size, written };
  }

  wrote(bytes: number): void {
    this.#complete = bytes === this.size;
    this.#say(BigInt(bytes));
  }

  /** Lets go of who waits for bytes that will not come. */
  [Symbol.dispose](): void {
    if (!this.#complete) this.#say(lost);
  }

  #say(count: bigint): void {
    Atomics.store(this.#count, 0, count);
    Atomics.notify(this.#count, 0);
  }
}

/**
 * The reader's side: the file's bytes as they come. A chunk is valid until the next one is asked for.
 * @throws Cancelled when the file will not be complete
 */
export async function* follow(
  { fd, size, written }: ArrivingFile,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const count = new BigInt64Array(written);
  const buffer = new Uint8Array(readSize);
  for (let at = 0; at < size; ) {
    signal.throwIfAborted();
    const there = Atomics.load(count, 0);
    if (there === lost) throw new Cancelled("the archive ended before the layer did");
    const available = Number(there) - at;
    if (available === 0) {
      await Atomics.waitAsync(count, 0, there, patience).value;
      continue;
    }
    const read = readSync(fd, buffer, 0, Math.min(readSize, available), at);
    if (read === 0) throw new Cancelled("the layer's file was cut");
    yield buffer.subarray(0, read);
    at += read;
    // Lets an abort and the other jobs have their turn.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Bytes that are there; none when the file will not be complete. */
export const arrivedOf = ({ written }: ArrivingFile) =>
  Math.max(0, Number(Atomics.load(new BigInt64Array(written), 0)));

export const closeArriving = ({ fd }: ArrivingFile) => closeSync(fd);
