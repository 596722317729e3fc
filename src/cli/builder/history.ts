/** `buildx history`: builds of the past, as the engine keeps them. */
import type { SolveStatus } from "../../api/types.ts";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { checkProgress, openDisplay } from "../build/progress/index.ts";
import { atLeast, between, defineCommand, none } from "../command.ts";
import type { CliContext } from "../context.ts";
import { forEach } from "../each.ts";
import { parseFilters } from "../filters.ts";
import { renderListing } from "../format/listing.ts";
import { ago } from "../format/units.ts";
import { builderFlag, contextOfBuilder } from "./builders.ts";

interface BuildRecord {
  ID: string;
  Name: string;
  Dockerfile: string;
  Target: string;
  Status: string;
  CreatedAt: string;
  CompletedAt: string | null;
  TotalSteps: number;
  CompletedSteps: number;
  CachedSteps: number;
  Error: string;
}

const listOf = (context: CliContext) => context.client.call<BuildRecord[]>("GET", "/build/history");

/** A build by its id, or `^2` for the one before the one before the last. @throws NotFound */
async function find(context: CliContext, text = "^0"): Promise<BuildRecord> {
  const [, back] = /^\^(\d*)$/.exec(text) ?? [];
  if (back === undefined) return context.client.call("GET", `/build/history/${encodeURIComponent(text)}`);
  const found = (await listOf(context))[Number(back || 1)];
  if (!found) throw new NotFound(`no such build: ${text}`);
  return found;
}

function durationOf({ CreatedAt, CompletedAt }: BuildRecord, now: number): string {
  const seconds = ((CompletedAt ? Date.parse(CompletedAt) : now) - Date.parse(CreatedAt)) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)}s`;
  return `${Math.floor(seconds / 60)}m ${Math.floor(seconds % 60)}s`;
}

const statusOf = (record: BuildRecord) => record.Status.charAt(0).toUpperCase() + record.Status.slice(1);

export const ls = defineCommand({
  name: "buildx history ls",
  usage: "[OPTIONS]",
  summary: "List builds",
  flags: {
    ...builderFlag,
    filter: { kind: "list", value: "filter", help: "Only what fits a condition (status=error, name=app)" },
    format: {
      kind: "string",
      help: "Format with a Go template, `table TEMPLATE` or `json`",
      default: "table",
    },
    local: { kind: "bool", help: "Accepted for buildx's sake", hidden: true },
    "no-trunc": { kind: "bool", help: "Don't truncate names" },
  },
  arity: none,
  examples: ["buildx history ls --filter status=error"],
  async run(current, { flags }) {
    const context = await contextOfBuilder(current, flags.builder);
    const filters = parseFilters(flags.filter) ?? {};
    const fits: Record<string, (record: BuildRecord, value: string) => boolean> = {
      status: ({ Status }, value) => Status === value.toLowerCase(),
      name: ({ Name }, value) => Name.includes(value),
      ref: ({ ID }, value) => ID.startsWith(value),
    };
    for (const name of Object.keys(filters))
      if (!Object.hasOwn(fits, name))
        throw new InvalidParameter(`invalid filter ${name}: there are status, name and ref`);
    const now = Date.now();
    const rows = (await listOf(context))
      .filter((record) =>
        Object.entries(filters).every(([name, values]) => values.some((value) => fits[name]!(record, value))),
      )
      .map((record) => ({
        Ref: record.ID,
        Name: flags["no-trunc"] || record.Name.length <= 40 ? record.Name : `${record.Name.slice(0, 39)}…`,
        Status: statusOf(record),
        CreatedAt: ago(record.CreatedAt, now),
        Duration: durationOf(record, now),
        TotalSteps: record.TotalSteps,
        CompletedSteps: record.CompletedSteps,
        CachedSteps: record.CachedSteps,
      }));
    const headers = {
      Ref: "BUILD ID",
      Name: "NAME",
      Status: "STATUS",
      CreatedAt: "CREATED AT",
      Duration: "DURATION",
      TotalSteps: "STEPS",
      CompletedSteps: "COMPLETED",
      CachedSteps: "CACHED",
    };
    const columns = ["Ref", "Name", "Status", "CreatedAt", "Duration"];
    context.out(await renderListing({ format: flags.format, columns, headers, rows }));
    return 0;
  },
});

export const inspect = defineCommand({
  name: "buildx history inspect",
  usage: "[OPTIONS] [BUILD]",
  summary: "Show a build: the last one when none is named",
  flags: {
    ...builderFlag,
    format: { kind: "string", help: "Output: pretty, json or a Go template", default: "pretty" },
  },
  arity: between(0, 1),
  examples: ["buildx history inspect", "buildx history inspect ^1 --format json"],
  async run(current, { flags, args: [build] }) {
    const context = await contextOfBuilder(current, flags.builder);
    const record = await find(context, build);
    if (flags.format === "json") context.line(JSON.stringify(record, undefined, 2));
    else if (flags.format === "pretty") context.out(pretty(record));
    else {
      const { compileTemplate } = await import("../template/index.ts");
      context.line(compileTemplate(flags.format)({ ...record }));
    }
    return 0;
  },
});

function pretty(record: BuildRecord): string {
  const now = Date.now();
  const fields = {
    Name: record.Name,
    Dockerfile: record.Dockerfile,
    Target: record.Target,
    Started: record.CreatedAt,
    Duration: durationOf(record, now),
    "Build Steps": `${record.CompletedSteps}/${record.TotalSteps} (${record.CachedSteps} cached)`,
    Status: statusOf(record),
    Error: record.Error,
  };
  const lines = Object.entries(fields).filter(([, value]) => value !== "");
  return `${lines.map(([name, value]) => `${`${name}:`.padEnd(13)}${value}\n`).join("")}\nPrint build logs: buildx history logs ${record.ID}\n`;
}

export const logs = defineCommand({
  name: "buildx history logs",
  usage: "[OPTIONS] [BUILD]",
  summary: "Show what a build's steps have said",
  flags: {
    ...builderFlag,
    progress: { kind: "string", help: "Output: plain, rawjson or tty", default: "plain" },
  },
  arity: between(0, 1),
  examples: ["buildx history logs ^0"],
  async run(current, { flags, args: [build] }) {
    const context = await contextOfBuilder(current, flags.builder);
    const kind = checkProgress(flags.progress);
    const { ID } = await find(context, build);
    const display = await openDisplay(kind, context.env);
    for await (const { progress } of context.client.messages<{ progress: SolveStatus }>(
      "GET",
      `/build/history/${ID}/logs`,
    ))
      display.show(progress);
    display.end(true);
    return 0;
  },
});

export const rm = defineCommand({
  name: "buildx history rm",
  usage: "[OPTIONS] [BUILD...]",
  summary: "Forget builds",
  flags: { ...builderFlag, all: { kind: "bool", help: "Forget all that have ended" } },
  arity: atLeast(0),
  examples: ["buildx history rm --all"],
  async run(current, { flags, args }) {
    const context = await contextOfBuilder(current, flags.builder);
    if (args.length === 0 && !flags.all) throw new InvalidParameter("a build or --all is wanted");
    const ended = flags.all ? (await listOf(context)).filter(({ Status }) => Status !== "running") : [];
    return forEach(context, [...args, ...ended.map(({ ID }) => ID)], async (build) => {
      const { ID } = await find(context, build);
      await context.client.call("DELETE", `/build/history/${ID}`);
      return ID;
    });
  },
});
