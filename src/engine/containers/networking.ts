import { randomBytes } from "node:crypto";
import { Conflict, Forbidden, InvalidParameter } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import type { NameSource, Publication, PublishedPort } from "../../net/types.ts";
import type { EndpointConfig, PortMap } from "../config.ts";
import type { Context } from "../context.ts";
import { hostIpOption, type NetworkService } from "../networks.ts";
import type { ContainerRecord, EndpointState, NetworkRecord } from "../types.ts";
import { parseLink } from "./links.ts";
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

/**
 * Of those that lead out, the first of the highest priority has the default route and the published ports; an
 * internal network has neither.
 */
function wayOut(endpoints: Joined[]): Joined | undefined {
  const leading = endpoints.filter(({ network }) => !network.internal);
  const highest = Math.max(...leading.map(priorityOf));
  return leading.find((joined) => priorityOf(joined) === highest);
}

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
    const way = wayOut(endpoints);
    for (const [index, joined] of endpoints.entries()) {
      this.networks.assign(joined.network, joined.endpoint);
      this.#connect(record, joined, `eth${index}`, joined === way);
    }
    await this.#publish(record, way?.endpoint);
    if (this.needsNames(record)) await this.context.network.serveNames(record.id, this.#namesFor(record));
    return sandbox.path;
  }

  /** After a restart of the daemon: what the kernel does not keep without us. */
  async resume(record: ContainerRecord): Promise<void> {
    if (record.sandboxId === "") return;
    await this.#publish(record, wayOut(this.#bridged(record))?.endpoint, record.ports);
    if (this.needsNames(record)) await this.context.network.serveNames(record.id, this.#namesFor(record));
  }

  /** Gives everything back. Nothing there is no error. */
  async tearDown(record: ContainerRecord): Promise<void> {
    for (const endpoint of Object.values(record.endpoints)) {
      if (endpoint.endpointId === "") continue;
      await this.context.network.unpublish(endpoint.endpointId);
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
    const before = wayOut(this.#bridged(record, network));
    const isWayOut = wayOut(this.#bridged(record))?.endpoint === endpoint;
    try {
      this.networks.assign(network, endpoint);
      this.#connect(record, { network, endpoint }, `eth${index}`, isWayOut);
      if (isWayOut) {
        if (before) await this.context.network.unpublish(before.endpoint.endpointId);
        await this.#publish(record, endpoint, before && record.ports);
      }
      await this.context.network.serveNames(record.id, this.#namesFor(record));
    } catch (error) {
      delete record.endpoints[network.name];
      if (endpoint.interfaceName) {
        await this.context.network.unpublish(endpoint.endpointId);
        this.context.network.disconnect(record.sandboxId, {
          endpointId: endpoint.endpointId,
          interfaceName: endpoint.interfaceName,
        });
        if (isWayOut && before) await this.#leadOutAnew(record);
      }
      throw error;
    }
  }

  /** `network disconnect`. */
  async detach(record: ContainerRecord, network: NetworkRecord): Promise<void> {
    const endpoint = record.endpoints[network.name];
    if (!endpoint) return;
    const wasWayOut = isRunning(record) && wayOut(this.#bridged(record))?.endpoint === endpoint;
    delete record.endpoints[network.name];
    if (endpoint.endpointId === "") return;
    if (network.driver === "bridge") {
      await this.context.network.unpublish(endpoint.endpointId);
      this.context.network.disconnect(record.sandboxId, {
        endpointId: endpoint.endpointId,
        interfaceName: endpoint.interfaceName ?? "eth0",
      });
    }
    if (wasWayOut) await this.#leadOutAnew(record);
    this.networks.event(network, "disconnect", { container: record.id });
  }

  /** After the way out was left: another network that leads out takes its route and its ports. */
  async #leadOutAnew(record: ContainerRecord): Promise<void> {
    const way = wayOut(this.#bridged(record));
    if (way) this.#link(record, way, true);
    await this.#publish(record, way?.endpoint, way && record.ports);
  }

  /** User-defined networks have the embedded DNS; the default bridge does not, as in Docker. */
  needsNames(record: ContainerRecord): boolean {
    return this.#bridged(record).some(({ network }) => network.name !== "bridge");
  }

  /** Addresses for the container's own line in /etc/hosts. */
  addresses(record: ContainerRecord): string[] {
    return Object.values(record.endpoints).flatMap((endpoint) =>
      endpoint.ipAddress ? [endpoint.ipAddress] : [],
    );
  }

  /** What `host-gateway` stands for: what the daemon was told, or the default bridge's own address. */
  hostGateway(): string {
    return this.context.options.hostGateway ?? this.networks.defaultBridge()?.ipam.config[0]?.gateway ?? "";
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

  #connect(record: ContainerRecord, joined: Joined, interfaceName: string, isDefault: boolean): void {
    const { network, endpoint } = joined;
    endpoint.networkId = network.id;
    endpoint.interfaceName = interfaceName;
    // On the default bridge names do not resolve, so none are given.
    endpoint.dnsNames =
      network.name === "bridge"
        ? []
        : [...new Set([record.name, ...(endpoint.config.Aliases ?? []), shortId(record.id)])];
    this.#link(record, joined, isDefault);
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

  /** Makes the link, or gives one that is there the default route. */
  #link(record: ContainerRecord, { network, endpoint }: Joined, isDefault: boolean): void {
    const mtu = network.options["com.docker.network.driver.mtu"];
    this.context.network.connect(record.sandboxId, {
      networkId: network.id,
      endpointId: endpoint.endpointId,
      bridge: network.bridge,
      interfaceName: endpoint.interfaceName ?? "eth0",
      macAddress: endpoint.macAddress,
      addresses: [`${endpoint.ipAddress}/${endpoint.ipPrefixLen}`],
      gateways: isDefault && endpoint.gateway ? [endpoint.gateway] : [],
      mtu: mtu ? Number(mtu) : undefined,
    });
  }

  /** Publishes on the endpoint that leads out, if there is one; `fixed` repeats the ports that were chosen before. */
  async #publish(
    record: ContainerRecord,
    endpoint: EndpointState | undefined,
    fixed?: PortMap,
  ): Promise<void> {
    if (!endpoint) {
      record.ports = {};
      return;
    }
    const ports: PortMap = {};
    const hostIp = this.networks.find(endpoint.networkId).options[hostIpOption] || "0.0.0.0";
    for (const [key, bindings] of Object.entries(fixed ?? this.#askedPorts(record))) {
      const [containerPort, protocol] = parsePort(key);
      ports[key] = bindings === null ? null : [];
      for (const binding of bindings ?? []) {
        const published = await this.#publishOne(
          endpoint,
          {
            protocol,
            containerPort,
            hostIp: binding.HostIp || (hostIp === "0.0.0.0" ? "" : hostIp),
            hostPort: 0,
            containerIp: endpoint.ipAddress,
          },
          binding.HostPort,
        );
        const HostPort = String(published.hostPort);
        ports[key]!.push(...published.hostIps.map((HostIp) => ({ HostIp, HostPort })));
      }
    }
    record.ports = ports;
  }

  /** A host port may be a range: the first free one is taken. */
  async #publishOne(endpoint: EndpointState, port: PublishedPort, asked: string): Promise<Publication> {
    const [first, last = first] = (asked === "" ? "0" : asked).split("-").map(Number) as [number, number?];
    for (let hostPort = first; ; hostPort++) {
      try {
        return await this.context.network.publish(endpoint.endpointId, { ...port, hostPort });
      } catch (error) {
        if (!(error instanceof Conflict) || hostPort >= last) throw error;
      }
    }
  }

  #askedPorts(record: ContainerRecord): PortMap {
    const asked: PortMap = {};
    for (const key of Object.keys(record.config.ExposedPorts ?? {})) {
      asked[key] = record.hostConfig.PublishAllPorts ? [{ HostIp: "", HostPort: "" }] : null;
    }
    for (const [key, bindings] of Object.entries(record.hostConfig.PortBindings)) {
      if (bindings !== null && bindings.length > 0) asked[key] = bindings;
    }
    return asked;
  }

  /** What the embedded DNS knows for one container: its neighbours on the user-defined networks. */
  #namesFor(record: ContainerRecord): NameSource {
    const neighbours = () => {
      const mine = new Set(
        this.#bridged(record)
          .filter(({ network }) => network.name !== "bridge")
          .map(({ network }) => network.id),
      );
      return this.table.all().flatMap((container) =>
        Object.values(container.record.endpoints)
          .filter((endpoint) => endpoint.endpointId !== "" && mine.has(endpoint.networkId))
          .map((endpoint) => ({ endpoint, container })),
      );
    };
    return {
      lookup: (name, family) => {
        const wanted = name.toLowerCase().replace(/\.$/, "");
        if (wanted === "host.docker.internal" || wanted === "gateway.docker.internal") return undefined;
        const links = linkTargets(record, wanted);
        const found = neighbours().filter(
          ({ endpoint, container: { record: other } }) =>
            endpoint.dnsNames.some(
              (own) =>
                own.toLowerCase() === wanted || `${own}.${endpoint.networkName}`.toLowerCase() === wanted,
            ) ||
            links.some(
              ({ network, target }) =>
                endpoint.networkId === network && (other.name === target || other.id.startsWith(target)),
            ),
        );
        if (found.length === 0) return undefined;
        return family === 4 ? found.map(({ endpoint }) => endpoint.ipAddress) : [];
      },
      reverse: (address) => {
        const found = neighbours().find(({ endpoint }) => endpoint.ipAddress === address);
        return found && `${found.container.record.name}.${found.endpoint.networkName}`;
      },
      upstream:
        record.hostConfig.Dns.length > 0
          ? record.hostConfig.Dns
          : this.context.options.dns.length > 0
            ? this.context.options.dns
            : undefined,
    };
  }
}

/** The containers that a name means by the links of an endpoint. */
function linkTargets(record: ContainerRecord, name: string): { network: string; target: string }[] {
  return Object.values(record.endpoints).flatMap(({ networkId: network, config }) =>
    (config.Links ?? [])
      .map(parseLink)
      .filter(({ alias }) => alias.toLowerCase() === name)
      .map(({ target }) => ({ network, target })),
  );
}

/** `80/tcp` -> [80, "tcp"]. @throws InvalidParameter */
export function parsePort(key: string): [number, "tcp" | "udp" | "sctp"] {
  const match = /^(\d+)(?:\/(tcp|udp|sctp))?$/.exec(key);
  const port = Number(match?.[1]);
  if (!match || port < 1 || port > 65535)
    throw new InvalidParameter(`invalid port specification: ${JSON.stringify(key)}`);
  return [port, (match[2] ?? "tcp") as "tcp"];
}
