import { NotFound } from "../../lib/errors.ts";
import type { ContainerDetails, ContainerSummary } from "../api.ts";
import { atLeast, defineCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { renderListing } from "../format/listing.ts";
import { isTerminal, stdoutFd } from "../terminal.ts";
import { type StatsMessage, type StatsSubject, statsRow } from "./usage.ts";

export const command = defineCommand({
  name: "container stats",
  usage: "[OPTIONS] [CONTAINER...]",
  summary: "Display a live stream of container(s) resource usage statistics",
  aliases: ["container stats", "stats"],
  flags: {
    all: { kind: "bool", short: "a", help: "Show all containers, not just running ones" },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    "no-stream": { kind: "bool", help: "Print once" },
    "no-trunc": { kind: "bool", help: "Don't shorten anything" },
  },
  arity: atLeast(0),
  examples: ["stats", "stats --no-stream --format '{{.Name}} {{.CPUPerc}}' web db"],
  async run(context, { flags, args }) {
    const board = new Board(context, !flags["no-stream"]);
    const follow = args.length === 0 && !flags["no-stream"];
    const watching = follow ? watchContainers(context, board, flags.all) : undefined;
    // It is awaited in the loop below; one that fails before is not unhandled.
    watching?.catch(() => {});
    for (const subject of await subjects(context, args, flags.all)) board.add(subject);
    const format = flags.format ?? context.config.statsFormat;
    const draw = () => renderListing({ format, columns, headers, rows: board.rows(!flags["no-trunc"]) });
    if (flags["no-stream"]) {
      await board.settled();
      context.out(await draw());
      return 0;
    }
    const over = watching?.then(() => "over" as const);
    for (;;) {
      context.out(frame(await draw()));
      // What was asked for by name has gone away: there is nothing to follow.
      if (!follow && board.ended) return 0;
      const next = await Promise.race([Bun.sleep(redrawInterval), board.failed, ...(over ? [over] : [])]);
      if (next === "over") return 0;
    }
  },
});

const redrawInterval = 500;

const columns = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
const headers = {
  Container: "CONTAINER",
  ID: "CONTAINER ID",
  Name: "NAME",
  CPUPerc: "CPU %",
  MemUsage: "MEM USAGE / LIMIT",
  MemPerc: "MEM %",
  NetIO: "NET I/O",
  BlockIO: "BLOCK I/O",
  PIDs: "PIDS",
};

/** Over what was there before, when it goes to a terminal. */
function frame(text: string): string {
  if (!isTerminal(stdoutFd)) return text;
  return `\x1b[H${text.replaceAll("\n", "\x1b[K\n")}\x1b[J`;
}

async function subjects(context: CliContext, names: string[], all: boolean): Promise<StatsSubject[]> {
  if (names.length > 0)
    return Promise.all(
      names.map(async (container) => {
        const path = `/containers/${encodeURIComponent(container)}/json`;
        const { Id, Name } = await context.client.call<ContainerDetails>("GET", path);
        return { container, id: Id, name: Name.replace(/^\//, "") };
      }),
    );
  const list = await context.client.call<ContainerSummary[]>("GET", "/containers/json", {
    query: { all: all ? 1 : undefined },
  });
  return list.map(({ Id, Names }) => ({
    container: Id.slice(0, 12),
    id: Id,
    name: (Names?.[0] ?? "").replace(/^\//, ""),
  }));
}

/** Keeps the board to the containers that run. Settles only when the events end: @throws what went wrong */
async function watchContainers(context: CliContext, board: Board, all: boolean): Promise<void> {
  const actions = all ? ["create", "destroy"] : ["start", "die"];
  const events = context.client.messages<{
    Action: string;
    Actor: { ID: string; Attributes?: { name?: string } };
  }>("GET", "/events", { query: { filters: { type: ["container"], event: actions } } });
  for await (const { Action, Actor } of events) {
    if (Action === actions[0])
      board.add({ container: Actor.ID.slice(0, 12), id: Actor.ID, name: Actor.Attributes?.name ?? "" });
    else if (Action === actions[1]) board.remove(Actor.ID);
  }
}

interface Line {
  subject: StatsSubject;
  sample?: StatsMessage;
  stop: AbortController;
  /** The first sample is here, or there will be none. */
  settled: Promise<void>;
  ended: boolean;
}

/** The containers on show, each with its stream of samples. */
class Board {
  readonly #lines = new Map<string, Line>();
  readonly #failure = Promise.withResolvers<never>();
  /** Rejects when samples can't be had for another reason than that a container is gone. */
  readonly failed = this.#failure.promise;

  constructor(
    private readonly context: CliContext,
    private readonly stream: boolean,
  ) {
    this.failed.catch(() => {});
  }

  add(subject: StatsSubject): void {
    if (this.#lines.has(subject.id)) return;
    const { promise: settled, resolve } = Promise.withResolvers<void>();
    const line: Line = { subject, stop: new AbortController(), settled, ended: false };
    this.#lines.set(subject.id, line);
    void this.#read(line, resolve);
  }

  remove(id: string): void {
    this.#lines.get(id)?.stop.abort();
    this.#lines.delete(id);
  }

  get ended(): boolean {
    return [...this.#lines.values()].every(({ ended }) => ended);
  }

  async settled(): Promise<void> {
    const all = Promise.all([...this.#lines.values()].map(({ settled }) => settled));
    await Promise.race([all, this.failed]);
  }

  rows(truncate: boolean) {
    return [...this.#lines.values()].map(({ subject, sample }) => statsRow(subject, sample, truncate));
  }

  async #read(line: Line, onSettled: () => void): Promise<void> {
    const path = `/containers/${line.subject.id}/stats`;
    const { signal } = line.stop;
    const query = { stream: this.stream ? 1 : 0 };
    try {
      for await (const sample of this.context.client.messages<StatsMessage>("GET", path, { query, signal })) {
        line.sample = sample;
        onSettled();
      }
    } catch (error) {
      // One that stopped or went away shows dashes.
      if (!signal.aborted && !(error instanceof NotFound)) this.#failure.reject(error);
    } finally {
      line.ended = true;
      if (this.stream) line.sample = undefined;
      onSettled();
    }
  }
}
