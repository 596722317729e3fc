import { InvalidParameter, NotFound } from "../../lib/errors.ts";
import type { NetworkSummary } from "../api.ts";
import { atLeast, defineCommand, exactly, none } from "../command.ts";
import { forEach } from "../each.ts";
import { keyValues, parseFilters } from "../filters.ts";
import { renderIds, renderListing } from "../format/listing.ts";
import { goTime } from "../format/units.ts";
import { inspectEach } from "../inspect.ts";
import { ipamConfig } from "./ipam.ts";

export const ls = defineCommand({
  name: "network ls",
  usage: "[OPTIONS]",
  summary: "List networks",
  aliases: ["network ls", "network list"],
  flags: {
    filter: {
      kind: "list",
      short: "f",
      value: "filter",
      help: "Show those that fit a condition (driver=bridge)",
    },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    "no-trunc": { kind: "bool", help: "Don't shorten anything" },
    quiet: { kind: "bool", short: "q", help: "Only show IDs" },
  },
  arity: none,
  examples: ["network ls --filter driver=bridge"],
  async run(context, { flags }) {
    const networks = await context.client.call<NetworkSummary[]>("GET", "/networks", {
      query: { filters: parseFilters(flags.filter) },
    });
    networks.sort((a, b) => (a.Name < b.Name ? -1 : 1));
    const shown = (id: string) => (flags["no-trunc"] ? id : id.slice(0, 12));
    if (flags.quiet && !flags.format) {
      context.out(renderIds(networks.map(({ Id }) => shown(Id))));
      return 0;
    }
    const rows = networks.map(
      ({ Id, Name, Driver, Scope, EnableIPv4, EnableIPv6, Internal, Labels, Created }) => ({
        ID: shown(Id),
        Name,
        Driver,
        Scope,
        IPv4: String(EnableIPv4 ?? true),
        IPv6: String(EnableIPv6 ?? false),
        Internal: String(Internal ?? false),
        Labels: Object.entries(Labels ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(","),
        CreatedAt: goTime(Created, true),
        Label: (name: unknown) => Labels?.[String(name)] ?? "",
      }),
    );
    const columns = ["ID", "Name", "Driver", "Scope"];
    const format = flags.format ?? context.config.networksFormat;
    const raw = flags.quiet ? "network_id: {{.ID}}" : rawNetwork;
    context.out(await renderListing({ format, columns, headers, rows, raw }));
    return 0;
  },
});

const rawNetwork = `network_id: {{.ID}}
name: {{.Name}}
driver: {{.Driver}}
scope: {{.Scope}}
`;

const headers = {
  ID: "NETWORK ID",
  Name: "NAME",
  Driver: "DRIVER",
  Scope: "SCOPE",
  IPv4: "IPV4",
  IPv6: "IPV6",
  Internal: "INTERNAL",
  Labels: "LABELS",
  CreatedAt: "CREATED AT",
};

export const create = defineCommand({
  name: "network create",
  usage: "[OPTIONS] NETWORK",
  summary: "Create a network",
  flags: {
    attachable: { kind: "bool", help: "Let containers attach by hand" },
    "aux-address": { kind: "list", value: "map", help: "Addresses that the network must not give out" },
    "config-from": { kind: "string", help: "Network to copy the configuration from" },
    "config-only": { kind: "bool", help: "Create a configuration only" },
    driver: { kind: "string", short: "d", help: "Driver of the network", default: "bridge" },
    gateway: { kind: "strings", help: "Gateway of a subnet" },
    ingress: { kind: "bool", help: "Create the routing mesh of a swarm" },
    internal: { kind: "bool", help: "No access to the outside" },
    "ip-range": { kind: "strings", help: "Give addresses from a part of a subnet" },
    "ipam-driver": { kind: "string", help: "Driver of the address management", default: "default" },
    "ipam-opt": { kind: "list", value: "map", help: "Options of the address management" },
    ipv4: { kind: "bool", help: "Give IPv4 addresses", default: "true" },
    ipv6: { kind: "bool", help: "Give IPv6 addresses" },
    label: { kind: "list", help: "Set a label on the network" },
    opt: { kind: "list", short: "o", value: "map", help: "Options of the driver" },
    scope: { kind: "string", help: "Scope of the network" },
    subnet: { kind: "strings", help: "Subnet in CIDR form" },
  },
  arity: exactly(1),
  examples: [
    "network create app",
    "network create --ipv6 six",
    "network create --subnet 10.5.0.0/16 --gateway 10.5.0.1 lab",
  ],
  async run(context, { flags, args: [name], given }) {
    const created = await context.client.call<{ Id: string; Warning?: string }>("POST", "/networks/create", {
      body: {
        Name: name,
        Driver: flags.driver,
        Options: keyValues(flags.opt),
        IPAM: {
          Driver: flags["ipam-driver"],
          Options: keyValues(flags["ipam-opt"]),
          Config: ipamConfig({
            subnets: flags.subnet,
            ranges: flags["ip-range"],
            gateways: flags.gateway,
            reserved: keyValues(flags["aux-address"]),
          }),
        },
        Internal: flags.internal,
        EnableIPv4: given("ipv4") ? flags.ipv4 : undefined,
        EnableIPv6: given("ipv6") ? flags.ipv6 : undefined,
        Attachable: flags.attachable,
        Ingress: flags.ingress,
        Scope: flags.scope ?? "",
        ConfigOnly: flags["config-only"],
        ConfigFrom: flags["config-from"] === undefined ? undefined : { Network: flags["config-from"] },
        Labels: keyValues(flags.label),
      },
    });
    if (created.Warning) context.err(`WARNING: ${created.Warning}\n`);
    context.line(created.Id);
    return 0;
  },
});

export const rm = defineCommand({
  name: "network rm",
  usage: "NETWORK [NETWORK...]",
  summary: "Remove one or more networks",
  aliases: ["network rm", "network remove"],
  flags: { force: { kind: "bool", short: "f", help: "No failure for a network that isn't there" } },
  arity: atLeast(1),
  examples: ["network rm app"],
  run: (context, { flags, args }) =>
    forEach(context, args, async (name) => {
      try {
        await context.client.call("DELETE", `/networks/${encodeURIComponent(name)}`);
      } catch (error) {
        if (!flags.force || !(error instanceof NotFound)) throw error;
        return undefined;
      }
      return name;
    }),
});

export const inspect = defineCommand({
  name: "network inspect",
  usage: "[OPTIONS] NETWORK [NETWORK...]",
  summary: "Display detailed information on one or more networks",
  flags: {
    format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" },
    verbose: { kind: "bool", short: "v", help: "More details, for diagnosis" },
  },
  arity: atLeast(1),
  examples: ["network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' app"],
  run: (context, { flags, args }) =>
    inspectEach(context, args, flags.format, async (name) => ({
      kind: "network",
      value: await context.client.call("GET", `/networks/${encodeURIComponent(name)}`, {
        query: { verbose: flags.verbose ? true : undefined },
      }),
    })),
});

export const connect = defineCommand({
  name: "network connect",
  usage: "[OPTIONS] NETWORK CONTAINER",
  summary: "Connect a container to a network",
  flags: {
    alias: { kind: "strings", help: "Alias of the container on the network" },
    "driver-opt": { kind: "strings", help: "Options of the driver" },
    "gw-priority": { kind: "int", help: "The endpoint with the highest priority is the way out" },
    ip: { kind: "string", value: "ip", help: "IPv4 address" },
    ip6: { kind: "string", value: "ip", help: "IPv6 address" },
    link: { kind: "list", help: "Link to another container" },
    "link-local-ip": { kind: "strings", help: "Link-local addresses" },
  },
  arity: exactly(2),
  examples: ["network connect --alias db app postgres"],
  async run(context, { flags, args: [network = "", container] }) {
    for (const option of flags["driver-opt"]) {
      if (!option.includes("="))
        throw new InvalidParameter(`invalid key/value pair format in driver options`);
    }
    await context.client.call("POST", `/networks/${encodeURIComponent(network)}/connect`, {
      body: {
        Container: container,
        EndpointConfig: {
          IPAMConfig: { IPv4Address: flags.ip, IPv6Address: flags.ip6, LinkLocalIPs: flags["link-local-ip"] },
          Links: flags.link,
          Aliases: flags.alias,
          DriverOpts: keyValues(flags["driver-opt"]),
          GwPriority: flags["gw-priority"],
        },
      },
    });
    return 0;
  },
});

export const disconnect = defineCommand({
  name: "network disconnect",
  usage: "[OPTIONS] NETWORK CONTAINER",
  summary: "Disconnect a container from a network",
  flags: { force: { kind: "bool", short: "f", help: "Disconnect it in any case" } },
  arity: exactly(2),
  examples: ["network disconnect app postgres"],
  async run(context, { flags, args: [network = "", container] }) {
    const body = { Container: container, Force: flags.force };
    await context.client.call("POST", `/networks/${encodeURIComponent(network)}/disconnect`, { body });
    return 0;
  },
});
