/** This process's standard input joined to a container's process, raw when that has a terminal. */
import type { RawStream } from "../../api/client/index.ts";
import { Demultiplexer } from "../../lib/stdcopy.ts";
import type { Session } from "./session.ts";

export interface JoinOptions {
  tty: boolean;
  /** Send standard input. */
  input: boolean;
  /** Tells the engine the terminal's size. */
  resize: (size: { rows: number; columns: number }) => Promise<void>;
}

/** Carries bytes both ways until the other side ends. The terminal is as before when it returns. */
export async function join(session: Session, stream: RawStream, options: JoinOptions): Promise<void> {
  const raw = options.tty && options.input && process.stdin.isTTY === true;
  const onData = (chunk: Uint8Array) => {
    process.stdin.pause();
    stream.write(chunk).then(
      () => process.stdin.resume(),
      () => {},
    );
  };
  const onEnd = () => stream.end();
  const onResize = () => {
    const { rows, columns } = process.stdout;
    if (rows && columns) options.resize({ rows, columns }).catch(() => {});
  };
  try {
    if (raw) process.stdin.setRawMode(true);
    if (options.input) {
      process.stdin.on("data", onData);
      process.stdin.on("end", onEnd);
      process.stdin.resume();
    }
    if (options.tty) {
      process.on("SIGWINCH", onResize);
      onResize();
    }
    const frames = new Demultiplexer((kind, data) => (kind === 2 ? session.err : session.out).write(data));
    for await (const chunk of stream.output) {
      if (options.tty) session.out.write(chunk);
      else frames.push(chunk);
    }
  } finally {
    process.off("SIGWINCH", onResize);
    if (options.input) {
      process.stdin.off("data", onData);
      process.stdin.off("end", onEnd);
      process.stdin.pause();
      process.stdin.unref?.();
    }
    if (raw) process.stdin.setRawMode(false);
    stream.close();
  }
}

/** Whether both ends of this process are terminals, as `run` and `exec` ask before they allot one. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}
