import { parseReference } from "../../lib/reference.ts";
import { registryAuthHeader } from "../auth/credentials.ts";
import { defineCommand, exactly } from "../command.ts";
import { parseFilters } from "../filters.ts";
import { renderListing } from "../format/listing.ts";
import { ellipsis } from "../format/table.ts";

interface Found {
  name: string;
  description: string;
  star_count: number;
  is_official: boolean;
  is_automated: boolean;
}

const headers = {
  Name: "NAME",
  Description: "DESCRIPTION",
  StarCount: "STARS",
  IsOfficial: "OFFICIAL",
  IsAutomated: "AUTOMATED",
};
const descriptionWidth = 45;

export const command = defineCommand({
  name: "search",
  usage: "[OPTIONS] TERM",
  summary: "Search Docker Hub, or a registry's catalog, for images",
  flags: {
    filter: { kind: "list", short: "f", value: "filter", help: "Show those that fit a condition (stars=3)" },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    limit: { kind: "int", help: "How many to show at most" },
    "no-trunc": { kind: "bool", help: "Don't shorten anything" },
  },
  arity: exactly(1),
  examples: ["search redis", "search localhost:5000/app"],
  async run(context, { flags, args: [term = ""] }) {
    const found = await context.client.call<Found[]>("GET", "/images/search", {
      query: { term, limit: flags.limit, filters: parseFilters(flags.filter) },
      headers: await registryAuthHeader(context, domainOf(term)),
    });
    const rows = found.map(({ name, description, star_count, is_official, is_automated }) => {
      const line = description.replaceAll(/[\r\n]+/g, " ");
      return {
        Name: name,
        Description: flags["no-trunc"] ? line : ellipsis(line, descriptionWidth),
        StarCount: String(star_count),
        IsOfficial: is_official ? "[OK]" : "",
        IsAutomated: is_automated ? "[OK]" : "",
      };
    });
    const columns = ["Name", "Description", "StarCount", "IsOfficial"];
    context.out(await renderListing({ format: flags.format, columns, headers, rows }));
    return 0;
  },
});

/** The registry that a term names; `host/` alone asks for all that it has. */
function domainOf(term: string): string {
  return parseReference(term.endsWith("/") ? `${term}x` : term).domain;
}
