import { createReadStream, existsSync, openSync, statSync, watch } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline, type Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { InvalidParameter } from "../../lib/errors.ts";
import type { LogEntry, LogQuery } from "../types.ts";
import { isRunning } from "./state.ts";
import type { Container } from "./table.ts";

/**
 * The entries of a container's json-file log, oldest first, through rotated files; with `follow` also those to
 * come, until the container stops or `signal` aborts. A line that is still being written is left for later.
 * @throws InvalidParameter for a log driver that keeps nothing
 */
export async function* readLogs(
  container: Container,
  query: LogQuery,
  signal: AbortSignal,
): AsyncGenerator<LogEntry> {
  const { record } = container;
  if (record.logPath === "") throw new InvalidParameter("configured logging driver does not support reading");
  const wanted = (entry: LogEntry) =>
    (entry.stream === 1 ? query.stdout : query.stderr) &&
    (query.since === undefined || entry.timeNs >= query.since) &&
    (query.until === undefined || entry.timeNs <= query.until);

  const reader = new LogReader(record.logPath);
  yield* tail(query.tail, filter(reader.existing(), wanted));
  if (!query.follow) return;
  using changes = new Changes(record.logPath, container, signal);
  for (;;) {
    // Asked before reading: what is written after a read but before the exit is seen by one more read.
    const more = isRunning(record) && !signal.aborted;
    for await (const entry of reader.fresh()) {
      if (query.until !== undefined && entry.timeNs > query.until) return;
      if (wanted(entry)) yield entry;
    }
    if (!more || signal.aborted) return;
    await changes.next();
  }
}

async function* filter(
  entries: AsyncIterable<LogEntry>,
  wanted: (entry: LogEntry) => boolean,
): AsyncGenerator<LogEntry> {
  for await (const entry of entries) if (wanted(entry)) yield entry;
}

/** The last `count` of the entries. Partial lines (over 16 KiB) count as the one line they are. */
async function* tail(count: number | undefined, entries: AsyncIterable<LogEntry>): AsyncGenerator<LogEntry> {
  if (count === undefined) {
    yield* entries;
    return;
  }
  const lines: LogEntry[][] = [];
  let open = false;
  for await (const entry of entries) {
    if (open) lines.at(-1)!.push(entry);
    else lines.push([entry]);
    open = entry.data.at(-1) !== 10;
    if (lines.length > count + (open ? 1 : 0)) lines.shift();
  }
  for (const line of lines.slice(Math.max(0, lines.length - count))) yield* line;
}

/** Reads a log file and its rotated predecessors; remembers where it is. */
class LogReader {
  #offset = 0;
  #inode: number | undefined;

  constructor(private readonly path: string) {}

  async *existing(): AsyncGenerator<LogEntry> {
    let oldest = 0;
    const has = (number: number) =>
      existsSync(`${this.path}.${number}`) || existsSync(`${this.path}.${number}.gz`);
    while (has(oldest + 1)) oldest++;
    for (let number = oldest; number > 0; number--) yield* this.#readRotated(number, 0);
    yield* this.fresh();
  }

  /** Whole lines since the last call. */
  async *fresh(): AsyncGenerator<LogEntry> {
    for (;;) {
      const stat = statSync(this.path, { throwIfNoEntry: false });
      if (!stat) return;
      if (this.#inode !== undefined && stat.ino !== this.#inode) {
        // Rotated: what is left of the old file is now `.1`.
        yield* this.#readRotated(1, this.#offset);
        this.#offset = 0;
      }
      this.#inode = stat.ino;
      yield* this.#read(this.path);
      if (statSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode) return;
    }
  }

