/** A terminal or pipes on this side, a container's standard streams on the other. */
import type { RawStream } from "../../api/client/index.ts";
import { DetachWatcher, defaultDetachKeys, parseDetachKeys } from "../../lib/detach-keys.ts";
import { Demultiplexer } from "../../lib/stdcopy.ts";
import type { CliContext } from "../context.ts";
import { isTerminal, stderrFd, stdinFd, stdoutFd, terminalSize, writeAll } from "../terminal.ts";

export interface StreamOptions {
  /** The container has a terminal: its output is raw. */
  tty: boolean;
  stdin: boolean;
  /** The keys that detach; nothing for the usual ones. */
  detachKeys?: string;
  /** Tells the engine the terminal's size, at once and when it changes. */
  resize?: (size: { columns: number; rows: number }) => Promise<void>;
}

/**
 * Copies both ways until the container's output ends or the user detaches. The terminal is put back as it was.
 * @returns `detached` when the user typed the detach keys
 */
export async function runStreams(stream: RawStream, options: StreamOptions): Promise<"ended" | "detached"> {
  const { promise: detached, resolve: detach } = Promise.withResolvers<"detached">();
  const raw = options.tty && options.stdin && isTerminal(stdinFd);
  const unwatch =
    options.tty && options.resize && isTerminal(stdoutFd) ? watchSize(options.resize) : () => {};
  let release = () => {};
  try {
    if (raw) release = pumpTerminal(stream, options.detachKeys, () => detach("detached"));
    else if (options.stdin) void pumpInput(stream);
    const ended = copyOutput(stream, options.tty).then(() => "ended" as const);
    const result = await Promise.race([ended, detached]);
    if (result === "detached") {
      ended.catch(() => {});
      stream.close();
    }
    return result;
  } finally {
    release();
    unwatch();
  }
}

async function copyOutput(stream: RawStream, tty: boolean): Promise<void> {
  const demultiplexer = new Demultiplexer((kind, data) => writeAll(kind === 2 ? stderrFd : stdoutFd, data));
  for await (const bytes of stream.output) {
    if (tty) writeAll(stdoutFd, bytes);
    else demultiplexer.push(bytes);
  }
}

/** Our stdin to its end, then a half-close. */
async function pumpInput(stream: RawStream): Promise<void> {
  try {
    for await (const bytes of Bun.stdin.stream()) await stream.write(bytes);
    stream.end();
  } catch {
    // The container went away before it had read everything; its output and exit tell the rest.
  }
}

/** The terminal in raw mode, watched for the detach keys. @returns puts it back */
function pumpTerminal(stream: RawStream, detachKeys: string | undefined, onDetach: () => void): () => void {
  const watcher = new DetachWatcher(parseDetachKeys(detachKeys ?? defaultDetachKeys));
  const input = process.stdin;
  let writing: Promise<void> = Promise.resolve();
  const onData = (bytes: Uint8Array) => {
    const { pass, detached } = watcher.push(bytes);
    if (pass.length > 0) writing = writing.then(() => stream.write(pass)).catch(() => {});
    if (detached) onDetach();
  };
  input.setRawMode(true);
  // The runtime's raw mode still turns \n into \r\n on the way out, which breaks full-screen programs.
  Bun.spawnSync(["stty", "-opost"], { stdin: "inherit", stdout: "ignore", stderr: "ignore" });
  input.on("data", onData);
  return () => {
    input.off("data", onData);
    input.setRawMode(false);
    input.pause();
  };
}

function watchSize(resize: NonNullable<StreamOptions["resize"]>): () => void {
  // A resize that fails because the container is gone is of no interest.
  const send = () => void resize(terminalSize()).catch(() => {});
  send();
  process.on("SIGWINCH", send);
  return () => process.off("SIGWINCH", send);
}

const forwarded = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
] as const;

/** Passes the signals that we get to the container. @returns stops it */
export function proxySignals(context: CliContext, id: string): () => void {
  const forward = (signal: string) => {
    // The container may have exited in the meantime.
    context.client
      .call("POST", `/containers/${id}/kill`, { query: { signal: signal.slice("SIG".length) } })
      .catch(() => {});
  };
  for (const signal of forwarded) process.on(signal, forward);
  return () => {
    for (const signal of forwarded) process.off(signal, forward);
  };
}
