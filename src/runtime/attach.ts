/** One attacher's connection to a monitor, as a Duplex with half-close and backpressure both ways. */
import { Duplex } from "node:stream";
import { connectTo, type Place } from "./control.ts";

const acknowledged = "+".charCodeAt(0);

/** The request bytes of monitor/clients.c. */
function requestFor(streams: { stdin: boolean; stdout: boolean; stderr: boolean }): string {
  return `A${(streams.stdin ? 1 : 0) | (streams.stdout ? 2 : 0) | (streams.stderr ? 4 : 0)}`;
}

/**
 * Resolves when it is sure that the monitor takes the attacher in, so that it misses nothing from then on. A monitor that
 * is gone gives a stream that has ended.
 * @param exitKnown settles when the daemon has learned of the exit: the stream ends after that, so that who has
 * read it all and asks for the exit code gets it
 */
export async function attachTo(
  place: Place,
  streams: { stdin: boolean; stdout: boolean; stderr: boolean },
  exitKnown: Promise<void>,
): Promise<Duplex> {
  const stream = new AttachStream(exitKnown);
  try {
    const socket = await connectTo(place, { allowHalfOpen: true, socket: stream.handlers });
    stream.socket = socket;
    socket.write(requestFor(streams));
    // A connection that the monitor started with is heard before the command to start.
    if ("unix" in place) await stream.accepted;
  } catch {
    stream.ended();
  }
  return stream;
}

class AttachStream extends Duplex {
  socket: Bun.Socket<undefined> | undefined;
  readonly #accepted = Promise.withResolvers<void>();
  readonly accepted = this.#accepted.promise;
  #greeted = false;
  #over = false;
  /** What the socket has not taken of the current write. */
  #unwritten: Uint8Array | undefined;
  #onWritten: ((error?: Error | null) => void) | undefined;
  #finishing = false;

  constructor(private readonly exitKnown: Promise<void>) {
    super({ allowHalfOpen: true, readableHighWaterMark: 256 * 1024, writableHighWaterMark: 64 * 1024 });
  }

  readonly handlers: Bun.SocketHandler<undefined> = {
    data: (_, bytes) => this.#received(bytes),
    drain: () => this.#flush(),
    end: () => this.ended(),
    close: () => this.ended(),
    error: () => this.ended(),
  };

  #received(bytes: Uint8Array): void {
    let data = bytes;
    if (!this.#greeted) {
      this.#greeted = true;
      if (data[0] === acknowledged) this.#accepted.resolve();
      data = data.subarray(1);
    }
    if (data.length > 0 && !this.push(data)) this.socket?.pause();
  }

  /** The monitor has said everything. Writes go nowhere from now on, as into a process that has exited. */
  ended(): void {
    if (this.#over) return;
    this.#over = true;
    this.#accepted.resolve();
    // One turn later, when whoever waits for the exit has written it down.
    void this.exitKnown.then(() => setImmediate(() => this.destroyed || this.push(null)));
    this.socket?.end();
    this.#settleWrite();
  }

  #settleWrite(): void {
    const done = this.#onWritten;
    this.#onWritten = undefined;
    this.#unwritten = undefined;
    done?.();
  }

  #flush(): void {
    if (!this.#unwritten) return;
    const wrote = this.#over ? this.#unwritten.length : (this.socket?.write(this.#unwritten) ?? 0);
    if (wrote < 0 || wrote >= this.#unwritten.length) this.#settleWrite();
    else this.#unwritten = this.#unwritten.subarray(wrote);
  }

  override _read(): void {
    if (!this.#over) this.socket?.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#unwritten = chunk;
    this.#onWritten = done;
    this.#flush();
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#over && !this.#finishing) this.socket?.shutdown();
    this.#finishing = true;
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#over = true;
    this.#accepted.resolve();
    this.#settleWrite();
    this.socket?.terminate();
    done(error);
  }
}
