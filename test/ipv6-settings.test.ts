/** The daemon's settings of IPv6. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { TestDaemon } from "./support/daemon.ts";
import { describeIpv6, ipv6Lab, serve } from "./support/ipv6-lab.ts";

const lab = ipv6Lab();
const { base, wire, fromHost } = lab;

describeIpv6("the daemon's settings", () => {
  test("IPv6 on the default bridge, its pools, and options of new networks", async () => {
    const settings = await TestDaemon.start({
      config: {
        ipv6: true,
        bip6: `${base}:50::fe/64`,
        "fixed-cidr-v6": `${base}:50::100/120`,
        "default-network-opts": {
          bridge: { "com.docker.network.enable_ipv6": "true", "com.docker.network.driver.mtu": "1400" },
        },
      },
      flags: ["--default-address-pool", `base=${base}:6000::/52,size=64`],
    });
    try {
      const ok = (...args: string[]) => settings.ok(args);
      const config = await ok("network", "inspect", "-f", "{{.EnableIPv6}} {{json .IPAM.Config}}", "bridge");
      expect(config).toStartWith("true ");
      expect(JSON.parse(config.slice(5))[1]).toEqual({
        Subnet: `${base}:50::/64`,
        IPRange: `${base}:50::100/120`,
        Gateway: `${base}:50::fe`,
      });
      const run = ["run", "-d", "--name", "old", "--add-host", "up:host-gateway", ...serve("old")];
      await ok(...run);
      expect(await ok("inspect", "-f", "{{.NetworkSettings.GlobalIPv6Address}}", "old")).toBe(
        `${base}:50::100`,
      );
      expect(await ok("exec", "old", "cat", "/etc/hosts")).toMatch(new RegExp(`^${base}:50::fe\tup$`, "m"));
      const linked = ["run", "--rm", "--link", "old:theirs", "busybox", "cat", "/etc/hosts"];
      expect(await ok(...linked)).toMatch(new RegExp(`^${base}:50::100\ttheirs `, "m"));
      expect(await ok("run", "--rm", "busybox", "ping", "-c1", "-W20", `${base}:50::100`)).toContain(
        "1 packets received",
      );

      await ok("network", "create", "new");
      const made = await ok("network", "inspect", "-f", "{{.EnableIPv6}} {{json .Options}}", "new");
      expect(made).toStartWith("true ");
      expect(JSON.parse(made.slice(5))).toEqual({
        "com.docker.network.driver.mtu": "1400",
        "com.docker.network.enable_ipv6": "true",
      });
      expect(await ok("network", "inspect", "-f", "{{(index .IPAM.Config 1).Subnet}}", "new")).toBe(
        `${base}:6000::/64`,
      );
      await ok("network", "create", "--ipv6=false", "-o", "com.docker.network.driver.mtu=1300", "newer");
      expect(await ok("network", "inspect", "-f", "{{.EnableIPv6}} {{json .Options}}", "newer")).toBe(
        'false {"com.docker.network.driver.mtu":"1300"}',
      );
      const dockerfile = "FROM busybox\nRUN ip -6 -o addr show eth0 scope global >/address\nCMD cat /address";
      const built = await settings.gantry(["build", "-q", "-t", "stepped", "-"], { stdin: dockerfile });
      expect(built).toMatchObject({ code: 0 });
      expect(await ok("run", "--rm", "stepped")).toContain(`${base}:50::1`);

      // The same settings find the same bridge; without them it has IPv4 alone.
      await settings.crash();
      await settings.boot();
      expect(await ok("network", "inspect", "-f", "{{.EnableIPv6}} {{json .IPAM.Config}}", "bridge")).toBe(
        config,
      );
      await ok("rm", "-f", "old");
      for (const key of Object.keys(settings.config))
        delete (settings.config as Record<string, unknown>)[key];
      await settings.shutDown();
      await settings.boot();
      expect(await ok("network", "inspect", "-f", "{{.EnableIPv6}} {{len .IPAM.Config}}", "bridge")).toBe(
        "false 1",
      );
      expect(await ok("run", "--rm", "busybox", "cat", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6")).toBe(
        "1",
      );
    } finally {
      await settings[Symbol.asyncDispose]();
    }
  });

  test("who runs keeps what it has when a daemon comes that is told of IPv6", async () => {
    const config: { ipv6?: boolean; "fixed-cidr-v6"?: string } = {};
    const told = await TestDaemon.start({ config });
    try {
      await told.ok(["run", "-d", "--name", "kept", "-p", "80", ...serve("kept")]);
      const ports = await told.ok(["port", "kept", "80"]);
      await told.crash();
      Object.assign(config, { ipv6: true, "fixed-cidr-v6": `${base}:52::/64` });
      await told.boot();
      expect(await told.ok(["port", "kept", "80"])).toBe(ports);
      for (const host of ["127.0.0.1", "[::1]"])
        expect(await fromHost(`http://${host}:${ports.split(":").at(-1)}/`)).toBe("kept");
      const address = ["inspect", "-f", "{{.NetworkSettings.GlobalIPv6Address}}", "kept"];
      expect(await told.ok(address)).toBe("");
      await told.ok(["restart", "-t", "0", "kept"]);
      expect(await told.ok(address)).toBe(`${base}:52::2`);
    } finally {
      await told[Symbol.asyncDispose]();
    }
  });

  test("without ip6tables there are no rules of IPv6, and proxies do what they can", async () => {
    const bare = await TestDaemon.start({ flags: ["--ip6tables=false"] });
    try {
      await bare.ok(["network", "create", "--ipv6", "--subnet", `${base}:51::/64`, "bare"]);
      await bare.ok(["run", "-d", "--name", "bare", "--network", "bare", "-p", "80", ...serve("bare")]);
      expect(bare.rules().filter((line) => line.startsWith("table "))).toEqual([
        expect.stringMatching(/^table ip gantry_/),
      ]);
      const at = (await bare.ok(["port", "bare", "80"])).split("\n")[1]!.split(":").at(-1);
      expect(await fromHost(`http://[${wire.ours}]:${at}/`)).toBe("bare");
    } finally {
      await bare[Symbol.asyncDispose]();
    }
  });

  test("forwarding is on where a network needs it", () => {
    for (const scope of ["all", "default"])
      expect(readFileSync(`/proc/sys/net/ipv6/conf/${scope}/forwarding`, "utf8").trim()).toBe("1");
  });
});
