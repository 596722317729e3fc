/** The progress of pulls, pushes and loads: one line a layer on a terminal, plain lines elsewhere. */
import { amounts, bar, dockersBar, type Progress } from "../../lib/progress-bar.ts";
import { humanSize } from "../format/units.ts";
import { isTerminal, terminalSize, writeAll } from "../terminal.ts";

/** Docker's JSON message. */
export interface ProgressMessage {
  stream?: string;
  status?: string;
  id?: string;
  progressDetail?: Progress;
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
    else if (status !== undefined && !progressDetail?.current && !progressDetail?.total)
      writeAll(this.fd, `${id ? `${id}: ` : ""}${status}\n`);
  }
}

/** Keeps a line for each id and rewrites it in place. */
class LiveLines {
  #rows = new Map<string, number>();
  #height = 0;
  readonly #pace = new Pace();

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
    const { columns, rows } = terminalSize();
    // What has scrolled out at the top takes the uppermost line that is left: else nothing would seem to happen.
    const up = Math.min(this.#height - row, rows - 1);
    const pace = this.#pace.of(id, status ?? "", progressDetail, performance.now());
    const head = `${id}: ${status ?? ""} `;
    const text = `${head}${fitted(progressDetail ?? {}, pace, columns - 1 - head.length)}`.trimEnd();
    writeAll(this.fd, `\x1b[${up}A\r\x1b[2K${text.slice(0, columns - 1)}\r\x1b[${up}B`);
  }
}

/** Speed and time left of what is on its way, from where each began: a resumed layer's first bytes took no time. */
export class Pace {
  readonly #starts = new Map<string, { status: string; at: number; current: number }>();

  /** @param now milliseconds @returns empty words when nothing can be said */
  of(id: string, status: string, detail: Progress = {}, now: number): { speed: string; left: string } {
    const none = { speed: "", left: "" };
    const { current = 0, total = 0 } = detail;
    const start = this.#starts.get(id);
    if (start?.status !== status || current < start.current) {
      this.#starts.set(id, { status, at: now, current });
      return none;
    }
    const rate = (current - start.current) / ((now - start.at) / 1000);
    if (!(rate > 0) || !Number.isFinite(rate) || total <= current) return none;
    return { speed: `${humanSize(rate, 3)}/s`, left: `${spanOf((total - current) / rate)} left` };
  }
}

/** `8s`, `2m05s`, `1h02m`. */
function spanOf(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole}s`;
  const [big, small] = whole < 3600 ? [60, 1] : [3600, 60];
  const rest = String(Math.floor((whole % big) / small)).padStart(2, "0");
  return `${Math.floor(whole / big)}${big === 60 ? "m" : "h"}${rest}${big === 60 ? "s" : "m"}`;
}

/** Columns that speed and time left mostly need: bars must not change their width with them. */
const paceWidth = 20;
const shortestBar = 10;

/**
 * What of the bar, the amounts, the speed and the time left has room in so many columns; in few the share that is done
 * stands for bar and amounts.
 */
export function fitted(detail: Progress, pace: { speed: string; left: string }, room: number): string {
  const numbers = amounts(detail);
  const { current = 0, total = 0 } = detail;
  if (numbers === "" || total <= 0) return numbers;
  const width = Math.min(dockersBar, room - numbers.length - paceWidth - "[>] ".length);
  const drawn = width < shortestBar ? numbers : `${bar(detail, width)} ${numbers}`;
  const percent = `${Math.min(100, Math.floor((current / total) * 100))}%`;
  const whole = [drawn, pace.speed, pace.left].filter(Boolean).join(" ");
  if (whole.length <= room) return whole;
  return [percent, pace.left].filter(Boolean).join(" ");
}
