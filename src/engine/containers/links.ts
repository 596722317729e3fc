/**
 * `--link target:alias`. On the default bridge, where names do not resolve, a link is a line in /etc/hosts and
 * variables about the target; on a user-defined network it is one more name, which the embedded DNS knows.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import type { HostConfig } from "../config.ts";
import type { ContainerRecord } from "../types.ts";
import { isRunning } from "./state.ts";
import type { ContainerTable } from "./table.ts";

export interface Link {
  target: string;
  alias: string;
}

/** `db:database`, `db`, or as inspect shows it `/db:/web/database`. @throws InvalidParameter */
export function parseLink(text: string): Link {
  const [target = "", alias = target, ...rest] = text.split(":").map((part) => part.replace(/^\//, ""));
  if (target === "" || alias === "" || rest.length > 0)
    throw new InvalidParameter(`bad format for links: ${text}`);
  return { target, alias: alias.slice(alias.lastIndexOf("/") + 1) };
}

/** @throws InvalidParameter, also for a target that is none, in Docker's words */
export function checkLinks(host: HostConfig, table: ContainerTable): void {
  if (!host.Links?.length) return;
  for (const [mode, kind] of [
    [/^host$/, "host type networking"],
    [/^container:/, "container type network"],
  ] as const) {
    if (mode.test(host.NetworkMode))
      throw new InvalidParameter(
        `conflicting options: ${kind} can't be used with links. This would result in undefined behavior`,
      );
  }
  for (const { target } of host.Links.map(parseLink)) {
    try {
      table.find(target);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      // Not its own 404: clients would take that for a missing image.
      throw new InvalidParameter(`could not get container for ${target}: ${error.message}`, { cause: error });
    }
  }
}

/** Links of a container on the default bridge, with the records behind them. */
function linked(
  record: ContainerRecord,
  table: ContainerTable,
): { alias: string; target: ContainerRecord }[] {
  if (record.hostConfig.NetworkMode !== "bridge") return [];
  return (record.hostConfig.Links ?? []).map((text) => {
    const { target, alias } = parseLink(text);
    return { alias, target: table.find(target).record };
  });
}

/** Lines for /etc/hosts. @throws InvalidParameter when a target doesn't run */
export function linkHosts(record: ContainerRecord, table: ContainerTable): string {
  return linked(record, table)
    .map(({ alias, target }) => {
      if (!isRunning(target))
        throw new InvalidParameter(
          `Cannot link to a non running container: /${target.name} AS /${record.name}/${alias}`,
        );
      return lines(target, namesOf(alias, target)).join("");
    })
    .join("");
}

/** Of a target on the default bridge, one for each family. */
const lines = ({ endpoints: { bridge } }: ContainerRecord, names: string) =>
  [bridge?.ipAddress, bridge?.globalIPv6Address]
    .filter((address) => address)
    .map((address) => `${address}\t${names}\n`);

const namesOf = (alias: string, { id, name }: ContainerRecord) =>
  [...new Set([alias, shortId(id), name])].join(" ");

/** A target that has started again may have another address: those that run with a link to it get to know. */
export function refreshLinkHosts(target: ContainerRecord, table: ContainerTable): void {
  for (const { record } of table.all()) {
    if (!record.hostConfig.Links?.length || !isRunning(record)) continue;
    for (const { alias, target: other } of linked(record, table)) {
      if (other.id !== target.id) continue;
      const names = namesOf(alias, target);
      editHosts(record, names, lines(target, names).join(""));
    }
  }
}

/** A link that is being taken away is no name any more, also for who runs. */
export function dropLinkHosts(record: ContainerRecord, alias: string, table: ContainerTable): void {
  if (!isRunning(record)) return;
  const link = linked(record, table).find((other) => other.alias === alias);
  const names = link && namesOf(alias, link.target);
  if (names) editHosts(record, names, "");
}

/** Puts lines in the place of those that have these names. */
function editHosts(record: ContainerRecord, names: string, replacement: string): void {
  if (!existsSync(record.hostsPath)) return;
  const kept = readFileSync(record.hostsPath, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.endsWith(`\t${names}`));
  // In place: the file is mounted into the container.
  writeFileSync(record.hostsPath, `${kept.join("\n")}\n${replacement}`);
}

/** `DB_PORT_5432_TCP=tcp://172.17.0.2:5432` and its like, of targets that run. */
export function linkEnvironment(record: ContainerRecord, table: ContainerTable): string[] {
  return linked(record, table).flatMap(({ alias, target }) => {
    const prefix = alias.toUpperCase().replaceAll("-", "_");
    const address = target.endpoints.bridge?.ipAddress ?? "";
    const ports = Object.keys(target.config.ExposedPorts ?? {})
      .map((key) => key.split("/") as [string, string?])
      .map(([port, protocol = "tcp"]) => ({ port: Number(port), protocol }))
      .sort((a, b) => (a.protocol === b.protocol ? a.port - b.port : a.protocol === "tcp" ? -1 : 1));
    const url = ({ port, protocol }: (typeof ports)[number]) => `${protocol}://${address}:${port}`;
    return [
      ...ports.slice(0, 1).map((port) => `${prefix}_PORT=${url(port)}`),
      ...ports.flatMap((port) => {
        const name = `${prefix}_PORT_${port.port}_${port.protocol.toUpperCase()}`;
        return [
          `${name}=${url(port)}`,
          `${name}_ADDR=${address}`,
          `${name}_PORT=${port.port}`,
          `${name}_PROTO=${port.protocol}`,
        ];
      }),
      `${prefix}_NAME=/${record.name}/${alias}`,
      ...target.config.Env.filter((entry) => !/^(HOME|PATH)=|^[^=]*$/.test(entry)).map(
        (entry) => `${prefix}_ENV_${entry}`,
      ),
    ];
  });
}
