import { parseDuration } from "../../lib/duration.ts";
import { ComposeError } from "../model/errors.ts";
import { numberOf, shortName } from "../run/engine.ts";
import { LinePrinter, printLogs } from "../run/logs.ts";
import { defineCommand } from "./command.ts";
import { selectContainers } from "./selection.ts";

export const logs = defineCommand({
  name: "logs",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "View output from containers",
  flags: {
    follow: { type: "bool", short: "f", help: "Follow log output" },
    index: { type: "int", help: "index of the container if service has multiple replicas" },
    "no-color": { type: "bool", help: "Produce monochrome output" },
    "no-log-prefix": { type: "bool", help: "Don't print prefix in logs" },
    since: {
      type: "string",
      help: "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
    },
    until: {
      type: "string",
      help: "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)",
    },
    tail: {
      type: "string",
      short: "n",
      help: "Number of lines to show from the end of the logs for each container",
      default: "all",
    },
    timestamps: { type: "bool", short: "t", help: "Show timestamps" },
  },
  async run(session, flags, args) {
    if (flags.index !== undefined && args.length !== 1)
      throw ComposeError.at(undefined, "--index requires one service to be selected");
    const { containers } = await selectContainers(session, args, { all: true });
    const chosen = containers.filter(
      (container) => flags.index === undefined || numberOf(container) === flags.index,
    );
    const printer = new LinePrinter(session.out, {
      colored: !flags["no-color"] && session.colored(session.out),
      prefix: !flags["no-log-prefix"],
    });
    for (const container of chosen) printer.register(shortName(container));
    const stop = new AbortController();
    const release = session.onInterrupt(() => stop.abort());
    try {
      await Promise.all(
        chosen.map(async (container) => {
          const { Config } = await session.engine.inspect(container.Id);
          const name = shortName(container);
          const query = {
            follow: flags.follow,
            tail: flags.tail,
            since: flags.since && pointInTime(flags.since),
            until: flags.until && pointInTime(flags.until),
            timestamps: flags.timestamps,
          };
          await printLogs(
            session,
            { id: container.Id, name, tty: Config.Tty },
            query,
            (line) => printer.line(name, line),
            stop.signal,
          );
        }),
      );
    } catch (error) {
      if (!stop.signal.aborted) throw error;
      return 130;
    } finally {
      release();
    }
    return stop.signal.aborted ? 130 : 0;
  },
});

/** A timestamp, seconds since the epoch, or a duration before now, as `seconds.nanoseconds`. @throws ComposeError */
export function pointInTime(text: string, now = Date.now()): string {
  if (/^\d+(\.\d+)?$/.test(text)) return text;
  const before = parseDuration(text, { days: true });
  const at = before === undefined ? Date.parse(text) : now - before / 1e6;
  if (Number.isNaN(at))
    throw ComposeError.at(
      undefined,
      `invalid value for a point in time: ${JSON.stringify(text)}`,
      "write 42m or 2013-01-02T13:23:37Z",
    );
  return (at / 1000).toFixed(9);
}
