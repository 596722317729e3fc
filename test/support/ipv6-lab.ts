/** A daemon, another machine beside it, and what tests of IPv6 ask of both. */
import { afterAll, beforeAll, describe } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { type Result, run, TestDaemon } from "./daemon.ts";
import { disposeAll } from "./dispose.ts";
import { Outside } from "./outside.ts";

/** As `describe`, where the host has IPv6. */
export const describeIpv6 = describe.skipIf(!existsSync("/proc/sys/net/ipv6"));

/** A web server whose page is `text`, for both families. */
export const serve = (text: string, port = 80) => [
  "busybox",
  "sh",
  "-c",
  `echo ${text} >/tmp/index.html; exec httpd -f -p ${port} -h /tmp`,
];

/** For a page that must not be there: it is asked for once, for a second. */
export const once = 1;

const fetching = (url: string, tries = 300) =>
  `for i in $(seq ${tries}); do timeout ${tries > 1 ? 10 : 1} wget -qO- '${url}' && exit; sleep 0.1; done; echo nothing`;

export const say = async (result: Promise<Result>) => (await result).stdout.trim();

export interface Endpoint {
  IPAddress: string;
  Gateway: string;
  GlobalIPv6Address: string;
  GlobalIPv6PrefixLen: number;
  IPv6Gateway: string;
  MacAddress: string;
}

/** Made for the test file that calls this, before its tests, and gone after them. */
export function ipv6Lab() {
  let daemon: TestDaemon;
  let outside: Outside;
  /** The file's own; subnets are `${base}:${n}::/64`. */
  const base = `fd${randomBytes(1).toString("hex")}:${randomBytes(2).toString("hex").replace(/^0+/, "1")}:1`;
  const wire = { ours: `${base}:ffff::1`, theirs: `${base}:ffff::2` };
  beforeAll(async () => {
    daemon = await TestDaemon.start();
    // Of the range for tests between networks (RFC 2544).
    const old = `198.18.${randomBytes(1).readUInt8()}`;
    outside = await Outside.open([
      { ours: `${wire.ours}/64`, theirs: `${wire.theirs}/64` },
      { ours: `${old}.1/24`, theirs: `${old}.2/24` },
    ]);
  });
  afterAll(() => disposeAll(outside, daemon));
  const shown = (what: string, format: string) => daemon.ok(["inspect", "-f", format, what]);
  return {
    get daemon() {
      return daemon;
    },
    get outside() {
      return outside;
    },
    base,
    /** The host's address on the wire between the two, and the other machine's. */
    wire,
    shown,
    /** The page at a URL, asked for until it's there; `nothing` when it never is. */
    fromHost: (url: string, tries?: number) => say(run(["busybox", "sh", "-c", fetching(url, tries)])),
    fromOutside: (url: string, tries?: number) =>
      say(outside.run("busybox", "sh", "-c", fetching(url, tries))),
    fromContainer: (container: string, url: string, tries?: number) =>
      daemon.ok(["exec", container, "sh", "-c", fetching(url, tries)]),
    async pings(container: string, address: string, seconds = 20): Promise<boolean> {
      return (await daemon.gantry(["exec", container, "ping", "-c1", `-W${seconds}`, address])).code === 0;
    },
    async endpoint(container: string, network: string): Promise<Endpoint> {
      return JSON.parse(await shown(container, `{{json (index .NetworkSettings.Networks "${network}")}}`));
    },
    async pools(network: string): Promise<{ Subnet: string; Gateway?: string; IPRange?: string }[]> {
      return JSON.parse(await daemon.ok(["network", "inspect", "-f", "{{json .IPAM.Config}}", network]));
    },
    async port(container: string, key = "80"): Promise<string> {
      return (await daemon.ok(["port", container, key])).split("\n")[0]!.split(":").at(-1)!;
    },
    /** A container that does nothing. */
    sleeper: (name: string, network: string, ...args: string[]) =>
      daemon.ok(["run", "-d", "--name", name, "--network", network, ...args, "busybox", "sleep", "1000"]),
    /** Removes what a test has made, however it ends. */
    async within(work: () => Promise<void>, containers: string[], networks: string[]): Promise<void> {
      try {
        await work();
      } finally {
        await daemon.gantry(["rm", "-f", "-v", ...containers]);
        if (networks.length > 0) await daemon.gantry(["network", "rm", ...networks]);
      }
    },
  };
}
