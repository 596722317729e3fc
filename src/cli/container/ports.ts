/** `-p`, `--expose`: which ports of the container are published where. */
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";

export interface PortBinding {
  HostIp: string;
  HostPort: string;
}

export interface Ports {
  /** `80/tcp` and the like, published or only exposed. */
  exposed: Record<string, object>;
  bindings: Record<string, PortBinding[]>;
}

interface Range {
  first: number;
  last: number;
}

const protocols = new Set(["tcp", "udp", "sctp"]);

/** @throws InvalidParameter */
export function parsePorts(publish: readonly string[], expose: readonly string[]): Ports {
  const ports: Ports = { exposed: {}, bindings: {} };
  for (const spec of publish) addPublished(ports, spec.includes("=") ? fromLongForm(spec) : spec, spec);
  for (const spec of expose) {
    const { port, protocol } = splitProtocol(spec, spec);
    const range = parseRange(port);
    if (!range || port === "") throw new InvalidParameter(`invalid range format for --expose: ${port}`);
    for (let at = range.first; at <= range.last; at++) ports.exposed[`${at}/${protocol}`] ??= {};
  }
  return ports;
}

function addPublished(ports: Ports, spec: string, given: string): void {
  const { port, protocol } = splitProtocol(spec, given);
  const { ip, host, container } = splitSpec(port, given);
  if (container === "") throw new InvalidParameter(`no port specified: ${given}<empty>`);
  const target = parseRange(container);
  if (!target) throw new InvalidParameter(`invalid containerPort: ${container}`);
  const source = parseRange(host);
  if (!source && host !== "") throw new InvalidParameter(`invalid hostPort: ${host}`);
  const wanted = target.last - target.first;
  if (source && source.last - source.first !== wanted && wanted !== 0) {
    throw new InvalidParameter(
      `invalid ranges specified for container and host Ports: ${container} and ${host}`,
    );
  }
  for (let i = 0; i <= wanted; i++) {
    const key = `${target.first + i}/${protocol}`;
    // One container port with a range of host ports: the engine takes a free one of the range.
    const hostPort = !source
      ? ""
      : wanted === 0 && source.last > source.first
        ? host
        : String(source.first + i);
    ports.exposed[key] ??= {};
    ports.bindings[key] ??= [];
    ports.bindings[key].push({ HostIp: ip, HostPort: hostPort });
  }
}

function splitProtocol(spec: string, given: string): { port: string; protocol: string } {
  const slash = spec.indexOf("/");
  const protocol = slash < 0 ? "tcp" : spec.slice(slash + 1).toLowerCase();
  if (!protocols.has(protocol)) throw new InvalidParameter(`invalid proto: ${given.slice(slash + 1)}`);
  return { port: slash < 0 ? spec : spec.slice(0, slash), protocol };
}

/** `[ip:[host]:]container`; an IPv6 address may stand in brackets. */
function splitSpec(text: string, given: string): { ip: string; host: string; container: string } {
  const bracketed = /^\[([^\]]*)\]:(?:([^:]*):)?([^:]*)$/.exec(text);
  const parts = bracketed ? [bracketed[1]!, bracketed[2] ?? "", bracketed[3]!] : text.split(":");
  const container = parts.pop() ?? "";
  const host = parts.pop() ?? "";
  const ip = parts.join(":");
  if (ip !== "" && !isAddress(ip)) throw new InvalidParameter(`invalid IP address: ${ip}`);
  if (parts.length > 1 && !ip.includes("::"))
    throw new InvalidParameter(`invalid port specification: ${given}`);
  return { ip, host, container };
}

function isAddress(text: string): boolean {
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) return text.split(".").every((octet) => Number(octet) <= 255);
  return text.includes(":") && /^[0-9a-fA-F:.]+(?:%\w+)?$/.test(text);
}

function parseRange(text: string): Range | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return last < first || last > 65535 ? undefined : { first, last };
}

/** `target=80,published=8080,protocol=tcp` as the short form. */
function fromLongForm(spec: string): string {
  const fields = new Map(
    splitCsv(spec).map((field) => {
      const [key = "", value] = field.split("=", 2);
      if (value === undefined) throw new InvalidParameter(`invalid field ${field}`);
      return [key.toLowerCase(), value];
    }),
  );
  for (const key of fields.keys()) {
    if (!["target", "published", "protocol", "mode"].includes(key))
      throw new InvalidParameter(`invalid field key ${key}`);
  }
  return `${fields.get("published") ?? ""}:${fields.get("target") ?? ""}/${fields.get("protocol") ?? "tcp"}`;
}

export interface PortSummary {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

/** The PORTS column: `0.0.0.0:8080->80/tcp, 443/tcp`, neighbours joined to ranges. */
export function showPorts(ports: readonly PortSummary[]): string {
  if (ports.length === 0) return "";
  const sorted = [...ports].sort(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      compare(a.IP ?? "", b.IP ?? "") ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      compare(a.Type, b.Type),
  );
  const open = new Map<string, Range & { ip: string; type: string }>();
  const shown: string[] = [];
  const mapped: string[] = [];
  for (const { IP: ip = "", PrivatePort: port, PublicPort, Type: type } of sorted) {
    if (ip !== "" && PublicPort !== port) {
      mapped.push(`${hostPort(ip, String(PublicPort ?? 0))}->${port}/${type}`);
      continue;
    }
    const key = `${ip}/${type}`;
    const range = open.get(key);
    if (range && port === range.last + 1) range.last = port;
    else {
      if (range) shown.push(showRange(range));
      open.set(key, { first: port, last: port, ip, type });
    }
  }
  return [...shown, ...[...open.values()].map(showRange), ...mapped].join(", ");
}

function showRange({ first, last, ip, type }: Range & { ip: string; type: string }): string {
  const range = first === last ? String(first) : `${first}-${last}`;
  return `${ip === "" ? range : `${hostPort(ip, range)}->${range}`}/${type}`;
}

/** `ip:port`, with brackets around IPv6. */
export function hostPort(ip: string, port: string): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
