import { randomBytes } from "node:crypto";
import { Conflict, Forbidden } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import { type Family, families, familyOf } from "../../lib/ip.ts";
import type { PublishedPort } from "../../net/types.ts";
import { bridgeOptions } from "../bridge-options.ts";
import type { EndpointConfig, PortMap } from "../config.ts";
import type { Context } from "../context.ts";
import { interfaceSysctls } from "../endpoint-check.ts";
import type { NetworkService } from "../networks.ts";
import type { ContainerRecord, EndpointState, NetworkRecord } from "../types.ts";
import { addressOf, nameSource } from "./names.ts";
import { publishPorts } from "./publishing.ts";
import { isRunning } from "./state.ts";
import type { ContainerTable } from "./table.ts";

/** An endpoint that is asked for and not yet given. */
export function newEndpoint(network: NetworkRecord, config: EndpointConfig): EndpointState {
  return {
    networkName: network.name,
    networkId: network.id,
    config,
    endpointId: "",
    gateway: "",
    ipAddress: "",
    ipPrefixLen: 0,
    ipv6Gateway: "",
    globalIPv6Address: "",
    globalIPv6PrefixLen: 0,
    macAddress: "",
    dnsNames: [],
  };
}

/** `container:<target>`'s target, if the mode is that. */
export const sharedWith = (networkMode: string) =>
  networkMode.startsWith("container:") ? networkMode.slice("container:".length) : undefined;

/** Docker's words for a network that is none. */
export const noEndpoint = "cannot create endpoint on configuration-only network";

interface Joined {
  network: NetworkRecord;
  endpoint: EndpointState;
}

const priorityOf = ({ endpoint }: Joined) => endpoint.config.GwPriority ?? 0;

/** The endpoint that leads out, by family. */
type WaysOut = Partial<Record<Family, Joined>>;

/**
 * Of those that lead out in a family, the first of the highest priority has its default route and the published ports;
 * an internal network has neither.
 */
function waysOut(endpoints: Joined[]): WaysOut {
  const ways: WaysOut = {};
  for (const family of families) {
    const leading = endpoints.filter(
      ({ network, endpoint }) => !network.internal && addressOf(endpoint, family) !== "",
    );
    const highest = Math.max(...leading.map(priorityOf));
    const way = leading.find((joined) => priorityOf(joined) === highest);
    if (way) ways[family] = way;
  }
  return ways;
}

const leads = (ways: WaysOut, endpoint: EndpointState) =>
  Object.values(ways).some((way) => way.endpoint === endpoint);

/** Families that a container can have addresses of: IPv6 is switched off by a sysctl. */
const carried = ({ hostConfig: { Sysctls } }: ContainerRecord): readonly Family[] =>
  Sysctls?.["net.ipv6.conf.all.disable_ipv6"] === "1" ? [4] : families;

/** Joins containers to their networks: sandbox, endpoints, ports and names. */
export class Networking {
  constructor(
    private readonly context: Context,
    private readonly table: ContainerTable,
    private readonly networks: NetworkService,
  ) {}

  /**
   * Everything for a container about to start. Returns the namespace's path, undefined for the host's.
   * @param namespace path of a new one to take, in place of making it
   * @throws Conflict for a taken port or address; the caller then calls `tearDown`
   */
  async setUp(record: ContainerRecord, namespace?: string): Promise<string | undefined> {
    const mode = record.hostConfig.NetworkMode;
    this.#joinWithoutLink(record);
    if (mode === "host") return undefined;
    const peer = sharedWith(mode);
    if (peer) {
      const other = this.table.find(peer).record;
      if (!isRunning(other))
        throw new Conflict(`cannot join network of a non running container: ${other.id}`);
      return `/proc/${other.state.pid}/ns/net`;
    }
    const sandbox = this.context.network.createSandbox(record.id, namespace);
    record.sandboxId = record.id;
    const endpoints = this.#bridged(record);
    for (const { network, endpoint } of endpoints) this.networks.assign(network, endpoint, carried(record));
    const ways = waysOut(endpoints);
    for (const [index, joined] of endpoints.entries()) this.#connect(record, joined, `eth${index}`, ways);
    await this.#publish(record, ways);
    await this.#serveNames(record);
    return sandbox.path;
  }

  /** After a restart of the daemon: what the kernel does not keep without us. */
  async resume(record: ContainerRecord): Promise<void> {
    if (record.sandboxId === "") return;
    await this.#publish(record, waysOut(this.#bridged(record)), record.ports);
    await this.#serveNames(record);
  }

