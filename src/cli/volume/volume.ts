import { InvalidParameter } from "../../lib/errors.ts";
import type { VolumeSummary } from "../api.ts";
import { atLeast, between, defineCommand, exactly, none } from "../command.ts";
import { forEach } from "../each.ts";
import { keyValues, parseFilters } from "../filters.ts";
import { type Row, renderIds, renderListing } from "../format/listing.ts";
import { humanSize } from "../format/units.ts";
import { finders, inspectEach } from "../inspect.ts";

export const ls = defineCommand({
  name: "volume ls",
  usage: "[OPTIONS]",
  summary: "List volumes",
  aliases: ["volume ls", "volume list"],
  flags: {
    filter: {
      kind: "list",
      short: "f",
      value: "filter",
      help: "Show those that fit a condition (dangling=true)",
    },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    quiet: { kind: "bool", short: "q", help: "Only show names" },
  },
  arity: none,
  examples: ["volume ls -qf dangling=true"],
  async run(context, { flags }) {
    const { Volumes } = await context.client.call<{ Volumes: VolumeSummary[] | null }>("GET", "/volumes", {
      query: { filters: parseFilters(flags.filter) },
    });
    const volumes = (Volumes ?? []).sort((a, b) => (a.Name < b.Name ? -1 : 1));
    if (flags.quiet && !flags.format) {
      context.out(renderIds(volumes.map(({ Name }) => Name)));
      return 0;
    }
    const rows = volumes.map(listedVolume);
    const format = flags.format ?? context.config.volumesFormat;
    const raw = flags.quiet ? "name: {{.Name}}" : "name: {{.Name}}\ndriver: {{.Driver}}\n";
    context.out(await renderListing({ format, columns: ["Driver", "Name"], headers, rows, raw }));
    return 0;
  },
});

/** A row of `volume ls`. */
export const listedVolume = ({ Name, Driver, Scope, Mountpoint, Labels, UsageData }: VolumeSummary): Row => ({
  Name,
  Driver,
  Scope,
  Mountpoint,
  Availability: "N/A",
  Group: "N/A",
  Status: "N/A",
  Labels: Object.entries(Labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(","),
  Links: UsageData ? String(UsageData.RefCount) : "N/A",
  Size: UsageData ? humanSize(UsageData.Size) : "N/A",
  Label: (name) => Labels?.[String(name)] ?? "",
});

const headers = {
  Name: "VOLUME NAME",
  Driver: "DRIVER",
  Scope: "SCOPE",
  Mountpoint: "MOUNTPOINT",
  Availability: "AVAILABILITY",
  Group: "GROUP",
  Status: "STATUS",
  Labels: "LABELS",
  Links: "LINKS",
  Size: "SIZE",
};

export const create = defineCommand({
  name: "volume create",
  usage: "[OPTIONS] [VOLUME]",
  summary: "Create a volume",
  flags: {
    driver: { kind: "string", short: "d", help: "Volume driver", default: "local" },
    label: { kind: "list", help: "Set a label on the volume" },
    name: { kind: "string", help: "Name of the volume", hidden: true },
    opt: { kind: "list", short: "o", value: "map", help: "Options of the driver" },
  },
  arity: between(0, 1),
  examples: ["volume create data", "volume create -o type=tmpfs -o device=tmpfs scratch"],
  async run(context, { flags, args: [name] }) {
    if (name !== undefined && flags.name !== undefined) {
      throw new InvalidParameter(
        "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
      );
    }
    const volume = await context.client.call<VolumeSummary>("POST", "/volumes/create", {
      body: {
        Name: name ?? flags.name,
        Driver: flags.driver,
        DriverOpts: keyValues(flags.opt),
        Labels: keyValues(flags.label),
      },
    });
    context.line(volume.Name);
    return 0;
  },
});

export const rm = defineCommand({
  name: "volume rm",
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  summary: "Remove one or more volumes",
  aliases: ["volume rm", "volume remove"],
  flags: { force: { kind: "bool", short: "f", help: "No failure for a volume that isn't there" } },
  arity: atLeast(1),
  examples: ["volume rm data"],
  run: (context, { flags, args }) =>
    forEach(context, args, async (name) => {
      const query = { force: flags.force ? 1 : undefined };
      await context.client.call("DELETE", `/volumes/${encodeURIComponent(name)}`, { query });
      return name;
    }),
});

export const inspect = defineCommand({
  name: "volume inspect",
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  summary: "Display detailed information on one or more volumes",
  flags: { format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" } },
  arity: atLeast(1),
  examples: ["volume inspect -f '{{.Mountpoint}}' data"],
  run: (context, { flags, args }) =>
    inspectEach(context, args, flags.format, (name) => finders.volume(context, name, false)),
});

export const update = defineCommand({
  name: "volume update",
  usage: "[OPTIONS] VOLUME",
  summary: "Update a volume (cluster volumes only)",
  flags: {
    availability: {
      kind: "string",
      help: "Availability of a cluster volume: active, pause or drain",
      default: "active",
    },
  },
  arity: exactly(1),
  examples: ["volume update --availability drain data"],
  async run(context, { args: [name = ""] }) {
    // As with Docker: outside a swarm no volume is a cluster's, and nothing of the others can change.
    await finders.volume(context, name, false);
    throw new InvalidParameter("can only update cluster volumes");
  },
});
