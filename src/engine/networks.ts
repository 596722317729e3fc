import { randomBytes } from "node:crypto";
import { Conflict, Forbidden, InvalidParameter, NotFound } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { type Family, familyOf } from "../lib/ip.ts";
import { type AddressPool, allocateAddress, lengthOf, macFor } from "../net/index.ts";
import type { Table } from "../store/types.ts";
import { bridgeOptions, isEnabled } from "./bridge-options.ts";
import type { Context } from "./context.ts";
import { defaultBridge } from "./default-bridge.ts";
import { booleanFilter, checkFilters, matchAny, matchLabels, untilFilter } from "./filters.ts";
import { checkPools } from "./ipam-check.ts";
import { checkConfigOnly, withConfigOf } from "./network-config.ts";
import { claimPool, familiesOf, gatewaysOf, poolOf } from "./network-pools.ts";
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

/** The daemon's `--bridge` that stands for none at all: who names no network has only the loopback. */
export const noBridge = "none";

/** Networks, their bridges and their addresses. Attaching a container is containers/networking.ts. */
export class NetworkService {
  #table: Table<NetworkRecord>;

  constructor(
    private readonly context: Context,
    private readonly members: Members,
    /** That subnets are chosen from. */
    private readonly pools: readonly AddressPool[],
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
    if (request.ipam.driver !== "default")
      throw new NotFound(`could not find IPAM plugin ${request.ipam.driver}`);
    const record = this.#bridgeOf(request);
    const { id } = record;
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

  /** @throws InvalidParameter, Forbidden for what can't be */
  #bridgeOf(request: CreateNetwork): NetworkRecord {
    const { name, internal, attachable, ipam, labels, configFrom } = request;
    const defaults = configFrom === "" ? this.context.options.defaultNetworkOptions[request.driver] : {};
    const options = { ...defaults, ...request.options };
    const enabled = {
      enableIPv4: isEnabled(4, request.enableIPv4, options),
      enableIPv6: isEnabled(6, request.enableIPv6, options),
    };
    checkPools(ipam.config, familiesOf(enabled));
    if (familiesOf(enabled).length === 0) throw new InvalidParameter("IPv4 or IPv6 must be enabled");
    const bridge = bridgeOptions(options);
    if (!internal && Object.values(bridge.modes).includes("isolated"))
      throw new InvalidParameter("gateway mode 'isolated' can only be used for an internal network");
    const taken = this.#subnets();
    const config = familiesOf(enabled).map((family) => {
      const asked = ipam.config.find(({ subnet }) => subnet !== undefined && familyOf(subnet) === family);
      return claimPool(family, asked, {
        pools: this.pools,
        taken,
        isolated: bridge.modes[family] === "isolated",
      });
    });
    const record = newNetwork(name, {
      driver: "bridge",
      internal,
      attachable,
      ...enabled,
      ipam: { driver: "default", options: ipam.options, config },
      options,
      labels,
      ...(configFrom !== "" && { configFrom }),
    });
    record.bridge = bridge.name ?? `br-${record.id.slice(0, 12)}`;
    return record;
  }

