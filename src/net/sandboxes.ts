/** Sandboxes: network namespaces that live as bind mounts below the exec root. */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidParameter, NotFound } from "../lib/errors.ts";
import { Errno } from "../linux/libc.ts";
import {
  isNamespaceMount,
  keepNamespace,
  listNamespaceMounts,
  NetworkNamespaces,
  removeNamespaceMount,
} from "../linux/namespaces.ts";
import { listLinks, NetlinkSocket, routeSocket, setLink, setPortState } from "../linux/netlink/index.ts";
import type { SocketKind } from "../linux/sockets.ts";
import type { InterfaceCounters, Sandbox } from "./types.ts";

/** As Docker sets them; `default` holds for the interfaces that come later. */
const sysctls: [path: string, value: string][] = [
  ["net/ipv4/ip_unprivileged_port_start", "0"],
  ["net/ipv4/ping_group_range", "0 2147483647"],
  // Neighbours learn at once who has the address of a container that is gone.
  ["net/ipv4/conf/default/arp_notify", "1"],
  ["net/ipv6/conf/default/disable_ipv6", "1"],
];

export class Sandboxes implements Disposable {
  readonly #namespaces = new NetworkNamespaces();
  readonly #directory: string;

  /** @param host socket of the host's namespace, owned by the caller */
  constructor(
    execRoot: string,
    private readonly host: NetlinkSocket,
  ) {
    this.#directory = join(execRoot, "netns");
  }

  [Symbol.dispose](): void {
    this.#namespaces[Symbol.dispose]();
  }

  #pathOf(id: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(id)) throw new InvalidParameter(`invalid sandbox id: ${id}`);
    return join(this.#directory, id);
  }

  create(id: string, source?: string): Sandbox {
    const path = this.#pathOf(id);
    if (isNamespaceMount(path)) return { id, path };
    removeNamespaceMount(path);
    if (source === undefined) this.#namespaces.create(path);
    else keepNamespace(source, path);
    try {
      this.withNamespace(id, (namespace) => this.writeSysctls(namespace, sysctls, { forgive: true }));
      using netlink = this.openNetlink(id);
      netlink.execute(setLink("lo", { up: true }));
    } catch (error) {
      removeNamespaceMount(path);
      throw error;
    }
    return { id, path };
  }

  /**
   * Frees the namespace. The kernel takes its veth pairs down in the background, which spares the 20 ms that
   * deleting a link costs; until then their ports pass no frames, so that an address can be given out again.
   */
  remove(id: string): void {
    const path = this.#pathOf(id);
    if (isNamespaceMount(path)) {
      using netlink = this.openNetlink(id);
      const ports = listLinks(netlink).flatMap(({ kind, peer }) =>
        kind === "veth" && peer > 0 ? [peer] : [],
      );
      for (const port of ports) this.#disable(port);
    }
    removeNamespaceMount(path);
  }

  #disable(port: number): void {
    try {
      this.host.execute(setPortState(port, "disabled"));
    } catch (error) {
      // A crash came between the pair and its bridge, or the kernel was faster: then it passes no frames anyway.
      const harmless = error instanceof Errno && ["EOPNOTSUPP", "ENODEV"].includes(error.code);
      if (!harmless) throw error;
    }
  }

  list(): string[] {
    return listNamespaceMounts(this.#directory);
  }

  /** Opens a socket of the sandbox, which is the caller's to close. @throws NotFound, Errno */
  openSocket(id: string, kind: SocketKind): number {
    return this.withNamespace(id, (namespace) => this.#namespaces.openSocket(namespace, kind));
  }

  /** A netlink socket of the sandbox. @throws NotFound, Errno */
  openNetlink(id: string): NetlinkSocket {
    return new NetlinkSocket(this.openSocket(id, routeSocket));
  }

  /** Lends a descriptor of the namespace. @throws NotFound */
  withNamespace<T>(id: string, work: (fd: number) => T): T {
    const path = this.#pathOf(id);
    if (!isNamespaceMount(path)) throw new NotFound(`sandbox ${id} not found`);
    const fd = openSync(path, "r");
    try {
      return work(fd);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * @param paths below /proc/sys, with values
   * @param options `forgive`: what the kernel hasn't is left out
   * @throws InvalidParameter for one that there is not, Errno
   */
  writeSysctls(
    namespace: number,
    paths: readonly (readonly [path: string, value: string])[],
    { forgive = false } = {},
  ): void {
    for (const [path, value] of paths) {
      try {
        const fd = this.#namespaces.openFile(namespace, `/proc/sys/${path}`);
        try {
          writeFileSync(fd, value);
        } finally {
          closeSync(fd);
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        // A kernel without IPv6 lacks that part.
        if (!forgive) throw new InvalidParameter(`no such sysctl: ${path.replaceAll("/", ".")}`);
      }
    }
  }

  counters(id: string): Record<string, InterfaceCounters> {
    using netlink = this.openNetlink(id);
    const links = listLinks(netlink).filter((link) => link.name !== "lo");
    return Object.fromEntries(links.map((link) => [link.name, link.counters]));
  }
}
