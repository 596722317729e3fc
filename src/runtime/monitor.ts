/** The daemon's side of a monitor: starting one, talking to it, finding it again. Protocol: monitor/README.md. */
import { readFileSync, writeFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { Cancelled, Internal, InvalidParameter } from "../lib/errors.ts";
import { type ProcessIdentity, signalProcess } from "../linux/process.ts";
import { attachTo } from "./attach.ts";
import type { ExitRecord, MonitoredProcess, RemoteLog, StartOptions } from "./types.ts";

const SIGKILL = 9;

export interface MonitorCommand {
  /** The monitor's executable. */
  binary: string;
  /** The OCI runtime's argv; paths in it may be relative to the state directory. */
  runtime: string[];
  terminal: boolean;
  consoleSize?: { width: number; height: number };
  /** Control file that counts OOM kills. */
  oomPath?: string;
}

/** The OCI runtime refused; `output` is its stderr. */
export class RuntimeRefusal extends Error {
  constructor(readonly output: string) {
    super(output);
  }
}

/**
 * Starts a monitor in `options.stateDir`, lets attachers connect, and has it start the process.
 * @throws RuntimeRefusal, Cancelled, Internal when the monitor itself can't work
 */
export async function startMonitored(command: MonitorCommand, options: StartOptions): Promise<Monitored> {
  options.signal?.throwIfAborted();
  const { stateDir } = options;
  writeLogFiles(stateDir, options.log);
  const child = Bun.spawn(
    [command.binary, "monitor", ...monitorArguments(command, options), "--", ...command.runtime],
    {
      cwd: stateDir,
      // Not the daemon's own: OCI runtimes look at NOTIFY_SOCKET, LISTEN_FDS and the like.
      env: { PATH: process.env.PATH ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    },
  );
  child.unref();
  // It closes its stdout once it listens; before that it says what is wrong.
  const complaint = await child.stdout.text();
  if (complaint !== "") throw new Internal(`the container monitor can't start: ${complaint.trim()}`);
  const control = await Control.connect(stateDir);
  if (!control) throw new Internal("the container monitor ended before it started anything");
  const abort = () => control.send("abort");
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    const attach = (streams: Parameters<MonitoredProcess["attach"]>[0]) =>
      attachTo(socketPath(stateDir), streams, control.closed);
    await options.onAttachable?.({ attach });
    options.signal?.throwIfAborted();
    control.send("go");
    const started = await control.started;
    if (started) return new Monitored(stateDir, started, control);
    if (options.signal?.aborted) throw new Cancelled("the start was cancelled");
    throw new RuntimeRefusal(
      control.failure ?? "the container monitor ended while the OCI runtime was starting",
    );
  } catch (error) {
    control.close();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

/** The process behind `stateDir`, running or not; undefined when nothing was started there. */
export async function reopenMonitored(stateDir: string): Promise<Monitored | undefined> {
  // A monitor that is just starting the process says so when it's through; one that still waits for a "go" of a
  // daemon that is dead ends with this connection.
  const control = readRecord(stateDir, "exit") === undefined ? await Control.connect(stateDir) : undefined;
  const started = control
    ? await Promise.race([control.started, control.waiting])
    : parseStarted(readRecord(stateDir, "started"));
  if (!started) {
    control?.close();
    return undefined;
  }
  return new Monitored(stateDir, started, control);
}

function monitorArguments(command: MonitorCommand, { log, stdio }: StartOptions): string[] {
  const args: string[] = [];
  if (log?.driver === "json-file") args.push("--log", log.path);
  if (log?.maxSize)
    args.push("--log-max-size", String(log.maxSize), "--log-max-files", String(log.maxFiles ?? 1));
  if (log?.compress) args.push("--log-compress");
  if (log?.remote) args.push(...remoteArguments(log.remote));
  if (log?.buffer) args.push("--log-buffer", String(log.buffer));
  if (command.oomPath) args.push("--oom", command.oomPath);
  if (command.terminal) args.push("--tty");
  if (command.consoleSize)
    args.push("--width", String(command.consoleSize.width), "--height", String(command.consoleSize.height));
  if (stdio.openStdin) args.push("--stdin");
  if (stdio.stdinOnce) args.push("--stdin-once");
  if (stdio.owner) args.push("--uid", String(stdio.owner.uid), "--gid", String(stdio.owner.gid));
  return args;
}

function remoteArguments({ address, format, facility, tag, host, octets }: RemoteLog): string[] {
  const args = ["--log-remote", typeof address === "string" ? address : "program:", "--log-format", format];
  if (facility !== undefined) args.push("--log-facility", String(facility));
  if (tag !== undefined) args.push("--log-tag", tag);
  if (host !== undefined) args.push("--log-host", host);
  if (octets) args.push("--log-octets");
  return args;
}

/** What the monitor's files may hold (monitor/jsonlog.c, remote.c). */
const longestAttributes = 60_000;

/** By files, not arguments: labels and variables may hold what the list of processes should not show. */
function writeLogFiles(stateDir: string, log: StartOptions["log"]): void {
  const write = (name: string, content: string | Buffer) => {
    if (Buffer.byteLength(content) > longestAttributes)
      throw new InvalidParameter("the labels and variables of the log's options are too long");
    writeFileSync(`${stateDir}/${name}`, content, { mode: 0o600 });
  };
  if (Object.keys(log?.attributes ?? {}).length > 0)
    write("log-attrs", `"attrs":${JSON.stringify(log!.attributes)},`);
  if (log?.remote?.fields) write("log-fields", journalFields(log.remote.fields));
  if (typeof log?.remote?.address === "object")
    write("log-program", log.remote.address.map((word) => `${word}\0`).join(""));
}

/** The journal's form for values of any bytes: name, newline, length as 64 bits, value, newline. */
function journalFields(fields: Record<string, string>): Buffer {
  return Buffer.concat(
    Object.entries(fields).map(([name, value]) => {
      const bytes = Buffer.from(value);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from("\n")]);
    }),
  );
}

interface Started extends ProcessIdentity {
  startedAt: number;
}

const socketPath = (stateDir: string) => `${stateDir}/monitor.sock`;

function readRecord(stateDir: string, name: "started" | "exit"): string | undefined {
  try {
    return readFileSync(`${stateDir}/${name}`, "utf8");
  } catch {
    return undefined;
  }
}

/** `started <pid> <milliseconds> <start ticks>`. */
function parseStarted(line: string | undefined): Started | undefined {
  const [, pid, startedAt, startTicks] = line?.trim().split(" ") ?? [];
  return startTicks === undefined
    ? undefined
    : { pid: Number(pid), startedAt: Number(startedAt), startTicks: Number(startTicks) };
}

/** A process under a monitor. */
export class Monitored implements MonitoredProcess {
  readonly exited: Promise<ExitRecord>;
  #hasExited = false;

  constructor(
    private readonly stateDir: string,
    private readonly started: Started,
    private readonly control: Control | undefined,
  ) {
    this.exited = this.#watch();
  }

  get pid(): number {
    return this.started.pid;
  }
  get startedAt(): number {
    return this.started.startedAt;
  }
  get identity(): ProcessIdentity {
    return this.started;
  }
  get hasExited(): boolean {
    return this.#hasExited;
  }

  attach(streams: { stdin: boolean; stdout: boolean; stderr: boolean }): Promise<Duplex> {
    return attachTo(socketPath(this.stateDir), streams, this.control?.closed ?? Promise.resolve());
  }

  async resize(width: number, height: number): Promise<void> {
    this.control?.send(`resize ${Math.trunc(width)} ${Math.trunc(height)}`);
  }

  async #watch(): Promise<ExitRecord> {
    await this.control?.closed;
    this.#hasExited = true;
    return this.control?.exit ?? parseExit(readRecord(this.stateDir, "exit")) ?? this.#withoutMonitor();
  }

  /** The monitor itself was killed: nobody holds the process's stdio or can learn its exit, so it ends too. */
  #withoutMonitor(): ExitRecord {
    try {
      signalProcess(this.started, SIGKILL);
    } catch {
      // `exited` never rejects; a process that can't be killed is left to `delete`.
    }
    return { exitCode: 128 + SIGKILL, exitedAt: Date.now() };
  }
}