  #createConfig(request: CreateNetwork): { id: string; warning: string } {
    checkConfigOnly(request);
    const { driver, options } = request.ipam;
    const config = request.ipam.config.flatMap(({ subnet, ...rest }) =>
      subnet ? [{ ...rest, subnet }] : [],
    );
    const record = newNetwork(request.name, {
      driver: "null",
      enableIPv4: request.enableIPv4 ?? true,
      enableIPv6: request.enableIPv6 ?? false,
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
        ipv6Address: endpoint.globalIPv6Address
          ? `${endpoint.globalIPv6Address}/${endpoint.globalIPv6PrefixLen}`
          : "",
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
   * Gives an endpoint its id and its addresses of these families, in place. Addresses are taken from what no other
   * endpoint of the network holds now; a requested one is reserved for its container even while that is stopped.
   */
  assign(record: NetworkRecord, endpoint: EndpointState, wanted: readonly Family[]): void {
    const give = (family: Family) => {
      const pool = wanted.includes(family) ? poolOf(record, family) : undefined;
      if (!pool) return { address: "", length: 0, gateway: "" };
      return {
        address: this.takeAddress(record, family, endpoint),
        length: lengthOf(pool.subnet),
        gateway: record.internal ? "" : (pool.gateway ?? ""),
      };
    };
    const [v4, v6] = [give(4), give(6)];
    endpoint.endpointId = randomBytes(32).toString("hex");
    endpoint.ipAddress = v4.address;
    endpoint.ipPrefixLen = v4.length;
    endpoint.gateway = v4.gateway;
    endpoint.globalIPv6Address = v6.address;
    endpoint.globalIPv6PrefixLen = v6.length;
    endpoint.ipv6Gateway = v6.gateway;
    endpoint.macAddress = endpoint.config.MacAddress || macFor(v4.address);
  }

  /** A free address of the network, or the one that `endpoint` asks for. @throws Conflict, InvalidParameter */
  takeAddress(record: NetworkRecord, family: Family, endpoint?: EndpointState): string {
    const pool = poolOf(record, family);
    if (!pool) throw new InvalidParameter(`network ${record.name} has no address pool`);
    const used = this.members
      .on(record.id)
      .filter((member) => member.endpoint !== endpoint)
      .flatMap(({ endpoint: { ipAddress, globalIPv6Address, config } }) => [
        ipAddress,
        globalIPv6Address,
        config.IPAMConfig?.IPv4Address ?? "",
        config.IPAMConfig?.IPv6Address ?? "",
      ])
      .filter((address) => address !== "");
    const asked = endpoint?.config.IPAMConfig;
    return allocateAddress({
      subnet: pool.subnet,
      ipRange: pool.ipRange,
      taken: [
        ...used,
        ...this.members.alsoTaken(),
        ...Object.values(pool.auxAddresses ?? {}),
        ...(pool.gateway ? [pool.gateway] : []),
      ],
      requested: (family === 4 ? asked?.IPv4Address : asked?.IPv6Address) || undefined,
    });
  }

  /** What `host-gateway` stands for: what the daemon was told, or the default bridge's own addresses. */
  hostGateways(): string[] {
    const told = this.context.options.hostGateways;
    if (told.length > 0) return told;
    return this.defaultBridge()?.ipam.config.flatMap(({ gateway }) => gateway ?? []) ?? [];
  }

  /** Subnets of the networks, but for those of `except`. */
  #subnets(except?: NetworkRecord): string[] {
    return this.#table
      .list()
      .filter(({ id, configOnly }) => !configOnly && id !== except?.id)
      .flatMap(({ ipam }) => ipam.config.map(({ subnet }) => subnet));
  }

  #ensurePredefined(): void {
    const put = (name: string, given: Parameters<typeof newNetwork>[1]) => {
      const record = newNetwork(name, given);
      this.#table.put(record.id, record);
    };
    if (!this.#table.by("name", "host")) put("host", { driver: "host" });
    if (!this.#table.by("name", "none")) put("none", { driver: "null" });
    const old = this.#table.by("name", "bridge");
    const { options } = this.context;
    if (options.bridge === noBridge) {
      if (old) this.#table.delete(old.id);
      return;
    }
    const wanted = defaultBridge(options, old, this.pools, this.#subnets(old));
    bridgeOptions(wanted.options);
    if (old && old.bridge === wanted.bridge && poolOf(old, 4)?.subnet === poolOf(wanted, 4)?.subnet) {
      // The same network with what the daemon is told today.
      const next = { ...old, ...wanted };
      if (JSON.stringify(next) !== JSON.stringify(old)) this.#table.put(old.id, next);
      return;
    }
    if (old) this.#table.delete(old.id);
    put("bridge", wanted);
  }

  #ensureBridge(record: NetworkRecord): void {
    if (record.driver !== "bridge") return;
    const { mtu, masquerade, icc, modes } = bridgeOptions(record.options);
    const { id: networkId, bridge, internal } = record;
    const carried = Object.fromEntries(familiesOf(record).map((family) => [family, modes[family]]));
    this.context.network.ensureBridge({
      ...{ networkId, bridge, internal, mtu, masquerade, icc },
      gateways: gatewaysOf(record),
      modes: carried,
    });
  }
}
