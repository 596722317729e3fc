/** Commands that remove what nobody uses. */
import { builderFlag, contextOfBuilder } from "./builder/builders.ts";
import { defineCommand, type Flags, none } from "./command.ts";
import { confirm } from "./confirm.ts";
import type { CliContext } from "./context.ts";
import { parseFilters } from "./filters.ts";
import { humanSize } from "./format/units.ts";

const pruneFlags = {
  filter: { kind: "list", value: "filter", help: "Only what fits a condition (until=24h)" },
  force: { kind: "bool", short: "f", help: "Don't ask" },
} as const satisfies Flags;

type Filters = Record<string, string[]> | undefined;

interface Pruned {
  /** Under a title such as `Deleted Containers:`. */
  lines: string[];
  bytes: number;
}

async function pruneContainers({ client }: CliContext, filters: Filters): Promise<Pruned> {
  const answer = await client.call<{ ContainersDeleted: string[] | null; SpaceReclaimed: number }>(
    "POST",
    "/containers/prune",
    {
      query: { filters },
    },
  );
  return { lines: answer.ContainersDeleted ?? [], bytes: answer.SpaceReclaimed };
}

async function pruneNetworks({ client }: CliContext, filters: Filters): Promise<Pruned> {
  const answer = await client.call<{ NetworksDeleted: string[] | null }>("POST", "/networks/prune", {
    query: { filters },
  });
  return { lines: answer.NetworksDeleted ?? [], bytes: 0 };
}

async function pruneVolumes({ client }: CliContext, filters: Filters): Promise<Pruned> {
  const answer = await client.call<{ VolumesDeleted: string[] | null; SpaceReclaimed: number }>(
    "POST",
    "/volumes/prune",
    {
      query: { filters },
    },
  );
  return { lines: answer.VolumesDeleted ?? [], bytes: answer.SpaceReclaimed };
}

async function pruneImages({ client }: CliContext, filters: Filters): Promise<Pruned> {
  const answer = await client.call<{
    ImagesDeleted: { Untagged?: string; Deleted?: string }[] | null;
    SpaceReclaimed: number;
  }>("POST", "/images/prune", { query: { filters } });
  const lines = (answer.ImagesDeleted ?? []).map(({ Untagged, Deleted }) =>
    Untagged ? `untagged: ${Untagged}` : `deleted: ${Deleted}`,
  );
  return { lines, bytes: answer.SpaceReclaimed };
}

async function pruneBuilds(
  { client }: CliContext,
  filters: Filters,
  all: boolean,
  limits: Record<string, number | undefined> = {},
): Promise<Pruned> {
  const answer = await client.call<{ CachesDeleted: string[] | null; SpaceReclaimed: number }>(
    "POST",
    "/build/prune",
    {
      query: { ...limits, filters, all: all ? 1 : undefined },
    },
  );
  return { lines: answer.CachesDeleted ?? [], bytes: answer.SpaceReclaimed };
}

function report(context: CliContext, title: string, { lines }: Pruned): void {
  if (lines.length > 0) context.out(`${title}\n${lines.join("\n")}\n\n`);
}

const reclaimed = (bytes: number) => `Total reclaimed space: ${humanSize(bytes)}`;

export const containers = defineCommand({
  name: "container prune",
  usage: "[OPTIONS]",
  summary: "Remove all stopped containers",
  flags: pruneFlags,
  arity: none,
  examples: ["container prune -f --filter until=24h"],
  async run(context, { flags }) {
    if (!flags.force && !(await confirm(context, "WARNING! This will remove all stopped containers.")))
      return 0;
    const pruned = await pruneContainers(context, parseFilters(flags.filter));
    report(context, "Deleted Containers:", pruned);
    context.line(reclaimed(pruned.bytes));
    return 0;
  },
});

export const networks = defineCommand({
  name: "network prune",
  usage: "[OPTIONS]",
  summary: "Remove all unused networks",
  flags: pruneFlags,
  arity: none,
  examples: ["network prune -f"],
  async run(context, { flags }) {
    const warning = "WARNING! This will remove all custom networks not used by at least one container.";
    if (!flags.force && !(await confirm(context, warning))) return 0;
    report(context, "Deleted Networks:", await pruneNetworks(context, parseFilters(flags.filter)));
    return 0;
  },
});

export const volumes = defineCommand({
  name: "volume prune",
  usage: "[OPTIONS]",
  summary: "Remove unused local volumes",
  flags: {
    ...pruneFlags,
    all: { kind: "bool", short: "a", help: "Named volumes too, not just anonymous ones" },
  },
  arity: none,
  examples: ["volume prune -a --filter label=stage=test"],
  async run(context, { flags }) {
    const kind = flags.all ? "all" : "anonymous";
    const warning = `WARNING! This will remove ${kind} local volumes not used by at least one container.`;
    if (!flags.force && !(await confirm(context, warning))) return 0;
    const filters = parseFilters([...flags.filter, ...(flags.all ? ["all=true"] : [])]);
    const pruned = await pruneVolumes(context, filters);
    report(context, "Deleted Volumes:", pruned);
    context.line(reclaimed(pruned.bytes));
    return 0;
  },
});