function parseExit(text: string | undefined): ExitRecord | undefined {
  if (text === undefined) return undefined;
  const { exitCode, exitedAt, oomKills, memoryPeak, swapPeak, oomKilled } = JSON.parse(text) as {
    exitCode: number;
    exitedAt: number;
    oomKills?: number;
    memoryPeak?: number;
    swapPeak?: number;
    /** All that monitors before the figures wrote; they run as long as their containers. */
    oomKilled?: boolean;
  };
  return exitRecord([exitCode, exitedAt, oomKills ?? Number(oomKilled ?? false), memoryPeak, swapPeak]);
}

type ExitFigures = [
  exitCode: number,
  exitedAt: number,
  kills: number,
  memoryPeak: number | undefined,
  swapPeak: number | undefined,
];

function exitRecord([exitCode, exitedAt, kills, memoryPeak = 0, swapPeak = 0]: ExitFigures): ExitRecord {
  return { exitCode, exitedAt, oom: kills > 0 ? { kills, memoryPeak, swapPeak } : undefined };
}

/** The line that commands go down and news come up. */
class Control {
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

  private constructor() {
    this.started = this.#started.promise;
    this.closed = this.#closed.promise;
    this.waiting = this.#waiting.promise;
  }

  /** undefined when no monitor listens there. */
  static async connect(stateDir: string): Promise<Control | undefined> {
    const control = new Control();
    const over = () => control.close();
    try {
      control.#socket = await Bun.connect({
        unix: socketPath(stateDir),
        socket: { data: (_, bytes) => control.#received(bytes), end: over, close: over, error: over },
      });
    } catch {
      return undefined;
    }
    control.#socket.write("C");
    return control;
  }

  send(command: string): void {
    this.#socket?.write(`${command}\n`);
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