  /** Gives everything back. Nothing there is no error. */
  async tearDown(record: ContainerRecord): Promise<void> {
    await this.context.network.unpublish(record.id);
    for (const endpoint of Object.values(record.endpoints)) {
      if (endpoint.endpointId === "") continue;
      const network = this.networks.find(endpoint.networkId);
      Object.assign(endpoint, newEndpoint(network, endpoint.config));
      this.networks.event(network, "disconnect", { container: record.id });
    }
    record.ports = {};
    if (record.sandboxId === "") return;
    this.context.network.stopNames(record.sandboxId);
    this.context.network.removeSandbox(record.sandboxId);
    record.sandboxId = "";
  }

  /** `network connect` on a running container; a stopped one only remembers. */
  async attach(record: ContainerRecord, network: NetworkRecord, config: EndpointConfig): Promise<void> {
    const endpoint = newEndpoint(network, config);
    record.endpoints[network.name] = endpoint;
    if (!isRunning(record) || network.driver !== "bridge") return;
    const taken = new Set(Object.keys(this.context.network.counters(record.sandboxId)));
    let index = 0;
    while (taken.has(`eth${index}`)) index++;
    const before = waysOut(this.#bridged(record, network));
    const waysNow = () => waysOut(this.#bridged(record));
    try {
      this.networks.assign(network, endpoint, carried(record));
      const ways = waysNow();
      this.#connect(record, { network, endpoint }, `eth${index}`, ways);
      if (leads(ways, endpoint)) {
        const present = Object.keys(before).length > 0 ? record.ports : undefined;
        await this.context.network.unpublish(record.id);
        await this.#publish(record, ways, present);
      }
      await this.#serveNames(record);
    } catch (error) {
      const led = leads(waysNow(), endpoint);
      delete record.endpoints[network.name];
      if (endpoint.interfaceName) {
        this.context.network.disconnect(record.sandboxId, {
          endpointId: endpoint.endpointId,
          interfaceName: endpoint.interfaceName,
        });
        if (led) await this.#leadOutAnew(record);
      }
      throw error;
    }
  }

  /** `network disconnect`. */
  async detach(record: ContainerRecord, network: NetworkRecord): Promise<void> {
    const endpoint = record.endpoints[network.name];
    if (!endpoint) return;
    const led = isRunning(record) && leads(waysOut(this.#bridged(record)), endpoint);
    delete record.endpoints[network.name];
    if (endpoint.endpointId === "") return;
    if (led) await this.context.network.unpublish(record.id);
    if (network.driver === "bridge")
      this.context.network.disconnect(record.sandboxId, {
        endpointId: endpoint.endpointId,
        interfaceName: endpoint.interfaceName ?? "eth0",
      });
    if (led) await this.#leadOutAnew(record);
    this.networks.event(network, "disconnect", { container: record.id });
  }

  /** After a way out was left: other networks that lead out take its routes and its ports. */
  async #leadOutAnew(record: ContainerRecord): Promise<void> {
    const ways = waysOut(this.#bridged(record));
    for (const way of new Set(Object.values(ways))) this.#link(record, way, ways);
    await this.context.network.unpublish(record.id);
    await this.#publish(record, ways, record.ports);
  }

  /** User-defined networks have the embedded DNS; the default bridge does not, as in Docker. */
  needsNames(record: ContainerRecord): boolean {
    return this.#bridged(record).some(({ network }) => network.name !== "bridge");
  }

  /** Whether a container has IPv6, if only on its loopback. */
  hasIpv6(record: ContainerRecord): boolean {
    return carried(record).includes(6);
  }

  /** What `host-gateway` stands for in its /etc/hosts. */
  hostGateways(): string[] {
    return this.networks.hostGateways();
  }

  /** Addresses for the container's own lines in /etc/hosts. */
  addresses(record: ContainerRecord): string[] {
    return Object.values(record.endpoints)
      .flatMap((endpoint) => families.map((family) => addressOf(endpoint, family)))
      .filter((address) => address !== "");
  }

  /** The container's endpoints that are links, but for the one on `other`. */
  #bridged(record: ContainerRecord, other?: NetworkRecord): Joined[] {
    return (
      Object.values(record.endpoints)
        .map((endpoint) => ({
          endpoint,
          network: this.networks.find(endpoint.networkId || endpoint.networkName),
        }))
        .filter(({ network }) => network.driver === "bridge" && network.id !== other?.id)
        // The network of --network is eth0 and, unless another has a higher priority, has the default route.
        .sort(
          (a, b) =>
            Number(b.network.name === record.hostConfig.NetworkMode) -
            Number(a.network.name === record.hostConfig.NetworkMode),
        )
    );
  }

  #connect(record: ContainerRecord, joined: Joined, interfaceName: string, ways: WaysOut): void {
    const { network, endpoint } = joined;
    endpoint.networkId = network.id;
    endpoint.interfaceName = interfaceName;
    // On the default bridge names do not resolve, so none are given.
    endpoint.dnsNames =
      network.name === "bridge"
        ? []
        : [...new Set([record.name, ...(endpoint.config.Aliases ?? []), shortId(record.id)])];
    this.#link(record, joined, ways);
    this.networks.event(network, "connect", { container: record.id });
  }

  /** The networks `host` and `none` give nothing, but who is on them is known. */
  #joinWithoutLink(record: ContainerRecord): void {
    for (const endpoint of Object.values(record.endpoints)) {
      const network = this.networks.find(endpoint.networkId || endpoint.networkName);
      if (network.configOnly) throw new Forbidden(noEndpoint);
      if (network.driver === "bridge") continue;
      endpoint.networkId = network.id;
      endpoint.endpointId = randomBytes(32).toString("hex");
      this.networks.event(network, "connect", { container: record.id });
    }
  }

  /** Makes the link, or gives one that is there the default routes. */
  #link(record: ContainerRecord, { network, endpoint }: Joined, ways: WaysOut): void {
    const { endpointId, interfaceName = "eth0", macAddress, ipAddress, globalIPv6Address } = endpoint;
    const own = [
      ipAddress && `${ipAddress}/${endpoint.ipPrefixLen}`,
      globalIPv6Address && `${globalIPv6Address}/${endpoint.globalIPv6PrefixLen}`,
    ];
    // Of a family that the interface hasn't, there is nothing on the link to talk to.
    const local = (endpoint.config.IPAMConfig?.LinkLocalIPs ?? [])
      .filter((address) => addressOf(endpoint, familyOf(address)) !== "")
      .map((address) => `${address}/${familyOf(address) === 4 ? 16 : 64}`);
    const gateways = [
      ways[4]?.endpoint === endpoint ? endpoint.gateway : "",
      ways[6]?.endpoint === endpoint ? endpoint.ipv6Gateway : "",
    ];
    this.context.network.connect(record.sandboxId, {
      networkId: network.id,
      ...{ endpointId, bridge: network.bridge, interfaceName, macAddress },
      addresses: [...own.filter((address) => address !== ""), ...local],
      gateways: gateways.filter((gateway) => gateway !== ""),
      mtu: bridgeOptions(network.options).mtu,
      sysctls: interfaceSysctls(endpoint.config, interfaceName),
    });
  }

