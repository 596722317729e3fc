import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand, exactly, none } from "../command.ts";
import { forEach } from "../each.ts";
import { keyValues } from "../filters.ts";
import { renderIds, renderListing } from "../format/listing.ts";
import { ago, humanDuration } from "../format/units.ts";

/** The answer of `GET /tokens`. */
interface TokenSummary {
  Name: string;
  ReadOnly: boolean;
  Labels: Record<string, string>;
  CreatedAt: string;
  /** Empty: never. */
  ExpiresAt: string;
}

export const create = defineCommand({
  name: "token create",
  usage: "[OPTIONS] NAME",
  summary: "Create a token of the API, and print its secret, which is shown this once",
  flags: {
    expires: { kind: "duration", help: "Valid for so long (720h); without it for ever" },
    label: { kind: "list", short: "l", help: "See and touch only what has this label (key=value)" },
    "read-only": { kind: "bool", help: "Only look: no changes, and no contents of files and images" },
  },
  arity: exactly(1),
  examples: ["token create --read-only --expires 720h dashboard", "token create --label team=blue ci"],
  async run(context, { flags, args: [name = ""] }) {
    if (flags.expires !== undefined && flags.expires <= 0)
      throw new InvalidParameter("--expires must be positive");
    const { Secret } = await context.client.call<{ Secret: string }>("POST", "/tokens/create", {
      body: {
        Name: name,
        ReadOnly: flags["read-only"],
        Labels: keyValues(flags.label),
        ExpiresAt:
          flags.expires === undefined ? "" : new Date(Date.now() + flags.expires / 1e6).toISOString(),
      },
    });
    context.line(Secret);
    context.err(`Clients send it when GANTRY_TOKEN is set to it. It can't be shown again.\n`);
    return 0;
  },
});

export const ls = defineCommand({
  name: "token ls",
  usage: "[OPTIONS]",
  summary: "List tokens",
  aliases: ["token ls", "token list"],
  flags: {
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    quiet: { kind: "bool", short: "q", help: "Only show names" },
  },
  arity: none,
  examples: ["token ls"],
  async run(context, { flags }) {
    const tokens = await context.client.call<TokenSummary[]>("GET", "/tokens");
    if (flags.quiet && !flags.format) {
      context.out(renderIds(tokens.map(({ Name }) => Name)));
      return 0;
    }
    const now = Date.now();
    const rows = tokens.map(({ Name, ReadOnly, Labels, CreatedAt, ExpiresAt }) => ({
      Name,
      Rights: ReadOnly ? "read-only" : "all",
      Labels: Object.entries(Labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      CreatedAt,
      Created: ago(Date.parse(CreatedAt) / 1000, now),
      ExpiresAt,
      Expires: expiry(ExpiresAt, now),
    }));
    const columns = ["Name", "Rights", "Labels", "Created", "Expires"];
    context.out(await renderListing({ format: flags.format, columns, headers, rows }));
    return 0;
  },
});

const headers = {
  Name: "NAME",
  Rights: "RIGHTS",
  Labels: "LABELS",
  CreatedAt: "CREATED AT",
  Created: "CREATED",
  ExpiresAt: "EXPIRES AT",
  Expires: "EXPIRES",
};

function expiry(time: string, now: number): string {
  if (time === "") return "never";
  const left = Date.parse(time) - now;
  return left <= 0 ? "expired" : `in ${humanDuration(left).toLowerCase()}`;
}

export const rm = defineCommand({
  name: "token rm",
  usage: "TOKEN [TOKEN...]",
  summary: "Remove one or more tokens, which then open nothing",
  aliases: ["token rm", "token remove"],
  flags: {},
  arity: atLeast(1),
  examples: ["token rm dashboard"],
  run: (context, { args }) =>
    forEach(context, args, async (name) => {
      await context.client.call("DELETE", `/tokens/${encodeURIComponent(name)}`);
      return name;
    }),
});
