/** Log drivers and their options: what Docker allows, and what the monitor gets of them. */

import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { Internal, InvalidParameter, messageOf } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import { own } from "../../lib/own.ts";
import { parseSize } from "../../lib/units.ts";
import { relayCommand, type TlsReceiver, tryTls } from "../../runtime/index.ts";
import type { LogSpec, RemoteLog } from "../../runtime/types.ts";
import type { HostConfig } from "../config.ts";
import type { ContainerRecord } from "../types.ts";

type Options = Record<string, string>;

const everywhere = ["mode", "max-buffer-size"];
const ofContainers = ["labels", "labels-regex", "env", "env-regex", "tag"];
const ofFiles = ["max-size", "max-file", "compress"];
/** Of the copy that `docker logs` reads where the driver itself can't be read. */
const ofCaches = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];

const ofTls = ["syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"];

/** Each driver with its options. */
const drivers: Record<string, readonly string[]> = {
  "json-file": [...ofFiles, ...ofContainers],
  local: ofFiles,
  none: [],
  syslog: ["syslog-address", "syslog-facility", "syslog-format", ...ofTls, ...ofContainers, ...ofCaches],
  journald: [...ofContainers, ...ofCaches],
};
export const logDrivers = Object.keys(drivers);

/** RFC 5424, table 1, by the names that syslog(3) gives them. */
const facilities = [
  ...["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"],
  ...["", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
];
const syslogFormats: Record<string, RemoteLog["format"]> = {
  "": "unix",
  rfc3164: "rfc3164",
  rfc5424: "rfc5424",
  rfc5424micro: "rfc5424micro",
};
const syslogPort = 514;
const localSyslogs = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const journalSocket = "/run/systemd/journal/socket";

/** Docker's, of `mode=non-blocking`. */
const defaultBuffer = 1 << 20;

/** @throws InvalidParameter in Docker's words */
export function checkLogConfig({ Type, Config }: HostConfig["LogConfig"]): void {
  const known = own(drivers, Type);
  if (!known) throw new InvalidParameter(`logger: no log driver named '${Type}' is registered`);
  if (Type === "none") return;
  for (const name of Object.keys(Config))
    if (!known.includes(name) && !everywhere.includes(name))
      throw new InvalidParameter(`unknown log opt '${name}' for ${Type} log driver`);
  const { mode = "", tag } = Config;
  if (!["", "blocking", "non-blocking"].includes(mode))
    throw new InvalidParameter(`logger: logging mode not supported: ${mode}`);
  if (Config["max-buffer-size"] !== undefined) {
    if (mode !== "non-blocking")
      throw new InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    parseSize(Config["max-buffer-size"]);
  }
  for (const name of ["labels-regex", "env-regex"]) if (Config[name]) pattern(Config[name]);
  if (tag) renderTag(tag, undefined);
  const { maxSize, maxFiles, compress } = rotation({ Type, Config });
  if (Type === "json-file" && compress && (maxSize === undefined || (maxFiles ?? 1) < 2))
    throw new InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set");
  if (Type === "syslog") syslogOptions(Config);
}

/** The container's output is kept in a file of its own. */
export const keepsLog = ({ Type, Config }: HostConfig["LogConfig"]): boolean =>
  Type !== "none" && !isTrue("cache-disabled", Config["cache-disabled"]);

/** What the monitor is told. @throws Internal when the receiver isn't there, in Docker's words */
export async function logSpec(record: ContainerRecord): Promise<LogSpec> {
  const { LogConfig } = record.hostConfig;
  const { Type, Config } = LogConfig;
  const tag = Config.tag ? renderTag(Config.tag, record) : undefined;
  const attributes = {
    ...chosenAttributes(record, Config),
    ...(Type === "json-file" && tag !== undefined && { tag }),
  };
  const size = Config["max-buffer-size"];
  const buffer = size === undefined ? defaultBuffer : Math.max(1, parseSize(size));
  const spec: LogSpec =
    record.logPath === ""
      ? { driver: "none", path: "" }
      : { driver: "json-file", path: record.logPath, ...rotation(LogConfig), attributes };
  if (Config.mode === "non-blocking") spec.buffer = buffer;
  if (Type !== "syslog" && Type !== "journald") return spec;
  try {
    const name = tag ?? shortId(record.id);
    const remote = Type === "syslog" ? await syslog(Config, name) : journal(record, name, attributes);
    return { ...spec, remote };
  } catch (error) {
    throw new Internal(`failed to initialize logging driver: ${messageOf(error)}`, { cause: error });
  }
}

function rotation({ Type, Config }: HostConfig["LogConfig"]) {
  const own = Type === "json-file" || Type === "local";
  const option = (name: string) => Config[own ? name : `cache-${name}`];
  // Docker's defaults: a json-file grows, the others' files are kept small.
  const small = Type !== "json-file";
  const size = option("max-size");
  const files = option("max-file") ?? (small ? "5" : "1");
  if (!/^[1-9]\d{0,3}$/.test(files))
    throw new InvalidParameter(`invalid value for max-file: ${JSON.stringify(files)}: a number is wanted`);
  return {
    maxSize: size === "-1" ? undefined : size ? parseSize(size) : small ? 20 << 20 : undefined,
    maxFiles: Number(files),
    compress: isTrue("compress", option("compress"), small),
  };
}

function isTrue(name: string, value: string | undefined, missing = false): boolean {
  if (value === undefined || value === "") return missing;
  if (!/^(1|t|true|0|f|false)$/i.test(value))
    throw new InvalidParameter(
      `invalid value for ${name}: ${JSON.stringify(value)}: true or false is wanted`,
    );
  return /^[1t]/i.test(value);
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidParameter(`invalid regular expression ${JSON.stringify(text)}`, { cause: error });
  }
}

