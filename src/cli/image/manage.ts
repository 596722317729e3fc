/** Commands about images the engine has. */
import { InvalidParameter } from "../../lib/errors.ts";
import { parseReference } from "../../lib/reference.ts";
import { atLeast, defineCommand, exactly } from "../command.ts";
import { evenIfMissing, forEach } from "../each.ts";
import { type Row, renderIds, renderListing } from "../format/listing.ts";
import { ellipsis } from "../format/table.ts";
import { ago, humanSize } from "../format/units.ts";
import { inspectEach } from "../inspect.ts";
import { splitTag } from "./files.ts";
import { platformQuery, platformsQuery } from "./platforms.ts";

export const inspect = defineCommand({
  name: "image inspect",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  summary: "Display detailed information on one or more images",
  flags: {
    format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" },
    platform: { kind: "string", help: "Platform to choose of an image for several" },
  },
  arity: atLeast(1),
  examples: ["image inspect -f '{{json .Config.Env}}' app", "image inspect --platform linux/arm64 app"],
  run(context, { flags, args }) {
    const query = { platform: platformQuery(flags.platform) };
    return inspectEach(context, args, flags.format, async (name) => ({
      kind: "image",
      value: await context.client.call("GET", `/images/${name}/json`, { query }),
    }));
  },
});

export const rmi = defineCommand({
  name: "image rm",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  summary: "Remove one or more images",
  aliases: ["image rm", "image remove", "rmi"],
  flags: {
    force: {
      kind: "bool",
      short: "f",
      help: "Remove it even when it is in use by stopped containers or has several names",
    },
    "no-prune": { kind: "bool", help: "Keep untagged parents" },
    platform: { kind: "strings", help: "Remove only these platforms of an image for several" },
  },
  arity: atLeast(1),
  examples: ["rmi app:1.0", "rmi $(gantry images -qf dangling=true)"],
  run: (context, { flags, args }) =>
    forEach(context, args, async (name) => {
      const query = { force: flags.force ? 1 : undefined, noprune: flags["no-prune"] ? 1 : undefined };
      const path = `/images/${name}?${platformsQuery("platforms", flags.platform)}`;
      const removed = await evenIfMissing(context, flags.force, () =>
        context.client.call<{ Untagged?: string; Deleted?: string }[]>("DELETE", path, { query }),
      );
      return removed
        ?.map(({ Untagged, Deleted }) => (Deleted ? `Deleted: ${Deleted}` : `Untagged: ${Untagged}`))
        .join("\n");
    }),
});

export const tag = defineCommand({
  name: "image tag",
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
  aliases: ["image tag", "tag"],
  flags: {},
  arity: exactly(2),
  examples: ["tag app:1.0 reg.example:5000/team/app:1.0"],
  async run(context, { args: [source = "", target = ""] }) {
    if (parseReference(target).digest !== undefined) {
      throw new InvalidParameter("refusing to create a tag with a digest reference");
    }
    const [repo, tagName] = splitTag(target);
    await context.client.call("POST", `/images/${source}/tag`, { query: { repo, tag: tagName } });
    return 0;
  },
});

interface HistoryItem {
  Id: string;
  Created: number;
  CreatedBy: string;
  Size: number;
  Comment: string;
}

export const history = defineCommand({
  name: "image history",
  usage: "[OPTIONS] IMAGE",
  summary: "Show the history of an image",
  aliases: ["image history", "history"],
  flags: {
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    human: { kind: "bool", short: "H", help: "Sizes and times for people", default: "true" },
    "no-trunc": { kind: "bool", help: "Don't shorten anything" },
    platform: { kind: "string", help: "Platform to choose of an image for several" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
  },
  arity: exactly(1),
  examples: ["history --no-trunc app"],
  async run(context, { flags, args: [name = ""] }) {
    const items = await context.client.call<HistoryItem[]>("GET", `/images/${name}/history`, {
      query: { platform: platformQuery(flags.platform) },
    });
    const truncate = !flags["no-trunc"];
    const rows = items.map((item) => historyRow(item, truncate, flags.human, Date.now()));
    if (flags.quiet && !flags.format) {
      context.out(renderIds(rows.map(({ ID }) => String(ID))));
      return 0;
    }
    const columns = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
    context.out(await renderListing({ format: flags.format, columns, headers: historyHeaders, rows }));
    return 0;
  },
});

const historyHeaders = {
  ID: "IMAGE",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  CreatedBy: "CREATED BY",
  Size: "SIZE",
  Comment: "COMMENT",
};

function historyRow(item: HistoryItem, truncate: boolean, human: boolean, now: number): Row {
  const createdAt = new Date(item.Created * 1000).toISOString().replace(/\.\d+Z$/, "Z");
  const by = item.CreatedBy.replaceAll("\t", " ");
  return {
    ID: truncate ? item.Id.replace(/^sha256:/, "").slice(0, item.Id === "<missing>" ? 9 : 12) : item.Id,
    CreatedSince: human ? ago(item.Created, now) : createdAt,
    CreatedAt: createdAt,
    CreatedBy: truncate ? ellipsis(by, 45) : by,
    Size: human ? humanSize(item.Size, 3) : String(item.Size),
    Comment: item.Comment,
  };
}
