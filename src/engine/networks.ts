import { randomBytes } from "node:crypto";
import { Conflict, Forbidden, InvalidParameter, NotFound, NotImplemented } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import {
  allocateAddress,
  claimSubnet,
  findFreeSubnet,
  hostRoutes,
  macFromIpv4,
  withPrefixOf,
} from "../net/index.ts";
import type { Table } from "../store/types.ts";
import type { Context } from "./context.ts";
import { booleanFilter, checkFilters, matchAny, matchLabels, untilFilter } from "./filters.ts";
import { checkConfigOnly, withConfigOf } from "./network-config.ts";
import type {
  ContainerRecord,
  CreateNetwork,
  EndpointState,
  Filters,
  NetworkInspection,
  NetworkRecord,
} from "./types.ts";

const predefined = ["bridge", "host", "none"];
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** The containers as the networks need them: who sits where. */
export interface Members {
  /** All containers that have an endpoint on the network, running or not. */
  on(networkId: string): { container: ContainerRecord; endpoint: EndpointState }[];
  /** Addresses held by what is no container: running build steps. */
  alsoTaken(): string[];
}

function newNetwork(
  name: string,
  given: Pick<NetworkRecord, "driver"> & Partial<NetworkRecord>,
): NetworkRecord {
  return {
    id: newId(),
    name,
    createdAt: Date.now(),
    scope: "local",
    internal: false,
    attachable: false,
    ingress: false,
    enableIPv4: true,
    enableIPv6: false,
    ipam: { driver: "default", options: {}, config: [] },
    options: {},
    labels: {},
    bridge: "",
    ...given,
  };
}

const mtuOption = "com.docker.network.driver.mtu";
/** Where ports are published of which nobody has said where. */
export const hostIpOption = "com.docker.network.bridge.host_binding_ipv4";

function checkMtu(text: string | undefined): void {
  // RFC 791: every link carries 68 bytes; the kernel's links end at 65535.
  if (text !== undefined && !(/^\d{1,5}$/.test(text) && Number(text) >= 68 && Number(text) <= 65535))
    throw new InvalidParameter(
      `invalid value for ${mtuOption}: ${JSON.stringify(text)} is no MTU (68 to 65535)`,
    );
}

/** The daemon's `--bridge` that stands for none at all: who names no network has only the loopback. */
export const noBridge = "none";

/** Networks, their bridges and their addresses. Attaching a container is containers/networking.ts. */
export class NetworkService {
  #table: Table<NetworkRecord>;

