/** The line to a monitor on which commands go down and news come up. Protocol: monitor/README.md. */
import type { ProcessIdentity } from "../linux/process.ts";
import type { ExitRecord } from "./types.ts";

export interface Started extends ProcessIdentity {
  startedAt: number;
}

/** `started <pid> <milliseconds> <start ticks>`. */
export function parseStarted(line: string | undefined): Started | undefined {
  const [, pid, startedAt, startTicks] = line?.trim().split(" ") ?? [];
  return startTicks === undefined
    ? undefined
    : { pid: Number(pid), startedAt: Number(startedAt), startTicks: Number(startTicks) };
}

export type ExitFigures = [
  exitCode: number,
  exitedAt: number,
  kills: number,
  memoryPeak: number | undefined,
  swapPeak: number | undefined,
];

export function exitRecord([
  exitCode,
  exitedAt,
  kills,
  memoryPeak = 0,
  swapPeak = 0,
]: ExitFigures): ExitRecord {
  return { exitCode, exitedAt, oom: kills > 0 ? { kills, memoryPeak, swapPeak } : undefined };
}

/** Where a monitor is reached: its socket, or a connection that is there already and belongs to who connects. */
export type Place = { unix: string } | { fd: number };

/** The types leave out that it takes `Bun.FdSocketOptions` as well. */
export function connectTo(
  place: Place,
  options: { socket: Bun.SocketHandler<undefined>; allowHalfOpen?: boolean },
): Promise<Bun.Socket> {
  return Bun.connect({ ...options, ...place } as Bun.UnixSocketOptions<undefined>);
}

export class Control {
  /** Settles when it's known whether the process runs; undefined: it doesn't, see `failure`. */
  readonly started: Promise<Started | undefined>;
  readonly closed: Promise<void>;
  /** Settles when the monitor says that it has not been told to start. */
  readonly waiting: Promise<undefined>;
  failure: string | undefined;
  exit: ExitRecord | undefined;
  readonly #started = Promise.withResolvers<Started | undefined>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #waiting = Promise.withResolvers<undefined>();
  #text = "";
  #socket: Bun.Socket | undefined;
  /** What the socket has not taken yet. */
  #unwritten: Uint8Array = new Uint8Array();

  private constructor() {
    this.started = this.#started.promise;
    this.closed = this.#closed.promise;
    this.waiting = this.#waiting.promise;
  }

  /**
   * @param first goes down before anything else
   * @returns undefined when no monitor listens there
   */
  static async connect(place: Place, first: Uint8Array = new Uint8Array()): Promise<Control | undefined> {
    const control = new Control();
    const over = () => control.close();
    try {
      control.#socket = await connectTo(place, {
        socket: {
          data: (_, bytes) => control.#received(bytes),
          drain: () => control.#write(new Uint8Array()),
          end: over,
          close: over,
          error: over,
        },
      });
    } catch {
      return undefined;
    }
    control.#write(Buffer.concat([first, Buffer.from("C")]));
    return control;
  }

  send(command: string): void {
    this.#write(Buffer.from(`${command}\n`));
  }

  #write(bytes: Uint8Array): void {
    const all = this.#unwritten.length > 0 ? Buffer.concat([this.#unwritten, bytes]) : bytes;
    const taken = all.length > 0 ? (this.#socket?.write(all) ?? 0) : 0;
    this.#unwritten = all.subarray(Math.max(taken, 0));
  }

  close(): void {
    this.#socket?.end();
    this.#socket = undefined;
    this.#started.resolve(undefined);
    this.#closed.resolve();
  }

  #received(bytes: Uint8Array): void {
    this.#text += Buffer.from(bytes).toString("utf8");
    for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
      const line = this.#text.slice(0, end);
      const words = line.split(" ");
      if (words[0] === "failed") {
        // The runtime's own words follow to the end of the connection.
        this.failure = this.#text.slice(end + 1);
        return;
      }
      this.#text = this.#text.slice(end + 1);
      if (words[0] === "waiting") this.#waiting.resolve(undefined);
      if (words[0] === "started") this.#started.resolve(parseStarted(line));
      if (words[0] === "exited") {
        this.exit = exitRecord(words.slice(1, 6).map(Number) as ExitFigures);
        // Not at the connection's end: the monitor may live on for an attacher that is slow to read.
        this.#closed.resolve();
      }
    }
  }
}
