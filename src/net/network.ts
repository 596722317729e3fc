/** The network layer put together over one netlink socket, one firewall and the sandboxes of an exec root. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { InvalidParameter } from "../lib/errors.ts";
import { type Family, families } from "../lib/ip.ts";
import { deleteLink, NetlinkSocket } from "../linux/netlink/index.ts";
import { Bridges, portFlags } from "./bridges.ts";
import { NameServers } from "./dns/server.ts";
import { Endpoints } from "./endpoints.ts";
import { Firewall } from "./firewall.ts";
import { Labels } from "./labels.ts";
import { Ports } from "./ports.ts";
import { Sandboxes } from "./sandboxes.ts";
import type {
  BridgeSpec,
  EndpointSpec,
  Forwarding,
  InterfaceCounters,
  NameSource,
  Network,
  NetworkOptions,
  OpenNetwork,
  Publication,
  PublishedPort,
  Sandbox,
} from "./types.ts";

class KernelNetwork implements Network {
  readonly #host = new NetlinkSocket();
  readonly #specs = new Map<string, BridgeSpec>();
  readonly #firewall: Firewall;
  readonly #sandboxes: Sandboxes;
  readonly #bridges: Bridges;
  readonly #endpoints: Endpoints;
  readonly #ports: Ports;
  readonly #names: NameServers;

  constructor({ execRoot, instance, filtered = families }: NetworkOptions) {
    const labels = new Labels(instance);
    this.#firewall = new Firewall(instance, filtered.filter(hostHas));
    this.#sandboxes = new Sandboxes(execRoot, this.#host);
    this.#bridges = new Bridges(this.#host, labels);
    this.#endpoints = new Endpoints(this.#host, this.#sandboxes, labels);
    this.#ports = new Ports(this.#firewall);
    this.#names = new NameServers(this.#sandboxes);
  }

  get forwarding(): Forwarding {
    return {
      ipv4: isSet("ipv4/ip_forward"),
      bridgedIpv4: isSet("bridge/bridge-nf-call-iptables"),
      bridgedIpv6: isSet("bridge/bridge-nf-call-ip6tables"),
    };
  }

  ensureBridge(spec: BridgeSpec): void {
    this.#bridges.ensure(spec);
    this.#firewall.addBridge(spec);
    this.#specs.set(spec.bridge, spec);
  }

  removeBridge(_networkId: string, bridge: string): void {
    this.#bridges.remove(bridge);
    this.#firewall.removeBridge(bridge);
    this.#specs.delete(bridge);
  }

  createSandbox(id: string, source?: string): Sandbox {
    return this.#sandboxes.create(id, source);
  }

  removeSandbox(id: string): void {
    this.#names.stop(id);
    this.#sandboxes.remove(id);
  }

  listSandboxes(): string[] {
    return this.#sandboxes.list();
  }

  connect(sandboxId: string, endpoint: EndpointSpec): void {
    this.#endpoints.connect(sandboxId, endpoint, portFlags(this.#specs.get(endpoint.bridge)?.icc ?? true));
  }

  disconnect(_sandboxId: string, endpoint: Pick<EndpointSpec, "interfaceName" | "endpointId">): void {
    this.#endpoints.disconnect(endpoint.endpointId);
  }

  async publish(owner: string, port: PublishedPort): Promise<Publication> {
    return this.#ports.publish(owner, port);
  }

  async unpublish(owner: string): Promise<void> {
    this.#ports.unpublish(owner);
  }

  async serveNames(sandboxId: string, names: NameSource): Promise<void> {
    this.#names.serve(sandboxId, names);
  }

  stopNames(sandboxId: string): void {
    this.#names.stop(sandboxId);
  }

  counters(sandboxId: string): Record<string, InterfaceCounters> {
    return this.#sandboxes.counters(sandboxId);
  }

  reconcile(known: { bridges: string[]; endpoints: string[]; sandboxes: string[] }): void {
    for (const id of this.listSandboxes()) if (!known.sandboxes.includes(id)) this.removeSandbox(id);
    const surplus = [
      ...this.#endpoints.list().filter(({ endpointId }) => !known.endpoints.includes(endpointId)),
      ...this.#bridges.list().filter(({ name }) => !known.bridges.includes(name)),
    ];
    for (const { name } of surplus) {
      this.#host.execute(deleteLink(name));
      this.#specs.delete(name);
    }
    this.#firewall.replace([...this.#specs.values()], this.#ports.forwarded());
  }

  /** Bridges, sandboxes and rules stay for the containers that go on; without any, nothing stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#names.close();
    this.#ports.close();
    // A namespace that is gone lives on while a connection in it waits for its other end, and its links with it.
    if (this.listSandboxes().length === 0)
      for (const { name } of [...this.#endpoints.list(), ...this.#bridges.list()])
        this.#host.execute(deleteLink(name));
    if (this.#bridges.list().length === 0) this.#firewall.remove();
    this.#firewall[Symbol.dispose]();
    this.#sandboxes[Symbol.dispose]();
    this.#host[Symbol.dispose]();
  }
}

const hostHas = (family: Family) => family === 4 || existsSync("/proc/sys/net/ipv6");

/** A switch below /proc/sys/net; one whose module isn't loaded is off. */
function isSet(name: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/${name}`, "utf8").trim() === "1";
  } catch {
    return false;
  }
}

/** @throws InvalidParameter for an instance name that is none; Errno, NftError when the kernel refuses */
export const openNetwork: OpenNetwork = async (options) => {
  if (!/^[a-z0-9]{1,8}$/.test(options.instance))
    throw new InvalidParameter(`invalid instance name: ${options.instance}`);
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
  return new KernelNetwork(options);
};
