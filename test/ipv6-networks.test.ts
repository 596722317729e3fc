/** Networks with IPv6, and what their containers have of it. */
import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { type Result, run } from "./support/daemon.ts";
import { describeIpv6, ipv6Lab, serve } from "./support/ipv6-lab.ts";

const lab = ipv6Lab();
const { base, wire, fromHost, fromOutside, fromContainer, pings, endpoint, pools, port, sleeper, within } =
  lab;

describeIpv6("networks", () => {
  const clients: [string, (args: string[]) => Promise<Result>][] = [
    ["gantry", (args) => lab.daemon.gantry(args)],
    ["docker", (args) => lab.daemon.docker(args)],
  ];

  test.each(clients)(
    "%s: subnets of both families, addresses by hand and by choice",
    async (name, client) => {
      const ok = async (...args: string[]) => {
        const result = await client(args);
        expect(result).toMatchObject({ code: 0 });
        return result.stdout.trim();
      };
      const [net, other] = [`${name}-both`, `${name}-later`];
      const subnet = `${base}:${name === "gantry" ? 1 : 2}`;
      const work = async () => {
        await ok(
          ...["network", "create", "--ipv6", "--subnet", `${subnet}::/64`, "--gateway", `${subnet}::ffff`],
          ...["--ip-range", `${subnet}:1::/80`, "--aux-address", `router=${subnet}:1::1`, net],
        );
        expect(await pools(net)).toMatchObject([
          { Subnet: expect.stringMatching(/^10\./) },
          { Subnet: `${subnet}::/64`, Gateway: `${subnet}::ffff`, IPRange: `${subnet}:1::/80` },
        ]);
        expect(await ok("network", "inspect", "-f", "{{.EnableIPv4}} {{.EnableIPv6}}", net)).toBe(
          "true true",
        );
        expect(
          await ok("network", "ls", "--filter", `name=${net}`, "--format", "{{.Name}} {{.IPv4}} {{.IPv6}}"),
        ).toBe(`${net} true true`);
        const [chosen, asked] = [`${name}-chosen`, `${name}-asked`];
        await ok("run", "-d", "--name", chosen, "--network", net, ...serve("chosen"));
        await ok(
          "run",
          "-d",
          "--name",
          asked,
          "--network",
          net,
          "--ip6",
          `${subnet}::0077`,
          ...serve("asked"),
        );
        // The range starts with the subnet's part, of which the first is reserved for the router.
        const first = await endpoint(chosen, net);
        expect(first).toMatchObject({
          GlobalIPv6Address: `${subnet}:1::`,
          GlobalIPv6PrefixLen: 64,
          IPv6Gateway: `${subnet}::ffff`,
        });
        expect((await endpoint(asked, net)).GlobalIPv6Address).toBe(`${subnet}::77`);
        const members = JSON.parse(
          await ok("network", "inspect", "-f", "{{json .Containers}}", net),
        ) as Record<string, { Name: string; IPv6Address: string }>;
        expect(Object.fromEntries(Object.values(members).map((one) => [one.Name, one.IPv6Address]))).toEqual({
          [chosen]: `${subnet}:1::/64`,
          [asked]: `${subnet}::77/64`,
        });
        expect(await pings(chosen, `${subnet}::77`)).toBe(true);
        expect(await pings(chosen, `${subnet}::ffff`)).toBe(true);
        expect(await fromContainer(asked, `http://[${subnet}:1::]/`)).toBe("chosen");

        await ok("network", "create", "--ipv6", "--subnet", `${subnet}0::/64`, other);
        await ok("network", "connect", "--ip6", `${subnet}0::5`, other, asked);
        expect((await endpoint(asked, other)).GlobalIPv6Address).toBe(`${subnet}0::5`);
        expect(await ok("exec", asked, "ip", "-6", "-o", "addr", "show", "eth1")).toContain(
          `${subnet}0::5/64`,
        );
        await ok("network", "disconnect", other, asked);
        expect(await ok("exec", asked, "sh", "-c", "ip -6 -o addr | grep -c eth1 || true")).toBe("0");
      };
      await within(work, [`${name}-chosen`, `${name}-asked`], [net, other]);
    },
  );

  test("without a subnet, each has a /64 of the engine's own, and stays in its place", async () => {
    const work = async () => {
      for (const name of ["auto-1", "auto-2"]) await lab.daemon.ok(["network", "create", "--ipv6", name]);
      const subnets = (await Promise.all(["auto-1", "auto-2"].map(pools))).map((all) => all[1]!.Subnet);
      for (const subnet of subnets) expect(subnet).toMatch(/^fd[0-9a-f:]+::\/64$/);
      const prefix = (subnet: string) => subnet.split(":").slice(0, 3).join(":");
      expect(prefix(subnets[0]!)).toBe(prefix(subnets[1]!));
      expect(subnets[0]).not.toBe(subnets[1]);
    };
    await within(work, [], ["auto-1", "auto-2"]);
  });

  test("one of IPv6 alone has no IPv4", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv4=false", "--ipv6", "only6"]);
      expect(
        await lab.daemon.ok(["network", "inspect", "-f", "{{.EnableIPv4}} {{.EnableIPv6}}", "only6"]),
      ).toBe("false true");
      expect(await pools("only6")).toHaveLength(1);
      await lab.daemon.ok(["run", "-d", "--name", "web6", "--network", "only6", "-p", "80", ...serve("six")]);
      await sleeper("see6", "only6");
      const { IPAddress, Gateway, GlobalIPv6Address } = await endpoint("web6", "only6");
      expect({ IPAddress, Gateway }).toEqual({ IPAddress: "", Gateway: "" });
      expect(await lab.daemon.ok(["exec", "see6", "sh", "-c", "ip -4 -o addr show eth0 | wc -l"])).toBe("0");
      expect(await fromContainer("see6", "http://web6/")).toBe("six");
      expect(await fromContainer("see6", `http://[${GlobalIPv6Address}]/`)).toBe("six");
      expect(await lab.daemon.ok(["port", "web6"])).toMatch(/^80\/tcp -> \[::\]:\d+$/);
      expect(await fromHost(`http://[::1]:${await port("web6")}/`)).toBe("six");
    };
    await within(work, ["web6", "see6"], ["only6"]);
  });

  test("one of IPv4 alone has IPv6 switched off, but for loopback", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "only4"]);
      await lab.daemon.ok(["run", "-d", "--name", "web4", "--network", "only4", ...serve("four")]);
      const read = (name: string) =>
        lab.daemon.ok(["exec", "web4", "cat", `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`]);
      expect(await read("eth0")).toBe("1");
      expect(await read("lo")).toBe("0");
      expect(await endpoint("web4", "only4")).toMatchObject({ GlobalIPv6Address: "", IPv6Gateway: "" });
      // The name is known, and has no such address: nobody else is asked.
      const asked = await lab.daemon.ok(["exec", "web4", "nslookup", "-type=aaaa", "web4", "127.0.0.11"]);
      expect(asked).not.toContain("Address: ");
      expect(asked).not.toContain("can't find");
      expect(await fromContainer("web4", "http://[::1]/")).toBe("four");
    };
    await within(work, ["web4"], ["only4"]);
  });

  test("names have addresses of both families, and addresses have names", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:3::/64`, "named"]);
      const id = await sleeper("one", "named", "--network-alias", "uno");
      await sleeper("two", "named");
      const local = ["--link-local-ip", "fe80::77", "--link-local-ip", "169.254.7.7"];
      await lab.daemon.ok([
        "run",
        "-d",
        "--name",
        "local",
        "--network",
        "named",
        ...local,
        "busybox",
        "sleep",
        "1000",
      ]);
      const own = await lab.daemon.ok(["exec", "local", "ip", "-o", "addr", "show", "eth0"]);
      expect(own).toContain("fe80::77/64");
      expect(own).toContain("169.254.7.7/16");
      const { IPAddress, GlobalIPv6Address } = await endpoint("one", "named");
      const ask = (...args: string[]) => lab.daemon.ok(["exec", "two", "nslookup", ...args, "127.0.0.11"]);
      for (const name of ["one", "uno", "one.named", id.slice(0, 12)]) {
        expect(await ask("-type=aaaa", name)).toContain(`Address: ${GlobalIPv6Address}`);
        expect(await ask("-type=a", name)).toContain(`Address: ${IPAddress}`);
      }
      for (const address of [IPAddress, GlobalIPv6Address])
        expect(await ask(address)).toContain("name = one.named");
      expect(await pings("two", "uno")).toBe(true);
      const hosts = await lab.daemon.ok(["exec", "one", "cat", "/etc/hosts"]);
      expect(hosts.split("\n")).toEqual([
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        `${IPAddress}\t${id.slice(0, 12)}`,
        `${GlobalIPv6Address}\t${id.slice(0, 12)}`,
      ]);
    };
    await within(work, ["one", "two", "local"], ["named"]);
  });

  test("what can't be is refused in Docker's words", async () => {
    const create = (...args: string[]) => ["network", "create", ...args, "no"];
    const ipv6 = (...args: string[]) => create("--ipv6", ...args);
    const given = `${base}:4::/64`;
    const cases: [args: string[], message: string][] = [
      [create("--ipv4=false"), "IPv4 or IPv6 must be enabled"],
      [
        ipv6("--subnet", `${base}:4::1/64`),
        `invalid network config:\ninvalid subnet ${base}:4::1/64: it should be ${given}`,
      ],
      [
        ipv6("--subnet", given, "--ip-range", `${base}:4::/48`),
        `invalid network config:\n* invalid ip-range ${base}:4::/48: CIDR block is bigger than its parent subnet ${given}\n* invalid ip-range ${base}:4::/48: it should be ${base}::/48`,
      ],
      [ipv6("--subnet", "ff05::/64"), "multicast subnet 'ff05::/64' is not allowed"],
      [ipv6("--subnet", "fe80::/80"), "'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"],
      [
        ipv6("--subnet", given, "--subnet", `${base}:5::/64`),
        "bridge driver doesn't support multiple subnets",
      ],
      [
        ipv6("--subnet", given, "-o", "com.docker.network.bridge.gateway_mode_ipv6=bridged"),
        "failed to parse com.docker.network.bridge.gateway_mode_ipv6 value: bridged (unknown gateway mode bridged)",
      ],
      [
        ipv6("--subnet", given, "-o", "com.docker.network.bridge.gateway_mode_ipv6=isolated"),
        "gateway mode 'isolated' can only be used for an internal network",
      ],
      [
        create("-o", "com.docker.network.enable_ipv6=perhaps"),
        'driver-opt "com.docker.network.enable_ipv6" is not a valid bool',
      ],
      [
        ipv6("--subnet", `${base}:6::/65`),
        "invalid pool request: Pool overlaps with other one on this address space",
      ],
    ];
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:6::/64`, "yes"]);
      for (const [args, message] of cases) {
        const { code, stderr } = await lab.daemon.docker(args);
        expect({ args, stderr: stderr.trim() }).toEqual({
          args,
          stderr: `Error response from daemon: ${message}`,
        });
        expect(code).toBe(1);
      }
      // The client puts gateways and subnets together itself; the API is asked for what it doesn't let through.
      const answer = await lab.daemon.request("/v1.51/networks/create", {
        method: "POST",
        body: JSON.stringify({
          Name: "no",
          EnableIPv6: true,
          IPAM: {
            Config: [{ Subnet: given, Gateway: "10.0.0.1", AuxiliaryAddresses: { a: "fd00::1", b: "x" } }],
          },
        }),
        headers: { "Content-Type": "application/json" },
      });
      expect([answer.status, await answer.json()]).toEqual([
        400,
        {
          message: `invalid network config:\n* invalid gateway 10.0.0.1: parent subnet is an IPv6 block\n* invalid auxiliary address a: parent subnet ${given} doesn't contain this address\n* invalid auxiliary address b: invalid address`,
        },
      ]);
      const astray = await lab.daemon.gantry(["create", "--network", "yes", "--ip6", "fd00::1", "busybox"]);
      expect(astray.stderr).toContain("no configured subnet or ip-range contain the IP address fd00::1");
    };
    await within(work, [], ["yes"]);
  });

  test("EnableIPv4 is passed over before version 1.48", async () => {
    const answer = await lab.daemon.request("/v1.47/networks/create", {
      method: "POST",
      body: JSON.stringify({ Name: "older", EnableIPv4: false }),
      headers: { "Content-Type": "application/json" },
    });
    expect(answer.status).toBe(201);
    const inspect = async (version: string) =>
      (await (await lab.daemon.request(`/${version}/networks/older`)).json()) as Record<string, unknown>;
    expect(await inspect("v1.48")).toMatchObject({ EnableIPv4: true, EnableIPv6: false });
    expect(await inspect("v1.47")).not.toHaveProperty("EnableIPv4");
    await lab.daemon.ok(["network", "rm", "older"]);
  });
});