  /** Publishes on the endpoints that lead out, if there are any; `present` are ports that were chosen before. */
  async #publish(record: ContainerRecord, ways: WaysOut, present?: PortMap): Promise<void> {
    const first = ways[4] ?? ways[6];
    if (!first) {
      record.ports = {};
      return;
    }
    const targets: PublishedPort["targets"] = {};
    for (const family of families) {
      const way = ways[family];
      if (!way) continue;
      const routed = bridgeOptions(way.network.options).modes[family] === "routed";
      targets[family] = { address: addressOf(way.endpoint, family), routed };
    }
    const { hostIp } = bridgeOptions(first.network.options);
    record.ports = await publishPorts(this.context.network, record, { targets, hostIp }, present);
  }

  async #serveNames(record: ContainerRecord): Promise<void> {
    if (!this.needsNames(record)) return;
    const neighbours = () => {
      const mine = new Set(
        this.#bridged(record)
          .filter(({ network }) => network.name !== "bridge")
          .map(({ network }) => network.id),
      );
      return this.table.all().flatMap((container) =>
        Object.values(container.record.endpoints)
          .filter((endpoint) => endpoint.endpointId !== "" && mine.has(endpoint.networkId))
          .map((endpoint) => ({ endpoint, record: container.record })),
      );
    };
    const upstream = [record.hostConfig.Dns, this.context.options.dns].find((servers) => servers.length > 0);
    await this.context.network.serveNames(record.id, nameSource(record, neighbours, upstream));
  }
}