  /** A file that grows no more, from a byte on. */
  async *#readRotated(number: number, from: number): AsyncGenerator<LogEntry> {
    const source = rotated(this.path, number);
    if (!source) return;
    const buffer = new LineBuffer();
    let skip = from;
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (skip < chunk.length) yield* buffer.push(chunk.subarray(skip));
      skip = Math.max(0, skip - chunk.length);
    }
  }

  async *#read(path: string): AsyncGenerator<LogEntry> {
    if (!existsSync(path)) return;
    await using file = await open(path, "r");
    const buffer = new LineBuffer();
    const chunk = Buffer.allocUnsafe(64 * 1024);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, this.#offset + buffer.pending);
      if (bytesRead === 0) return;
      for (const entry of buffer.push(Buffer.from(chunk.subarray(0, bytesRead)), (bytes) => {
        this.#offset += bytes;
      })) {
        yield entry;
      }
    }
  }
}

/** Opens the file before the present one by so many rotations, compressed or not; undefined: there is none. */
function rotated(path: string, number: number): Readable | undefined {
  const plain = openIfThere(`${path}.${number}`);
  if (plain) return plain;
  const compressed = openIfThere(`${path}.${number}.gz`);
  if (!compressed) return undefined;
  const text = createGunzip();
  // An error reaches the reader through the stream that it reads.
  pipeline(compressed, text, () => {});
  return text;
}

/** At once: a file that is being compressed goes away when that is done. */
function openIfThere(path: string): Readable | undefined {
  try {
    return createReadStream(path, { fd: openSync(path, "r") });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Cuts bytes into lines and lines into entries. */
class LineBuffer {
  #rest: Buffer = Buffer.alloc(0);

  /** Bytes held that do not make a line yet. */
  get pending(): number {
    return this.#rest.length;
  }

  *push(chunk: Buffer, consumed: (bytes: number) => void = () => {}): Generator<LogEntry> {
    let data: Buffer = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    this.#rest = Buffer.alloc(0);
    for (let end = data.indexOf(10); end >= 0; end = data.indexOf(10)) {
      const line = data.subarray(0, end);
      data = data.subarray(end + 1);
      consumed(end + 1);
      const entry = parseEntry(line);
      if (entry) {
        this.#rest = data;
        yield entry;
      }
    }
    this.#rest = data;
  }
}

/** One line of Docker's json-file format; a line torn by a crash of the machine is passed over. */
export function parseEntry(line: Uint8Array): LogEntry | undefined {
  try {
    const { log, stream, time, attrs } = JSON.parse(
      Buffer.from(line.buffer, line.byteOffset, line.length).toString("utf8"),
    ) as { log: string; stream: string; time: string; attrs?: Record<string, string> };
    return {
      stream: stream === "stderr" ? 2 : 1,
      timeNs: parseTime(time),
      data: Buffer.from(log, "utf8"),
      ...(attrs && { attributes: attrs }),
    };
  } catch {
    return undefined;
  }
}

/** RFC 3339 with up to nine decimals, as nanoseconds since the epoch. */
export function parseTime(text: string): bigint {
  const match = /^(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) throw new InvalidParameter(`invalid time ${JSON.stringify(text)}`);
  return BigInt(Date.parse(`${match[1]}${match[3]}`)) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}

/** Wakes a follower when the log grows, the container exits or the caller leaves. */
class Changes implements Disposable {
  #changed = false;
  #wake: (() => void) | undefined;
  #release: (() => void)[] = [];

  constructor(path: string, container: Container, signal: AbortSignal) {
    const notify = () => {
      this.#changed = true;
      this.#wake?.();
    };
    // The directory is watched, not the file: a rotation replaces the file.
    const watcher = watch(path.slice(0, path.lastIndexOf("/")), notify);
    this.#release.push(() => watcher.close(), container.onExit(notify));
    signal.addEventListener("abort", notify);
    this.#release.push(() => signal.removeEventListener("abort", notify));
    // A restart by policy goes on with the same log.
    notify();
  }

  async next(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#changed = false;
  }

  [Symbol.dispose](): void {
    for (const release of this.#release) release();
  }
}
