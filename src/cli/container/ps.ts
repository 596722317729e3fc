import type { ContainerSummary } from "../api.ts";
import { defineCommand, none } from "../command.ts";
import { parseFilters } from "../filters.ts";
import { type Row, renderIds, renderListing } from "../format/listing.ts";
import { ellipsis } from "../format/table.ts";
import { ago, goTime, humanSize } from "../format/units.ts";
import { showPorts } from "./ports.ts";

export const command = defineCommand({
  name: "container ls",
  usage: "[OPTIONS]",
  summary: "List containers",
  aliases: ["container ls", "container list", "container ps", "ps"],
  flags: {
    all: { kind: "bool", short: "a", help: "Show all containers, not just running ones" },
    filter: {
      kind: "list",
      short: "f",
      value: "filter",
      help: "Show those that fit a condition (status=exited)",
    },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    last: { kind: "int", short: "n", help: "Show the last n created ones, in any state", default: "-1" },
    latest: { kind: "bool", short: "l", help: "Show the latest created one, in any state" },
    "no-trunc": { kind: "bool", help: "Don't shorten anything" },
    quiet: { kind: "bool", short: "q", help: "Only show IDs" },
    size: { kind: "bool", short: "s", help: "Show sizes" },
  },
  arity: none,
  examples: ["ps -a --filter status=exited", "ps --format 'table {{.Names}}\\t{{.Status}}'"],
  async run(context, { flags }) {
    const format = flags.format ?? (flags.quiet ? undefined : context.config.psFormat);
    // What shows a whole row shows its size.
    const size = flags.size || /\.Size|json\s+\.\s*\}\}/.test(format ?? "");
    const containers = await context.client.call<ContainerSummary[]>("GET", "/containers/json", {
      query: {
        all: flags.all ? 1 : undefined,
        limit: flags.latest ? 1 : flags.last > 0 ? flags.last : undefined,
        size: size ? 1 : undefined,
        filters: parseFilters(flags.filter),
      },
    });
    const truncate = !flags["no-trunc"];
    const isRaw = flags.format === "raw";
    if (flags.quiet && flags.format)
      context.err("WARNING: Ignoring custom format, because both --format and --quiet are set.\n");
    if (flags.quiet && !isRaw) {
      context.list(renderIds(containers.map(({ Id }) => (truncate ? Id.slice(0, 12) : Id))));
      return 0;
    }
    const now = Date.now();
    const columns = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
    if (size) columns.push("Size");
    const rows: Row[] = [];
    for (const container of containers) rows.push(containerRow(container, truncate, now));
    const raw = flags.quiet ? "container_id: {{.ID}}" : rawContainer(flags.size);
    context.list(await renderListing({ format, columns, headers: containerHeaders, rows, raw }));
    return 0;
  },
});

const rawContainer = (size: boolean) => `container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
${size ? "size: {{.Size}}\n" : ""}`;

/** Titles of the columns of `ps`. */
export const containerHeaders = {
  ID: "CONTAINER ID",
  Names: "NAMES",
  Image: "IMAGE",
  Command: "COMMAND",
  CreatedAt: "CREATED AT",
  RunningFor: "CREATED",
  Ports: "PORTS",
  State: "STATE",
  Status: "STATUS",
  Size: "SIZE",
  Labels: "LABELS",
  Mounts: "MOUNTS",
  LocalVolumes: "LOCAL VOLUMES",
  Networks: "NETWORKS",
  Platform: "PLATFORM",
};

/**
 * A row of `ps`; a field is made when it's shown, which most aren't. What the usual table shows is made by loops, and
 * without regular expressions: the first callback or expression of a program costs as much as all rows (0.1 ms).
 */
export function containerRow(container: ContainerSummary, truncate: boolean, now: number): Row {
  const labels = container.Labels ?? {};
  const mounts = container.Mounts ?? [];
  return {
    ID: truncate ? container.Id.slice(0, 12) : container.Id,
    get Names() {
      let shown = "";
      for (const path of container.Names ?? []) {
        const name = path.startsWith("/") ? path.slice(1) : path;
        // A name with another slash is a link's alias.
        if (!truncate || !name.includes("/")) shown += `,${name}`;
      }
      return shown.slice(1);
    },
    get Image() {
      return imageName(container, truncate);
    },
    get Command() {
      return JSON.stringify(truncate ? ellipsis(container.Command, 20) : container.Command);
    },
    get CreatedAt() {
      return goTime(container.Created);
    },
    get RunningFor() {
      return ago(container.Created, now);
    },
    get Ports() {
      return showPorts(container.Ports ?? []);
    },
    State: container.State,
    Status: container.Status,
    get Size() {
      const virtual = container.SizeRootFs ? ` (virtual ${humanSize(container.SizeRootFs, 3)})` : "";
      return humanSize(container.SizeRw ?? 0, 3) + virtual;
    },
    get Labels() {
      return Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(",");
    },
    get Mounts() {
      return mounts.map((mount) => mountName(mount, truncate)).join(",");
    },
    get LocalVolumes() {
      return String(mounts.filter(({ Driver }) => Driver === "local").length);
    },
    get Networks() {
      return Object.keys(container.NetworkSettings?.Networks ?? {}).join(",");
    },
    get Platform() {
      const platform = container.ImageManifestDescriptor?.platform;
      if (!platform) return null;
      const { architecture, os, variant } = platform;
      // In the order of Go's fields.
      return {
        ...{ architecture, os, variant },
        String: () => [os, architecture, variant].filter(Boolean).join("/"),
      };
    },
    Label: (name) => labels[String(name)] ?? "",
  };
}

function imageName({ Image, ImageID }: ContainerSummary, truncate: boolean): string {
  if (Image === "") return "<no image>";
  if (!truncate) return Image;
  const hex = ImageID.startsWith("sha256:") ? ImageID.slice("sha256:".length) : ImageID;
  // A container whose image has lost its name shows a short id, and a digest behind a name is left out.
  if (Image === ImageID || Image === hex) return hex.slice(0, 12);
  return Image.includes("@") ? Image.replace(/@sha256:[0-9a-f]{64}$/, "") : Image;
}

function mountName({ Name, Source }: { Name?: string; Source?: string }, truncate: boolean): string {
  const name = Name || Source || "";
  return truncate ? ellipsis(name, 15) : name;
}
