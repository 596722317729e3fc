/** Containers' output as lines with a prefix that says whose they are. */
import { Demultiplexer } from "../../lib/stdcopy.ts";
import type { Output } from "./output.ts";
import type { Session } from "./session.ts";

/** The order in which services get their colours. */
const palette = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

export interface LogStyle {
  colored: boolean;
  prefix: boolean;
}

/** Writes whole lines of many sources, each with its prefix; a line without end waits for its end. */
export class LinePrinter {
  readonly #colors = new Map<string, string>();
  #width = 0;

  constructor(
    private readonly out: Output,
    private readonly style: LogStyle,
  ) {}

  /** Makes room for a name and gives it its colour. */
  register(name: string): void {
    if (!this.#colors.has(name)) this.#colors.set(name, palette[this.#colors.size % palette.length]!);
    this.#width = Math.max(this.#width, name.length);
  }

  line(name: string, text: string): void {
    this.out.write(`${this.#prefix(name)}${text}\n`);
  }

  /** A message about a source, in its colour. */
  note(name: string, text: string): void {
    const color = this.#colors.get(name);
    this.out.write(this.style.colored && color ? `\x1b[${color}m${text}\x1b[0m\n` : `${text}\n`);
  }

  #prefix(name: string): string {
    if (!this.style.prefix) return "";
    this.register(name);
    const text = `${name.padEnd(this.#width)}  | `;
    return this.style.colored ? `\x1b[${this.#colors.get(name)}m${text}\x1b[0m` : text;
  }
}

export interface LogQuery {
  follow: boolean;
  tail?: string;
  since?: string;
  until?: string;
  timestamps?: boolean;
}

/** Prints a container's log until it ends (with `follow`: until the container does). */
export async function printLogs(
  session: Session,
  container: { id: string; name: string; tty: boolean },
  query: LogQuery,
  onLine: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const response = await session.client.send("GET", `/containers/${container.id}/logs`, {
    query: {
      follow: query.follow,
      stdout: true,
      stderr: true,
      tail: query.tail,
      since: query.since,
      until: query.until,
      timestamps: query.timestamps,
    },
    signal,
  });
  if (response.status >= 300) {
    let text = "";
    for await (const chunk of response.body) text += Buffer.from(chunk).toString();
    session.warn(`no logs of ${container.name}: ${messageIn(text)}`);
    return;
  }
  await readLines(response.body, container.tty, onLine);
}

/** Splits output, framed unless it came from a terminal, into lines; the two streams keep their own line ends. */
export async function readLines(
  body: AsyncIterable<Uint8Array>,
  tty: boolean,
  onLine: (line: string) => void,
): Promise<void> {
  const splitters = [new LineSplitter(onLine), new LineSplitter(onLine), new LineSplitter(onLine)];
  const frames = new Demultiplexer((stream, data) => splitters[stream]?.push(data));
  for await (const chunk of body) {
    if (tty) splitters[1]!.push(chunk);
    else frames.push(chunk);
  }
  for (const splitter of splitters) splitter.end();
}

class LineSplitter {
  readonly #decoder = new TextDecoder();
  #pending = "";

  constructor(private readonly onLine: (line: string) => void) {}

  push(data: Uint8Array): void {
    const parts = (this.#pending + this.#decoder.decode(data, { stream: true })).split("\n");
    this.#pending = parts.pop()!;
    for (const part of parts) this.onLine(part.endsWith("\r") ? part.slice(0, -1) : part);
  }

  end(): void {
    if (this.#pending !== "") this.onLine(this.#pending);
    this.#pending = "";
  }
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
