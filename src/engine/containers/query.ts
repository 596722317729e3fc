import { InvalidParameter } from "../../lib/errors.ts";
import { booleanFilter, checkFilters, matchAny, matchLabels } from "../filters.ts";
import type { ContainerRecord, Filters } from "../types.ts";
import { parsePort } from "./publishing.ts";
import { isRunning } from "./state.ts";

const known = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "is-task",
  "isolation",
  "label",
  "label!",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
];
const statuses = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const healths = ["none", "starting", "healthy", "unhealthy"];

export interface Lookups {
  /** @throws NotFound */
  container(target: string): ContainerRecord;
  /** Whether the image named by `reference` is, or is an ancestor of, the container's. */
  isAncestor(reference: string, record: ContainerRecord): boolean;
}

/** `docker ps`: newest first, filtered. @throws InvalidParameter for a bad filter */
export function listContainers(
  records: ContainerRecord[],
  options: { all: boolean; limit?: number; filters: Filters },
  lookups: Lookups,
): ContainerRecord[] {
  const { filters } = options;
  checkFilters(filters, known);
  for (const status of filters.status ?? [])
    if (!statuses.includes(status)) throw new InvalidParameter(`invalid filter 'status=${status}'`);
  for (const health of filters.health ?? [])
    if (!healths.includes(health))
      throw new InvalidParameter(`unrecognized filter value for health: ${health}`);
  for (const code of filters.exited ?? [])
    if (!/^-?\d+$/.test(code)) throw new InvalidParameter(`invalid filter 'exited=${code}'`);
  for (const name of ["publish", "expose"])
    for (const port of filters[name] ?? [])
      if (!/^\d+(-\d+)?(\/(tcp|udp|sctp))?$/.test(port))
        throw new InvalidParameter(`invalid filter '${name}=${port}'`);
  const isTask = booleanFilter(filters, "is-task");
  const before = filters.before?.map((target) => lookups.container(target));
  const since = filters.since?.map((target) => lookups.container(target));
  // A status filter, or a limit, looks at stopped ones too.
  const all =
    options.all ||
    (filters.status?.length ?? 0) > 0 ||
    (filters.exited?.length ?? 0) > 0 ||
    (options.limit ?? 0) > 0;
  const found = records
    .filter(
      (record) =>
        (all || isRunning(record) || record.state.status === "restarting") &&
        isTask !== true &&
        matchAny(filters, "id", (value) => record.id.startsWith(value)) &&
        matchAny(filters, "name", (value) => matchName(record.name, value)) &&
        matchAny(filters, "status", (value) => record.state.status === value) &&
        matchAny(
          filters,
          "exited",
          (value) =>
            !isRunning(record) &&
            record.state.finishedAt !== undefined &&
            record.state.exitCode === Number(value),
        ) &&
        matchAny(filters, "health", (value) => (record.state.health?.status ?? "none") === value) &&
        matchAny(filters, "volume", (value) =>
          record.mounts.some(
            (mount) => mount.name === value || mount.source === value || mount.destination === value,
          ),
        ) &&
        matchAny(filters, "network", (value) =>
          Object.values(record.endpoints).some(
            (endpoint) =>
              endpoint.networkName === value || (value !== "" && endpoint.networkId.startsWith(value)),
          ),
        ) &&
        matchAny(filters, "publish", (value) =>
          matchPort(
            value,
            Object.keys(record.ports).filter((key) => record.ports[key]?.length),
          ),
        ) &&
        matchAny(filters, "expose", (value) =>
          matchPort(value, Object.keys(record.config.ExposedPorts ?? {})),
        ) &&
        matchAny(filters, "ancestor", (value) => lookups.isAncestor(value, record)) &&
        matchLabels(filters, record.config.Labels) &&
        (before ?? []).every((other) => record.createdAt < other.createdAt) &&
        (since ?? []).every((other) => record.createdAt > other.createdAt),
    )
    .sort((a, b) => b.createdAt - a.createdAt);
  return options.limit && options.limit > 0 ? found.slice(0, options.limit) : found;
}

/** Docker matches the name, with and without its slash, against the value as a regular expression. */
function matchName(name: string, value: string): boolean {
  try {
    const pattern = new RegExp(value);
    return pattern.test(name) || pattern.test(`/${name}`);
  } catch {
    return name.includes(value);
  }
}

function matchPort(value: string, keys: string[]): boolean {
  const [range, protocol = "tcp"] = value.split("/") as [string, string?];
  const [first, last = first] = range.split("-").map(Number) as [number, number?];
  return keys.some((key) => {
    const [port, own] = parsePort(key);
    return own === protocol && port >= first && port <= last!;
  });
}
