import { chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import type { ContainerRecord } from "../types.ts";

/** What a host's resolv.conf says, loopback servers left out: they are not there inside a container. */
export interface ResolvConf {
  nameservers: string[];
  search: string[];
  options: string[];
}

export function hostResolvConf(): ResolvConf {
  let text = "";
  try {
    text = readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    // A host without one: the public default below applies.
  }
  const words = (keyword: string) =>
    text
      .split("\n")
      .map((line) =>
        line
          .replace(/[#;].*/, "")
          .trim()
          .split(/\s+/),
      )
      .filter((line) => line[0] === keyword)
      .flatMap((line) => line.slice(1));
  const nameservers = words("nameserver").filter((server) => !server.startsWith("127.") && server !== "::1");
  return {
    nameservers: nameservers.length > 0 ? nameservers : ["8.8.8.8", "8.8.4.4"],
    search: words("search"),
    options: words("options"),
  };
}

/**
 * Writes hosts, hostname and resolv.conf of a container about to start.
 * @param addresses the container's own addresses, for its line in hosts
 * @param embeddedDns names are served at 127.0.0.11 in its sandbox
 * @throws InvalidParameter for an extra host that is not `name:address`
 */
export function writeEtcFiles(
  record: ContainerRecord,
  options: {
    addresses: string[];
    embeddedDns: boolean;
    hostGateways: string[];
    /** The loopback interface has `::1`. */
    ipv6: boolean;
    /** Of the daemon, for what the container doesn't say. */
    defaults: { dns: string[]; dnsSearch: string[]; dnsOptions: string[] };
    shareHost: boolean;
    /** Lines for the containers that this one is linked to. */
    links: string;
    /** Host ids that the files belong to; undefined: root. */
    owner?: { uid: number; gid: number };
  },
): void {
  const { config, hostConfig } = record;
  mkdirSync(dirname(record.hostsPath), { recursive: true });
  const own = config.Domainname
    ? `${config.Hostname}.${config.Domainname} ${config.Hostname}`
    : config.Hostname;
  writeFileSync(record.hostnamePath, `${config.Hostname}\n`);
  const extra = extraHostLines(record.hostConfig.ExtraHosts ?? [], options.hostGateways) + options.links;
  writeFileSync(
    record.hostsPath,
    options.shareHost
      ? `${readFileSync("/etc/hosts", "utf8")}${extra}`
      : hostsFile(own, options.addresses, extra, options.ipv6),
  );
  const host = hostResolvConf();
  const { defaults } = options;
  const first = (...lists: string[][]) => lists.find((list) => list.length > 0) ?? [];
  const servers = options.embeddedDns
    ? ["127.0.0.11"]
    : first(hostConfig.Dns, defaults.dns, host.nameservers);
  const search = first(hostConfig.DnsSearch, defaults.dnsSearch, host.search).filter(
    (domain) => domain !== ".",
  );
  const resolverOptions = [...first(hostConfig.DnsOptions, defaults.dnsOptions, host.options)];
  if (options.embeddedDns && !resolverOptions.some((option) => option.startsWith("ndots")))
    resolverOptions.push("ndots:0");
  const lines = servers.map((server) => `nameserver ${server}`);
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  if (resolverOptions.length > 0) lines.push(`options ${resolverOptions.join(" ")}`);
  writeFileSync(record.resolvConfPath, `${lines.join("\n")}\n`);
  const { uid, gid } = options.owner ?? { uid: 0, gid: 0 };
  for (const path of [record.hostnamePath, record.hostsPath, record.resolvConfPath])
    chownSync(path, uid, gid);
}

/** Who joins another container's network sees its names too: one set of files for both. */
export function shareEtcFiles(record: ContainerRecord, peer: ContainerRecord): void {
  record.config.Hostname = peer.config.Hostname;
  record.config.Domainname = peer.config.Domainname;
  record.hostnamePath = peer.hostnamePath;
  record.hostsPath = peer.hostsPath;
  record.resolvConfPath = peer.resolvConfPath;
}

/** The fixed lines of /etc/hosts, then the container's own, then the extra ones. */
export function hostsFile(ownNames: string, addresses: string[], extra: string, ipv6 = true): string {
  const lines = [
    "127.0.0.1\tlocalhost",
    ...(ipv6 ? ipv6Lines : []),
    ...addresses.map((address) => `${address}\t${ownNames}`),
  ];
  return `${lines.join("\n")}\n${extra}`;
}

const ipv6Lines = [
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::\tip6-localnet",
  "ff00::\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** `name:address` or `name=address`, where the address may be `host-gateway`, as lines of /etc/hosts. */
export function extraHostLines(entries: string[], hostGateways: string[]): string {
  return entries
    .flatMap((entry) => {
      const match = /^([^:=\s]+)[:=](\S+)$/.exec(entry);
      if (!match) throw new InvalidParameter(`bad format for add-host: ${JSON.stringify(entry)}`);
      const addresses = match[2] === "host-gateway" ? hostGateways : [match[2]!.replace(/^\[(.*)\]$/, "$1")];
      return addresses.map((address) => `${address}\t${match[1]}\n`);
    })
    .join("");
}