  constructor(
    private readonly context: Context,
    private readonly members: Members,
  ) {
    this.#table = context.store.metadata.table<NetworkRecord>("networks", { name: (record) => record.name });
    this.#ensurePredefined();
    for (const record of this.#table.list()) this.#ensureBridge(record);
  }

  /** Where containers are that name no network; undefined when the daemon has none. */
  defaultBridge(): NetworkRecord | undefined {
    return this.#table.by("name", "bridge");
  }

  records(): NetworkRecord[] {
    return this.#table.list();
  }

  create(asked: CreateNetwork): { id: string; warning: string } {
    const { name } = asked;
    if (!namePattern.test(name))
      throw new InvalidParameter(
        `invalid network name ${JSON.stringify(name)}: only [a-zA-Z0-9][a-zA-Z0-9_.-]* are allowed`,
      );
    if (predefined.includes(name))
      throw new Forbidden(`operation is not permitted on predefined ${name} network`);
    if (this.#table.by("name", name)) throw new Conflict(`network with name ${name} already exists`);
    if (asked.configOnly) return this.#createConfig(asked);
    const request = withConfigOf(asked, (from) => this.#table.by("name", from));
    if (request.driver === "host" || request.driver === "null")
      throw new Forbidden(`only one instance of "${request.driver}" network is allowed`);
    if (request.driver !== "bridge")
      throw new NotFound(`could not find plugin ${request.driver} in v1 plugin registry: plugin not found`);
    if (request.enableIPv6)
      throw new NotImplemented(
        `network ${name}: Gantry's networks carry IPv4 only so far; leave EnableIPv6 out`,
      );
    checkMtu(request.options[mtuOption]);
    if (request.ipam.driver !== "default")
      throw new NotFound(`could not find IPAM plugin ${request.ipam.driver}`);
    const record = newNetwork(name, {
      driver: "bridge",
      internal: request.internal,
      attachable: request.attachable,
      ipam: {
        driver: "default",
        options: request.ipam.options,
        config: this.#pools(request.ipam.config),
        ...(!request.ipam.config[0]?.subnet && { automatic: true }),
      },
      options: request.options,
      labels: request.labels,
      ...(request.configFrom !== "" && { configFrom: request.configFrom }),
    });
    const { id } = record;
    record.bridge = request.options["com.docker.network.bridge.name"] ?? `br-${id.slice(0, 12)}`;
    this.#table.put(id, record);
    try {
      this.#ensureBridge(record);
    } catch (error) {
      this.#table.delete(id);
      throw error;
    }
    this.event(record, "create");
    return { id, warning: "" };
  }

  #createConfig(request: CreateNetwork): { id: string; warning: string } {
    checkConfigOnly(request);
    const { driver, options } = request.ipam;
    const config = request.ipam.config.flatMap(({ subnet, ...rest }) =>
      subnet ? [{ ...rest, subnet }] : [],
    );
    const record = newNetwork(request.name, {
      driver: "null",
      ipam: { driver, options, config },
      options: request.options,
      labels: request.labels,
      configOnly: true,
    });
    this.#table.put(record.id, record);
    this.event(record, "create");
    return { id: record.id, warning: "" };
  }

  /** By name, full id or unique prefix of an id. @throws NotFound "network x not found" */
  find(target: string): NetworkRecord {
    const exact = this.#table.by("name", target) ?? this.#table.get(target);
    if (exact) return exact;
    const matches = /^[0-9a-f]+$/.test(target)
      ? this.#table.list().filter((record) => record.id.startsWith(target))
      : [];
    if (matches.length > 1)
      throw new InvalidParameter(`network ${target} is ambiguous (${matches.length} matches found on name)`);
    if (!matches[0]) throw new NotFound(`network ${target} not found`);
    return matches[0];
  }

  inspect(target: string): NetworkInspection {
    const record = this.find(target);
    const containers: NetworkInspection["containers"] = {};
    for (const { container, endpoint } of this.members.on(record.id)) {
      if (!endpoint.endpointId) continue;
      containers[container.id] = {
        name: container.name,
        endpointId: endpoint.endpointId,
        macAddress: endpoint.macAddress,
        ipv4Address: endpoint.ipAddress ? `${endpoint.ipAddress}/${endpoint.ipPrefixLen}` : "",
        ipv6Address: "",
      };
    }
    return { ...record, containers };
  }

  list(filters: Filters): NetworkRecord[] {
    checkFilters(filters, ["driver", "id", "label", "label!", "name", "scope", "type", "dangling"]);
    const dangling = booleanFilter(filters, "dangling");
    return this.#table
      .list()
      .filter(
        (record) =>
          matchAny(filters, "driver", (value) => record.driver === value) &&
          matchAny(filters, "id", (value) => record.id.startsWith(value)) &&
          matchAny(filters, "name", (value) => record.name.includes(value)) &&
          matchAny(filters, "scope", (value) => record.scope === value) &&
          matchAny(filters, "type", (value) => (value === "builtin") === predefined.includes(record.name)) &&
          matchLabels(filters, record.labels) &&
          (dangling === undefined ||
            (!predefined.includes(record.name) && this.members.on(record.id).length === 0) === dangling),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  remove(target: string): void {
    const record = this.find(target);
    if (predefined.includes(record.name))
      throw new Forbidden(`${record.name} is a pre-defined network and cannot be removed`);
    if (record.configOnly && this.#table.list().some(({ configFrom }) => configFrom === record.name))
      throw new Forbidden(
        `error while removing network: configuration network ${JSON.stringify(record.name)} is in use`,
      );
    const active = this.members.on(record.id).filter(({ endpoint }) => endpoint.endpointId);
    if (active.length > 0) {
      const who = active
        .map(({ container, endpoint }) => `name:"${container.name}" id:"${endpoint.endpointId.slice(0, 12)}"`)
        .join(", ");
      throw new Forbidden(
        `error while removing network: network ${record.name} has active endpoints (${who})`,
      );
    }
    this.#table.delete(record.id);
    if (record.driver === "bridge") this.context.network.removeBridge(record.id, record.bridge);
    this.event(record, "destroy");
  }

  prune(filters: Filters): string[] {
    checkFilters(filters, ["label", "label!", "until"]);
    const until = untilFilter(filters);
    const removed: string[] = [];
    for (const record of this.#table.list()) {
      // What only holds settings goes when somebody says so.
      if (predefined.includes(record.name) || record.configOnly || this.members.on(record.id).length > 0)
        continue;
      if (!matchLabels(filters, record.labels) || (until !== undefined && record.createdAt > until)) continue;
      this.remove(record.id);
      removed.push(record.name);
    }
    this.context.events.publish("network", "prune", "", { reclaimed: "0" });
    return removed;
  }

  event(
    { id, name, driver, labels }: NetworkRecord,
    action: string,
    attributes: Record<string, string> = {},
  ): void {
    this.context.events.publish("network", action, id, { name, type: driver, ...attributes }, labels);
  }

  /**
   * Gives an endpoint its id, addresses and names, in place. Addresses are taken from what no other endpoint of
   * the network holds now; a requested one is reserved for its container even while that is stopped.
   */
  assign(record: NetworkRecord, endpoint: EndpointState): void {
    const address = this.takeAddress(record, endpoint);
    endpoint.endpointId = randomBytes(32).toString("hex");
    endpoint.ipAddress = address;
    endpoint.ipPrefixLen = Number(this.withPrefix(record, address).split("/")[1]);
    endpoint.gateway = record.internal ? "" : this.gatewayOf(record);
    endpoint.macAddress = endpoint.config.MacAddress || macFromIpv4(address);
  }

  /** A free address of the network, or the one that `endpoint` asks for. @throws Conflict, InvalidParameter */
  takeAddress(record: NetworkRecord, endpoint?: EndpointState): string {
    const pool = record.ipam.config[0];
    if (!pool) throw new InvalidParameter(`network ${record.name} has no address pool`);
    const used = this.members
      .on(record.id)
      .filter((member) => member.endpoint !== endpoint)
      .flatMap(({ endpoint: other }) => [other.ipAddress, other.config.IPAMConfig?.IPv4Address ?? ""])
      .filter((address) => address !== "");
    return allocateAddress({
      subnet: pool.subnet,
      ipRange: pool.ipRange,
      taken: [
        ...used,
        ...this.members.alsoTaken(),
        ...Object.values(pool.auxAddresses ?? {}),
        ...(pool.gateway ? [pool.gateway] : []),
      ],
      requested: endpoint?.config.IPAMConfig?.IPv4Address || undefined,
    });
  }

  /** `172.17.0.2` -> `172.17.0.2/16`. */
  withPrefix(record: NetworkRecord, address: string): string {
    return withPrefixOf(record.ipam.config[0]!.subnet, address);
  }

  gatewayOf(record: NetworkRecord): string {
    return record.ipam.config[0]?.gateway ?? "";
  }

  #pools(asked: CreateNetwork["ipam"]["config"]): NetworkRecord["ipam"]["config"] {
    const taken = this.#table
      .list()
      .filter(({ configOnly }) => !configOnly)
      .flatMap((record) => record.ipam.config.map((config) => config.subnet));
    const firstAddress = (subnet: string) => allocateAddress({ subnet, taken: [] });
    if (asked.length === 0 || !asked[0]!.subnet) {
      const subnet = findFreeSubnet(this.context.options.addressPools, [...taken, ...hostRoutes()]);
      return [{ ...asked[0], subnet, gateway: asked[0]?.gateway ?? firstAddress(subnet) }];
    }
    return asked.map((config) => {
      const subnet = claimSubnet(config.subnet!, taken);
      return { ...config, subnet, gateway: config.gateway ?? firstAddress(subnet) };
    });
  }

  #ensurePredefined(): void {
    const { options } = this.context;
    const put = (name: string, driver: NetworkRecord["driver"], more: Partial<NetworkRecord>) => {
      if (this.#table.by("name", name)) return;
      const record = newNetwork(name, { driver, ...more });
      this.#table.put(record.id, record);
    };
    put("host", "host", {});
    put("none", "null", {});
    const old = this.#table.by("name", "bridge");
    if (options.bridge === noBridge) {
      if (old) this.#table.delete(old.id);
      return;
    }
    const { icc, masquerade, mtu, hostIp, fixedCidr } = options.defaultBridge;
    const bridgeOptions = {
      "com.docker.network.bridge.default_bridge": "true",
      "com.docker.network.bridge.enable_icc": String(icc),
      "com.docker.network.bridge.enable_ip_masquerade": String(masquerade),
      [hostIpOption]: hostIp,
      "com.docker.network.bridge.name": options.bridge,
      [mtuOption]: String(mtu),
    };
    checkMtu(String(mtu));
    const range = fixedCidr === undefined ? {} : { ipRange: fixedCidr };
    const bip = options.bip && {
      subnet: claimSubnet(options.bip, []),
      gateway: options.bip.split("/")[0]!,
      ...range,
    };
    const subnet = old?.ipam.config[0]?.subnet;
    if (old && (!bip || subnet === bip.subnet) && old.bridge === options.bridge) {
      // The same network with what the daemon is told today.
      const [{ ipRange: _, ...config } = { subnet: "" }] = old.ipam.config;
      const ipam = { ...old.ipam, config: [{ ...config, ...range }] };
      const next = { ...old, options: bridgeOptions, ipam };
      if (JSON.stringify(next) !== JSON.stringify(old)) this.#table.put(old.id, next);
      return;
    }
    if (old) this.#table.delete(old.id);
    const [config] = bip ? [bip] : this.#pools([]);
    put("bridge", "bridge", {
      bridge: options.bridge,
      ipam: { driver: "default", options: {}, config: [{ ...config!, ...range }] },
      options: bridgeOptions,
    });
  }

  #ensureBridge(record: NetworkRecord): void {
    if (record.driver !== "bridge") return;
    const option = (name: string) => record.options[`com.docker.network.${name}`];
    this.context.network.ensureBridge({
      networkId: record.id,
      bridge: record.bridge,
      gateways: record.ipam.config.map(({ subnet, gateway }) => withPrefixOf(subnet, gateway!)),
      mtu: option("driver.mtu") ? Number(option("driver.mtu")) : undefined,
      internal: record.internal,
      masquerade: option("bridge.enable_ip_masquerade") !== "false",
      icc: option("bridge.enable_icc") !== "false",
    });
  }
}
