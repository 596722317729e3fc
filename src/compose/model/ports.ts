/** The short syntax of `ports:`: `[HOST_IP:][PUBLISHED:]TARGET[/PROTOCOL]`, each port perhaps a range. */
import type { PortConfig } from "./types.ts";

/**
 * One entry a target port.
 * @throws RangeError whose message says what is wrong with `text`
 */
export function parsePort(text: string): PortConfig[] {
  const [address, protocol = "tcp", ...more] = text.split("/");
  if (more.length > 0 || !address) throw new RangeError(`invalid containerPort: ${text}`);
  if (!/^(tcp|udp|sctp)$/i.test(protocol)) throw new RangeError(`invalid proto: ${protocol}`);
  const match = /^(?:(?:\[([0-9a-fA-F:.%]*)\]|([^:[\]]*)|([0-9a-fA-F:.]*)):)?(?:([^:]*):)?([^:]+)$/.exec(
    address,
  );
  if (!match) throw new RangeError(`invalid port specification: ${text}`);
  let hostIp = match[1] ?? match[2] ?? match[3];
  let published = match[4];
  // With a single colon what stands before it is the published port.
  if (published === undefined && hostIp !== undefined && match[1] === undefined)
    [published, hostIp] = [hostIp, undefined];
  if (hostIp && !isAddress(hostIp)) throw new RangeError(`invalid IP address: ${hostIp}`);

  const [first, last] = parseRange(match[5]!, `invalid containerPort: ${match[5]}`);
  const count = last - first + 1;
  const base = { mode: "ingress", ...(hostIp ? { host_ip: hostIp } : {}) };
  const targets = Array.from({ length: count }, (_, index) => first + index);
  const lower = protocol.toLowerCase();
  if (!published) return targets.map((target) => ({ ...base, target, protocol: lower }));
  const [from, to] = parseRange(published, `invalid hostPort: ${published}`);
  // A range for one port lets the engine choose a free one of it.
  if (count === 1 && to > from)
    return [{ ...base, target: first, published: `${from}-${to}`, protocol: lower }];
  if (to - from + 1 !== count)
    throw new RangeError(
      `invalid ranges specified for container and host Ports: ${match[5]} and ${published}`,
    );
  return targets.map((target, index) => ({
    ...base,
    target,
    published: String(from + index),
    protocol: lower,
  }));
}

function parseRange(text: string, problem: string): [number, number] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (!match || from > 65535 || to > 65535 || to < from) throw new RangeError(problem);
  return [from, to];
}

function isAddress(text: string): boolean {
  if (text.includes(":")) return /^[0-9a-fA-F:.]+(%\w+)?$/.test(text);
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
}
