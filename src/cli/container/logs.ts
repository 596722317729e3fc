import { errorOf } from "../../api/client/index.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import { Demultiplexer } from "../../lib/stdcopy.ts";
import { defineCommand, exactly } from "../command.ts";
import { timestamp } from "../format/timestamp.ts";
import { stderrFd, stdoutFd, writeAll } from "../terminal.ts";

export const command = defineCommand({
  name: "container logs",
  usage: "[OPTIONS] CONTAINER",
  summary: "Fetch the logs of a container",
  aliases: ["container logs", "logs"],
  flags: {
    details: { kind: "bool", help: "Show the extra details of log options" },
    follow: { kind: "bool", short: "f", help: "Go on with what comes" },
    since: { kind: "string", help: "Show logs since a time (2013-01-02T13:23:37Z) or a span (42m)" },
    tail: { kind: "string", short: "n", help: "Number of lines from the end", default: "all" },
    timestamps: { kind: "bool", short: "t", help: "Show times" },
    until: { kind: "string", help: "Show logs before a time or a span" },
  },
  arity: exactly(1),
  examples: ["logs -f --tail 100 web", "logs --since 10m web"],
  async run(context, { flags, args: [name = ""] }) {
    const now = Date.now();
    const path = `/containers/${encodeURIComponent(name)}/logs`;
    const response = await context.client.send("GET", path, {
      query: {
        stdout: 1,
        stderr: 1,
        follow: flags.follow ? 1 : undefined,
        details: flags.details ? 1 : undefined,
        timestamps: flags.timestamps ? 1 : undefined,
        tail: flags.tail,
        since: timeOf("since", flags.since, now),
        until: timeOf("until", flags.until, now),
      },
    });
    if (response.status >= 300) throw await errorOf(response);
    const raw = response.headers["content-type"] === "application/vnd.docker.raw-stream" && (await isTty());
    const demultiplexer = new Demultiplexer((kind, data) => writeAll(kind === 2 ? stderrFd : stdoutFd, data));
    for await (const bytes of response.body) {
      if (raw) writeAll(stdoutFd, bytes);
      else demultiplexer.push(bytes);
    }
    return 0;

    /** Engines before API 1.42 call both kinds of stream raw. */
    async function isTty(): Promise<boolean> {
      const details = await context.client.call<{ Config: { Tty: boolean } }>(
        "GET",
        path.replace(/logs$/, "json"),
      );
      return details.Config.Tty;
    }
  },
});

/** @throws InvalidParameter naming the flag */
function timeOf(flag: string, value: string | undefined, now: number): string | undefined {
  try {
    return value && timestamp(value, now);
  } catch (error) {
    throw new InvalidParameter(`invalid value for "${flag}": ${messageOf(error)}`, { cause: error });
  }
}