describeIpv6("lives", () => {
  test("addresses go back when a container ends in any way, and neighbours find the next that has one", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:40::/64`, "again"]);
      await sleeper("watch", "again");
      const ends: [string, string[]][] = [
        ["stop", ["stop", "-t", "0", "next"]],
        ["kill", ["kill", "next"]],
        ["rm", ["rm", "-f", "next"]],
      ];
      for (const [, end] of ends) {
        // Another MAC address each time: what neighbours remember of the last one is wrong.
        const mac = `02:42:${randomBytes(4)
          .toString("hex")
          .replace(/..(?=.)/g, "$&:")}`;
        await sleeper("next", "again", "--mac-address", mac);
        const { GlobalIPv6Address } = await endpoint("next", "again");
        expect(GlobalIPv6Address).toBe(`${base}:40::3`);
        expect(await pings("watch", GlobalIPv6Address, 2)).toBe(true);
        expect((await run(["busybox", "ping", "-c1", "-W2", GlobalIPv6Address])).code).toBe(0);
        await lab.daemon.ok(end);
        await lab.daemon.ok(["wait", "next"]).catch(() => "");
        expect(await lab.daemon.ok(["network", "inspect", "-f", "{{len .Containers}}", "again"])).toBe("1");
        await lab.daemon.gantry(["rm", "-f", "next"]);
      }
      await lab.daemon.ok(["run", "--rm", "--network", "again", "busybox", "sh", "-c", "kill -9 1; true"]);
      await sleeper("next", "again");
      expect((await endpoint("next", "again")).GlobalIPv6Address).toBe(`${base}:40::3`);
    };
    await within(work, ["watch", "next"], ["again"]);
  });

  test("a daemon that was killed finds all again, and leaves nothing in the end", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:41::/64`, "kept"]);
      await lab.daemon.ok(["run", "-d", "--name", "kept", "--network", "kept", "-p", "80", ...serve("kept")]);
      const [at, before] = [await port("kept"), await endpoint("kept", "kept")];
      await lab.daemon.crash();
      // Rules go on by themselves; what a proxy does, waits for the lab.daemon.
      expect(await fromOutside(`http://[${wire.ours}]:${at}/`)).toBe("kept");
      await lab.daemon.boot();
      expect(await endpoint("kept", "kept")).toEqual(before);
      expect(await port("kept")).toBe(at);
      for (const host of ["[::1]", `[${wire.ours}]`, "127.0.0.1"])
        expect(await fromHost(`http://${host}:${at}/`)).toBe("kept");
      await sleeper("kept-2", "kept");
      expect((await endpoint("kept-2", "kept")).GlobalIPv6Address).toBe(`${base}:41::3`);
      await lab.daemon.ok(["rm", "-f", "kept", "kept-2"]);
      const id = await lab.daemon.ok(["network", "inspect", "-f", "{{.Id}}", "kept"]);
      await lab.daemon.ok(["network", "rm", "kept"]);
      const rules = lab.daemon.rules().join("\n");
      expect(rules).not.toContain(`br-${id.slice(0, 12)}`);
      expect(rules).not.toContain(base);
    };
    await within(work, ["kept", "kept-2"], ["kept"]);
  });

  test("sysctls: IPv6 off for all of a container, and settings of one interface", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:42::/64`, "ctl"]);
      const off = ["--sysctl", "net.ipv6.conf.all.disable_ipv6=1"];
      await sleeper("off", "ctl", ...off);
      expect(await endpoint("off", "ctl")).toMatchObject({ GlobalIPv6Address: "", IPv6Gateway: "" });
      expect(
        await lab.daemon.ok(["exec", "off", "sh", "-c", "cat /proc/net/if_inet6; cat /etc/hosts"]),
      ).not.toContain("::1");
      const option =
        "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.hop_limit=77";
      const own = ["--network", `name=ctl,"driver-opt=${option}"`];
      await lab.daemon.ok(["run", "-d", "--name", "own", ...own, "busybox", "sleep", "1000"]);
      const read = (path: string) => lab.daemon.ok(["exec", "own", "cat", `/proc/sys/net/${path}`]);
      expect(await read("ipv4/conf/eth0/log_martians")).toBe("1");
      expect(await read("ipv6/conf/eth0/hop_limit")).toBe("77");
      const wrong = [
        "--network",
        `name=ctl,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.ip_forward=1`,
      ];
      expect((await lab.daemon.docker(["create", ...wrong, "busybox"])).stderr).toContain(
        "unrecognised network interface sysctl 'net.ipv4.ip_forward=1'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'",
      );
    };
    await within(work, ["off", "own"], ["ctl"]);
  });

  test("Compose: a network with IPv6, and an address in it", async () => {
    const file = `
name: six
services:
  web:
    image: busybox
    command: sleep 1000
    networks:
      app:
        ipv6_address: ${base}:43::99
networks:
  app:
    enable_ipv6: true
    ipam:
      config:
        - subnet: ${base}:43::/64
          gateway: ${base}:43::fe
`;
    const compose = (...args: string[]) =>
      lab.daemon.gantry(["compose", "-f", "-", ...args], { stdin: file });
    try {
      expect(await compose("up", "-d")).toMatchObject({ code: 0 });
      expect(await endpoint("six-web-1", "six_app")).toMatchObject({
        GlobalIPv6Address: `${base}:43::99`,
        IPv6Gateway: `${base}:43::fe`,
      });
      // Nothing has changed, and nothing is made again.
      expect((await compose("up", "-d")).stderr).not.toContain("Recreate");
    } finally {
      expect(await compose("down", "-t", "0")).toMatchObject({ code: 0 });
    }
  });
});
