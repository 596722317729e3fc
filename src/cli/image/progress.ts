/** The progress of pulls, pushes and loads: one line a layer on a terminal, plain lines elsewhere. */
import { humanSize } from "../format/units.ts";
import { isTerminal, terminalSize, writeAll } from "../terminal.ts";

/** Docker's JSON message. */
export interface ProgressMessage {
  stream?: string;
  status?: string;
  id?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
  errorDetail?: { code?: number; message?: string } & Record<string, unknown>;
  aux?: unknown;
}

/** The engine reported a failure in the middle of its answer. */
export class StreamedError extends Error {
  constructor(
    message: string | undefined,
    /** The exit status of the step that failed. */
    readonly code?: number,
    /** What else the engine told. */
    readonly detail?: unknown,
  ) {
    super(message);
  }
}

/**
 * Shows messages until they end.
 * @param fd where to; quiet when undefined
 * @throws StreamedError
 */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  fd: number | undefined,
  onAux: (aux: unknown) => void = () => {},
): Promise<void> {
  const display = fd === undefined ? undefined : isTerminal(fd) ? new LiveLines(fd) : new PlainLines(fd);
  for await (const message of messages) {
    if (message.error !== undefined || message.errorDetail) {
      const { errorDetail } = message;
      throw new StreamedError(errorDetail?.message ?? message.error, errorDetail?.code, errorDetail);
    }
    if (message.aux !== undefined) onAux(message.aux);
    else display?.show(message);
  }
}

class PlainLines {
  constructor(private readonly fd: number) {}

  show({ stream, status, id, progressDetail }: ProgressMessage): void {
    if (stream !== undefined) writeAll(this.fd, stream);
    else if (status !== undefined && !progressDetail?.current)
      writeAll(this.fd, `${id ? `${id}: ` : ""}${status}\n`);
  }
}

/** Keeps a line for each id and rewrites it in place. */
class LiveLines {
  #rows = new Map<string, number>();
  #height = 0;

  constructor(private readonly fd: number) {}

  show({ stream, status, id, progressDetail }: ProgressMessage): void {
    if (stream !== undefined || !id) {
      writeAll(this.fd, stream ?? `${status ?? ""}\n`);
      // What is above can't be counted any more: later lines begin afresh below.
      this.#rows.clear();
      this.#height = 0;
      return;
    }
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = this.#height++;
      this.#rows.set(id, row);
      writeAll(this.fd, "\n");
    }
    const up = this.#height - row;
    const text = `${id}: ${status ?? ""} ${progressDetail ? bar(progressDetail) : ""}`.trimEnd();
    writeAll(this.fd, `\x1b[${up}A\r\x1b[2K${text.slice(0, terminalSize().columns - 1)}\r\x1b[${up}B`);
  }
}

const barWidth = 50;

function bar({ current = 0, total = 0 }: { current?: number; total?: number }): string {
  if (current <= 0 && total <= 0) return "";
  if (total <= 0) return humanSize(current);
  const filled = Math.min(barWidth, Math.floor((current / total) * barWidth));
  const head = filled < barWidth ? ">" : "";
  const columns = terminalSize().columns;
  const numbers = `${humanSize(current).padStart(8)}/${humanSize(total)}`;
  if (columns < 110) return numbers;
  return `[${"=".repeat(filled)}${head}${" ".repeat(Math.max(0, barWidth - filled - head.length))}] ${numbers}`;
}
