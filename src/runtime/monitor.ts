/** The daemon's side of a monitor: starting one, talking to it, finding it again. Protocol: monitor/README.md. */
import { closeSync, readFileSync, writeFileSync } from "node:fs";
import type { Duplex } from "node:stream";
import { Cancelled, Conflict, Internal, InvalidParameter, messageOf } from "../lib/errors.ts";
import { type ProcessIdentity, signalProcess } from "../linux/process.ts";
import { socketPair } from "../linux/sockets.ts";
import { attachTo } from "./attach.ts";
import { Control, exitRecord, type Place, parseStarted, type Started } from "./control.ts";
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
  const place = placeOf(stateDir);
  const control = await Control.connect(place);
  if (!control) throw new Internal("the container monitor ended before it started anything");
  return follow(control, place, options, stateDir);
}

export interface EntryCommand {
  /** The monitor's executable: out of a container's reach, since a process in there is this program for a moment. */
  binary: string;
  /** What monitor/request.c reads. */
  request: Uint8Array;
}

/**
 * Starts a monitor that puts a process into a running container itself. It has no state directory: it is reached by
 * what it is born with, and a later daemon finds it no more.
 * @throws RuntimeRefusal, Internal when the monitor itself can't work
 */
export async function startEntering(
  { binary, request }: EntryCommand,
  options: Omit<StartOptions, "stateDir">,
): Promise<Monitored> {
  const [control, theirControl] = socketPair();
  const [attacher, theirAttacher] = options.onAttachable ? socketPair() : [];
  const args = stdioArguments(options);
  if (theirAttacher !== undefined) args.unshift("--attached");
  try {
    Bun.spawn([binary, "enter", ...args], {
      argv0: "gantry-monitor",
      cwd: "/",
      env: {},
      stdio: [
        "ignore",
        "ignore",
        "ignore",
        theirControl,
        ...(theirAttacher === undefined ? [] : [theirAttacher]),
      ],
    }).unref();
  } catch (cause) {
    for (const fd of [control, attacher]) if (fd !== undefined) closeSync(fd);
    throw new Internal(`the container monitor can't start: ${messageOf(cause)}`, { cause });
  } finally {
    for (const fd of [theirControl, theirAttacher]) if (fd !== undefined) closeSync(fd);
  }
  const connected = await Control.connect({ fd: control }, request);
  if (!connected) throw new Internal("the container monitor ended before it started anything");
  return follow(connected, attacher === undefined ? undefined : { fd: attacher }, options, undefined);
}

/** From a monitor that waits to a process that runs. */
async function follow(
  control: Control,
  place: Place | undefined,
  options: Omit<StartOptions, "stateDir">,
  stateDir: string | undefined,
): Promise<Monitored> {
  const abort = () => control.send("abort");
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    if (place)
      await options.onAttachable?.({ attach: (streams) => attachTo(place, streams, control.closed) });
    options.signal?.throwIfAborted();
    control.send("go");
    const started = await control.started;
    if (started) return new Monitored(stateDir, started, control);
    if (options.signal?.aborted) throw new Cancelled("the start was cancelled");
    throw new RuntimeRefusal(control.failure ?? "the container monitor ended while the process was starting");
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
  const control =
    readRecord(stateDir, "exit") === undefined ? await Control.connect(placeOf(stateDir)) : undefined;
  const started = control
    ? await Promise.race([control.started, control.waiting])
    : parseStarted(readRecord(stateDir, "started"));
  if (!started) {
    control?.close();
    return undefined;
  }
  return new Monitored(stateDir, started, control);
}

function monitorArguments(command: MonitorCommand, options: StartOptions): string[] {
  const { log } = options;
  const args = stdioArguments(options);
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
  return args;
}

function stdioArguments({ stdio }: Pick<StartOptions, "stdio">): string[] {
  const args: string[] = [];
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

const placeOf = (stateDir: string): Place => ({ unix: `${stateDir}/monitor.sock` });

function readRecord(stateDir: string, name: "started" | "exit"): string | undefined {
  try {
    return readFileSync(`${stateDir}/${name}`, "utf8");
  } catch {
    return undefined;
  }
}

/** A process under a monitor. */
export class Monitored implements MonitoredProcess {
  readonly exited: Promise<ExitRecord>;
  #hasExited = false;

  constructor(
    /** undefined: it keeps no records, and takes no attachers besides those that it started with. */
    private readonly stateDir: string | undefined,
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

  async attach(streams: { stdin: boolean; stdout: boolean; stderr: boolean }): Promise<Duplex> {
    if (this.stateDir === undefined) throw new Conflict("nobody can attach to an exec that runs already");
    return attachTo(placeOf(this.stateDir), streams, this.control?.closed ?? Promise.resolve());
  }

  async resize(width: number, height: number): Promise<void> {
    this.control?.send(`resize ${Math.trunc(width)} ${Math.trunc(height)}`);
  }

  async #watch(): Promise<ExitRecord> {
    await this.control?.closed;
    this.#hasExited = true;
    const recorded = this.stateDir === undefined ? undefined : readRecord(this.stateDir, "exit");
    return this.control?.exit ?? parseExit(recorded) ?? this.#withoutMonitor();
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