export const images = defineCommand({
  name: "image prune",
  usage: "[OPTIONS]",
  summary: "Remove unused images",
  flags: {
    ...pruneFlags,
    all: { kind: "bool", short: "a", help: "All that no container uses, not just dangling ones" },
  },
  arity: none,
  examples: ["image prune -a --filter until=168h"],
  async run(context, { flags }) {
    const warning = flags.all
      ? "WARNING! This will remove all images without at least one container associated to them."
      : "WARNING! This will remove all dangling images.";
    if (!flags.force && !(await confirm(context, warning))) return 0;
    const pruned = await pruneImages(context, parseFilters([...flags.filter, `dangling=${!flags.all}`]));
    report(context, "Deleted Images:", pruned);
    context.line(reclaimed(pruned.bytes));
    return 0;
  },
});

export const builds = defineCommand({
  name: "builder prune",
  usage: "[OPTIONS]",
  summary: "Remove the build cache",
  aliases: ["builder prune", "buildx prune"],
  flags: {
    ...pruneFlags,
    all: { kind: "bool", short: "a", help: "All unused cache, not just dangling" },
    "keep-storage": { kind: "bytes", help: "The former name of --reserved-space", hidden: true },
    "reserved-space": { kind: "bytes", help: "Bytes of cache that stay in any case" },
    "max-used-space": { kind: "bytes", help: "Bytes that the cache may take" },
    "min-free-space": { kind: "bytes", help: "Bytes that the disk must have free" },
    ...builderFlag,
    timeout: { kind: "duration", help: "Accepted for buildx's sake", default: "20s", hidden: true },
    verbose: { kind: "bool", help: "Accepted for buildx's sake", hidden: true },
  },
  arity: none,
  examples: ["builder prune -af", "builder prune --filter until=48h --reserved-space 10GB"],
  async run(context, { flags }) {
    const warning = flags.all
      ? "WARNING! This will remove all build cache."
      : "WARNING! This will remove all dangling build cache.";
    if (!flags.force && !(await confirm(context, warning))) return 0;
    const builder = await contextOfBuilder(context, flags.builder);
    const pruned = await pruneBuilds(builder, parseFilters(flags.filter), flags.all, {
      "reserved-space": flags["reserved-space"] ?? flags["keep-storage"],
      "max-used-space": flags["max-used-space"],
      "min-free-space": flags["min-free-space"],
    });
    report(context, "Deleted build cache objects:", pruned);
    context.line(`Total reclaimed space: ${humanSize(pruned.bytes)}`);
    return 0;
  },
});

export const system = defineCommand({
  name: "system prune",
  usage: "[OPTIONS]",
  summary: "Remove unused data",
  flags: {
    ...pruneFlags,
    all: { kind: "bool", short: "a", help: "All unused images, not just dangling ones" },
    volumes: { kind: "bool", help: "Anonymous volumes too" },
  },
  arity: none,
  examples: ["system prune -af --volumes"],
  async run(context, { flags }) {
    const targets = [
      "all stopped containers",
      "all networks not used by at least one container",
      ...(flags.volumes ? ["all anonymous volumes not used by at least one container"] : []),
      flags.all ? "all images without at least one container associated to them" : "all dangling images",
      flags.all ? "all build cache" : "unused build cache",
    ];
    const warning = `WARNING! This will remove:\n${targets.map((target) => `  - ${target}`).join("\n")}\n`;
    if (!flags.force && !(await confirm(context, warning))) return 0;
    const filters = parseFilters(flags.filter);
    // Containers first: what they hold becomes unused.
    const stages: [string, () => Promise<Pruned>][] = [
      ["Deleted Containers:", () => pruneContainers(context, filters)],
      ["Deleted Networks:", () => pruneNetworks(context, filters)],
      ...(flags.volumes
        ? ([["Deleted Volumes:", () => pruneVolumes(context, filters)]] as [string, () => Promise<Pruned>][])
        : []),
      ["Deleted Images:", () => pruneImages(context, { ...filters, dangling: [String(!flags.all)] })],
      ["Deleted build cache objects:", () => pruneBuilds(context, filters, flags.all)],
    ];
    let bytes = 0;
    for (const [title, prune] of stages) {
      const pruned = await prune();
      report(context, title, pruned);
      bytes += pruned.bytes;
    }
    context.line(reclaimed(bytes));
    return 0;
  },
});