/** Labels and variables that the options name. */
function chosenAttributes(record: ContainerRecord, options: Options): Record<string, string> {
  const env = record.config.Env.map((entry): [string, string] => {
    const [name = "", value = ""] = entry.split(/=(.*)/s);
    return [name, value];
  });
  const chosen = (entries: [string, string][], list = "", regex = "") => {
    const names = new Set(list.split(",").filter(Boolean));
    const matching = regex === "" ? undefined : pattern(regex);
    return entries.filter(([name]) => names.has(name) || matching?.test(name));
  };
  return Object.fromEntries([
    ...chosen(Object.entries(record.config.Labels), options.labels, options["labels-regex"]),
    ...chosen(env, options.env, options["env-regex"]),
  ]);
}

/** `{{.Name}}/{{.ID}}`. @throws InvalidParameter for a field that is none */
function renderTag(template: string, record: ContainerRecord | undefined): string {
  const fields: Record<string, string> = {
    ID: record ? shortId(record.id) : "",
    FullID: record?.id ?? "",
    Name: record?.name ?? "",
    ImageID: record ? shortId(record.imageId) : "",
    ImageFullID: record?.imageId ?? "",
    ImageName: record?.config.Image ?? "",
    DaemonName: "docker",
  };
  return template.replace(/\{\{\s*(.*?)\s*\}\}/g, (_, name: string) => {
    const value = own(fields, name.replace(/^\./, ""));
    if (value === undefined) throw new InvalidParameter(`invalid log tag: ${template}: no field ${name}`);
    return value;
  });
}

function syslogOptions(options: Options) {
  const { "syslog-address": address = "", "syslog-facility": facility = "daemon" } = options;
  const number = /^\d+$/.test(facility) ? Number(facility) : facilities.indexOf(facility);
  if (facility === "" || number < 0 || number >= facilities.length)
    throw new InvalidParameter("invalid syslog facility");
  const format = own(syslogFormats, options["syslog-format"] ?? "");
  if (!format) throw new InvalidParameter("Invalid syslog format");
  return { target: address === "" ? undefined : parseAddress(address), facility: number, format };
}

type Target =
  | { protocol: "unix" | "unixgram"; path: string }
  | { protocol: "tcp" | "udp" | "tcp+tls"; host: string; port: number };

function parseAddress(text: string): Target {
  const [, protocol, rest = ""] = /^([a-z+]+):\/\/(.+)$/.exec(text) ?? [];
  if ((protocol === "unix" || protocol === "unixgram") && rest.startsWith("/")) {
    if (!existsSync(rest)) throw new InvalidParameter(`stat ${rest}: no such file or directory`);
    return { protocol, path: rest };
  }
  const [, host, port] = /^(\[[\da-f:.]+\]|[^:/[\]]+)(?::(\d{1,5}))?$/i.exec(rest) ?? [];
  if ((protocol !== "tcp" && protocol !== "udp" && protocol !== "tcp+tls") || host === undefined)
    throw new InvalidParameter(`syslog-address should be in form proto://address, got ${text}`);
  return { protocol, host: host.replace(/^\[|\]$/g, ""), port: Number(port ?? syslogPort) };
}

/** @throws an error that tells what can't be reached */
async function syslog(options: Options, tag: string): Promise<RemoteLog> {
  const { target, facility, format } = syslogOptions(options);
  const log = { format, facility, tag, host: hostname() };
  if (target?.protocol !== "tcp+tls") return { ...log, address: await reach(target) };
  const receiver: TlsReceiver = {
    host: target.host,
    port: target.port,
    ca: options["syslog-tls-ca-cert"],
    cert: options["syslog-tls-cert"],
    key: options["syslog-tls-key"],
    // Docker looks whether it is there, not at what it says.
    skipVerify: options["syslog-tls-skip-verify"] !== undefined,
  };
  await tryTls(receiver);
  return { ...log, address: relayCommand(receiver), octets: format.startsWith("rfc5424") };
}

/** A target that isn't by TLS. @returns the address in the monitor's words, once it is known that somebody listens, as far as one can know */
async function reach(target: Target | undefined): Promise<string> {
  if (target === undefined) {
    const path = localSyslogs.find((candidate) => existsSync(candidate));
    if (!path) throw new Internal("Unix syslog delivery error");
    return `unixgram:${path}`;
  }
  if ("path" in target) return `${target.protocol}:${target.path}`;
  const { address, family } = await lookup(target.host);
  if (target.protocol === "tcp") {
    const socket = await Bun.connect({ hostname: address, port: target.port, socket: { data() {} } });
    socket.end();
  }
  return `${target.protocol}:${family === 6 ? `[${address}]` : address}:${target.port}`;
}

/** The journal's fields, as Docker names them. */
function journal(record: ContainerRecord, tag: string, attributes: Record<string, string>): RemoteLog {
  if (!existsSync(journalSocket)) throw new Internal("journald is not enabled on this host");
  const own = Object.entries(attributes).map(([name, value]) => [
    name
      .toUpperCase()
      .replace(/[^A-Z0-9_]/g, "_")
      .replace(/^_+/, ""),
    value,
  ]);
  return {
    address: `unixgram:${journalSocket}`,
    format: "journal",
    fields: {
      ...Object.fromEntries(own.filter(([name]) => name !== "")),
      CONTAINER_ID: shortId(record.id),
      CONTAINER_ID_FULL: record.id,
      CONTAINER_NAME: record.name,
      CONTAINER_TAG: tag,
      IMAGE_NAME: record.config.Image,
      SYSLOG_IDENTIFIER: tag,
    },
  };
}
