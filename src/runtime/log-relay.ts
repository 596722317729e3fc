/**
 * A log's way over TLS: the monitor writes messages, each a line, to this program's stdin, and it sends them on. One
 * such process stands beside each container whose syslog wants TLS; it lives on through the end of a daemon, as the
 * monitor does that starts it.
 */
import { existsSync, readFileSync } from "node:fs";
import { connect, rootCertificates, type TLSSocket } from "node:tls";
import { InvalidParameter, messageOf } from "../lib/errors.ts";
import { ownCommand } from "../lib/own-command.ts";

/** Where to, and who one is; `ca`, `cert` and `key` are paths of PEM files. */
export interface TlsReceiver {
  host: string;
  port: number;
  /** Trusted besides the authorities that everybody trusts. */
  ca?: string;
  cert?: string;
  key?: string;
  /** Whoever answers is the right one. */
  skipVerify: boolean;
}

/** The word behind the program's name (main.ts). */
const word = "log-relay";
const connectMs = 10_000;
const retryMs = 1000;
/** As long as a monitor waits for a receiver after the container's end. */
const farewellMs = 10_000;

/** The command line of the relay to `receiver`. */
export const relayCommand = (receiver: TlsReceiver): string[] => [
  ...ownCommand(Bun.main, process.execPath),
  word,
  JSON.stringify(receiver),
];

/** Learns whether `receiver` takes a connection. @throws an error that says why not */
export async function tryTls(receiver: TlsReceiver): Promise<void> {
  (await dial(receiver)).destroy();
}

/** @throws InvalidParameter for a file that can't be read, an error of the connection */
async function dial({ host, port, ca, cert, key, skipVerify }: TlsReceiver): Promise<TLSSocket> {
  const pem = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch (cause) {
      throw new InvalidParameter(`could not read ${path}: ${messageOf(cause)}`, { cause });
    }
  };
  const socket = connect({
    host,
    port,
    ...(ca !== undefined && { ca: [...rootCertificates, pem(ca)] }),
    ...(cert !== undefined && { cert: pem(cert) }),
    ...(key !== undefined && { key: pem(key) }),
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    rejectUnauthorized: !skipVerify,
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("secureConnect", resolve);
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("the connection was closed")));
  const late = setTimeout(() => reject(new Error(`dial tcp ${host}:${port}: i/o timeout`)), connectMs);
  try {
    await promise;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(late);
  }
  // What comes back is of no interest, but has to be taken for the end to be seen.
  socket.on("error", () => {}).resume();
  return socket;
}

/**
 * The program. Ends with its stdin, or soon after its monitor.
 * @param args the receiver, as `relayCommand` has it, and the monitor's pid
 */
export async function relay([receiver = "", monitor = ""]: readonly string[]): Promise<number> {
  const line = new Line(JSON.parse(receiver) as TlsReceiver);
  endWith(monitor);
  let rest: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  for await (const chunk of Bun.stdin.stream()) {
    const bytes = Buffer.concat([rest, chunk]);
    // Whole messages only, so that one is whole again on the next connection.
    const end = bytes.lastIndexOf(0x0a) + 1;
    if (end > 0) await line.send(bytes.subarray(0, end));
    rest = bytes.subarray(end);
  }
  await line.end();
  return 0;
}

/** Nobody waits for a relay: one whose receiver doesn't take the last messages must not stay. */
function endWith(monitor: string): void {
  let left = farewellMs;
  setInterval(() => {
    if (!existsSync(`/proc/${monitor}`)) left -= retryMs;
    if (left <= 0) process.exit(1);
  }, retryMs).unref();
}

/** A connection that is made again when it breaks. */
class Line {
  #socket: TLSSocket | undefined;

  constructor(private readonly receiver: TlsReceiver) {}

  /** Returns when the receiver's side has taken them. */
  async send(messages: Uint8Array): Promise<void> {
    for (;;) {
      try {
        this.#socket ??= await this.#open();
        await write(this.#socket, messages);
        return;
      } catch {
        this.#socket?.destroy();
        this.#socket = undefined;
        await Bun.sleep(retryMs);
      }
    }
  }

  async end(): Promise<void> {
    const socket = this.#socket;
    if (!socket) return;
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.end();
    await closed;
  }

  async #open(): Promise<TLSSocket> {
    const socket = await dial(this.receiver);
    socket.once("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return socket;
  }
}

function write(socket: TLSSocket, bytes: Uint8Array): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const broken = () => reject(new Error("the connection was closed"));
  socket.once("close", broken);
  socket.write(bytes, (error) => (error ? reject(error) : resolve()));
  return promise.finally(() => socket.off("close", broken));
}
