import { errorOf } from "../../api/client/index.ts";
import { defineCommand, none } from "../command.ts";
import { parseFilters } from "../filters.ts";
import { compileFormat } from "../format/template.ts";
import { timestamp } from "../format/timestamp.ts";
import type { GoJson } from "../template/go-types.ts";

interface EventMessage {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes?: Record<string, string> | null };
  time?: number;
  timeNano?: number;
}

export const command = defineCommand({
  name: "system events",
  usage: "[OPTIONS]",
  summary: "Get real time events from the engine",
  aliases: ["system events", "events"],
  flags: {
    filter: {
      kind: "list",
      short: "f",
      value: "filter",
      help: "Show those that fit a condition (event=die)",
    },
    format: { kind: "string", help: "Format with a Go template, or `json`" },
    since: { kind: "string", help: "Show events since a time (2024-01-02T13:23:37Z) or a span (42m)" },
    until: { kind: "string", help: "Show events until a time, then end" },
  },
  arity: none,
  examples: ["events --filter type=container --since 10m", "events --format '{{.Action}} {{.Actor.ID}}'"],
  async run(context, { flags }) {
    const now = Date.now();
    const asJson = /^(json|\{\{\s*json\s+\.\s*\}\})$/.test(flags.format ?? "");
    const template = flags.format && !asJson ? compileFormat(flags.format) : undefined;
    const { systemShapes } = template ? await import("./go-shapes.ts") : {};
    const response = await context.client.send("GET", "/events", {
      query: {
        since: flags.since === undefined ? undefined : timestamp(flags.since, now),
        until: flags.until === undefined ? undefined : timestamp(flags.until, now),
        filters: parseFilters(flags.filter),
      },
    });
    if (response.status >= 300) throw await errorOf(response);
    for await (const line of lines(response.body)) {
      if (asJson) context.line(sortedAttributes(line));
      else if (template) context.line(template(systemShapes!["events.Message"](fieldsOf(line)), "no value"));
      else context.line(eventLine(line));
    }
    return 0;
  },
});

async function* lines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const bytes of body) {
    const parts = (pending + decoder.decode(bytes, { stream: true })).split("\n");
    pending = parts.pop()!;
    yield* parts.filter((line) => line.trim() !== "");
  }
  if (pending.trim() !== "") yield pending;
}

/** The message as it came, with its attributes in the order in which Go writes a map. */
function sortedAttributes(line: string): string {
  return line.replace(/(?<="Attributes":)\{(?:"(?:[^"\\]|\\.)*"|[^"{}])*\}/, (attributes) => {
    const fields = Object.entries(JSON.parse(attributes) as Record<string, string>);
    return JSON.stringify(Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1))));
  });
}

/** Nanoseconds since 1970, which are more than a JSON number of ours can hold. */
function nanoseconds(line: string, { time, timeNano }: EventMessage): bigint {
  const digits = /"timeNano":\s*(\d+)/.exec(line)?.[1];
  if (digits !== undefined && timeNano !== 0) return BigInt(digits);
  return BigInt(time ?? 0) * 1_000_000_000n;
}

/** The message with its nanoseconds in digits. */
function fieldsOf(line: string): GoJson {
  const message = JSON.parse(line) as EventMessage;
  return {
    ...(message as unknown as { [name: string]: GoJson }),
    timeNano: String(nanoseconds(line, message)),
  };
}

/** `2024-01-02T13:23:37.123456789+01:00 container start 3f4e… (image=busybox, name=web)`. */
export function eventLine(line: string): string {
  const message = JSON.parse(line) as EventMessage;
  const attributes = Object.entries(message.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
  const shown = attributes === "" ? "" : ` (${attributes})`;
  return `${localTime(nanoseconds(line, message))} ${message.Type} ${message.Action} ${message.Actor.ID}${shown}`;
}

/** RFC 3339 with nine digits, in the local zone. */
function localTime(nanos: bigint): string {
  const seconds = nanos / 1_000_000_000n;
  const date = new Date(Number(seconds) * 1000);
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, 19);
  const two = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, "0");
  const zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${two(offset / 60)}:${two(offset % 60)}`;
  return `${local}.${String(nanos % 1_000_000_000n).padStart(9, "0")}${zone}`;
}
