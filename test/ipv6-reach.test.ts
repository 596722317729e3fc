/** Who reaches a container over IPv6, and who does not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { run } from "./support/daemon.ts";
import { describeIpv6, ipv6Lab, once, say, serve } from "./support/ipv6-lab.ts";
import { start } from "./support/outside.ts";

const lab = ipv6Lab();
const {
  base,
  wire,
  shown,
  fromHost,
  fromOutside,
  fromContainer,
  pings,
  endpoint,
  pools,
  port,
  sleeper,
  within,
} = lab;

describeIpv6("reach", () => {
  const networks = ["red", "blue", "inner", "shy"];
  const containers = ["red-1", "red-2", "blue-1", "inner-1", "inner-2", "shy-1", "shy-2"];
  beforeAll(async () => {
    const create = (name: string, n: number, ...args: string[]) =>
      lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:${n}::/64`, ...args, name]);
    await create("red", 10);
    await create("blue", 11);
    await create("inner", 12, "--internal");
    await create("shy", 13, "-o", "com.docker.network.bridge.enable_icc=false");
    for (const name of containers)
      await lab.daemon.ok(["run", "-d", "--name", name, "--network", name.split("-")[0]!, ...serve(name)]);
  });
  afterAll(async () => {
    await lab.daemon.gantry(["rm", "-f", ...containers]);
    await lab.daemon.gantry(["network", "rm", ...networks]);
  });
  const address = async (container: string) =>
    (await endpoint(container, container.split("-")[0]!)).GlobalIPv6Address;

  test("networks are kept apart, and from who has a route to them", async () => {
    const [red, inner] = [await address("red-1"), await address("inner-1")];
    expect(await pings("red-2", red)).toBe(true);
    expect(await fromHost(`http://[${red}]/`)).toBe("red-1");
    expect(await pings("blue-1", red, 1)).toBe(false);
    expect(await pings("red-1", inner, 1)).toBe(false);
    expect(await fromOutside(`http://[${red}]/`, once)).toBe("nothing");
    // The way back of what was asked from inside is open.
    expect(await pings("red-1", wire.theirs)).toBe(true);
  });

  test("an internal network has no way out, though somebody adds a route", async () => {
    expect(await pings("inner-2", await address("inner-1"))).toBe(true);
    expect(await lab.daemon.ok(["exec", "inner-1", "ip", "-6", "route", "show", "default"])).toBe("");
    expect((await endpoint("inner-1", "inner")).IPv6Gateway).toBe("");
    const script = `ip -6 route add default via ${base}:12::1 && ping -c1 -W1 ${wire.theirs}`;
    const { code, stdout } = await lab.daemon.gantry(["exec", "--privileged", "inner-1", "sh", "-c", script]);
    expect(stdout).toContain("100% packet loss");
    expect(code).toBe(1);
  });

  test("without icc containers see the bridge alone", async () => {
    expect(await pings("shy-1", `${base}:13::1`)).toBe(true);
    expect(await pings("shy-1", await address("shy-2"), 1)).toBe(false);
  });

  test("masquerading hides containers behind the host, unless it is off", async () => {
    const work = async () => {
      await lab.daemon.ok([
        ...["network", "create", "--ipv6", "--subnet", `${base}:14::/64`],
        ...["-o", "com.docker.network.bridge.enable_ip_masquerade=false", "bare"],
      ]);
      await sleeper("bare-1", "bare");
      const listen = `Bun.listen({ hostname: "::", port: 9000, socket: { open: (c) => c.end(c.remoteAddress + "\\n"), data() {} } })`;
      using server = lab.outside.start(process.execPath, "-e", `${listen}; console.log("up")`);
      await server.firstLine;
      const seen = (container: string) =>
        lab.daemon.ok(["exec", container, "sh", "-c", `timeout 20 nc ${wire.theirs} 9000 </dev/null`]);
      expect(await seen("red-1")).toContain(wire.ours);
      expect(await seen("bare-1")).toContain((await endpoint("bare-1", "bare")).GlobalIPv6Address);
    };
    await within(work, ["bare-1"], ["bare"]);
  });
});

describeIpv6("published ports", () => {
  test("answer on the host's addresses, from other machines and from containers of every network", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:20::/64`, "pub"]);
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:21::/64`, "far"]);
      await lab.daemon.ok(["run", "-d", "--name", "web", "--network", "pub", "-p", "80", ...serve("web")]);
      await sleeper("near", "pub");
      await sleeper("away", "far");
      const at = await port("web");
      expect(await lab.daemon.ok(["port", "web", "80"])).toBe(`0.0.0.0:${at}\n[::]:${at}`);
      for (const host of ["127.0.0.1", "[::1]", `[${wire.ours}]`, `[${base}:20::1]`])
        expect(await fromHost(`http://${host}:${at}/`)).toBe("web");
      expect(await fromOutside(`http://[${wire.ours}]:${at}/`)).toBe("web");
      const local = `http://[${(await lab.outside.linkLocal()).replace("%", "%25")}]:${at}/`;
      const curl = `for i in $(seq 300); do curl -gsm 10 '${local}' && exit; sleep 0.1; done`;
      expect(await say(lab.outside.run("sh", "-c", curl))).toBe("web");
      // From a neighbour, from another network, and by the container itself.
      for (const container of ["near", "away", "web"])
        expect(await fromContainer(container, `http://[${wire.ours}]:${at}/`)).toBe("web");
      expect(lab.daemon.rules().join("\n")).toContain(`tcp . ${at} : ${base}:20::2 . 80`);
    };
    await within(work, ["web", "near", "away"], ["pub", "far"]);
    expect(lab.daemon.rules().join("\n")).not.toContain(`${base}:20::2`);
  });

  test("are at the address that was asked for", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:22::/64`, "some"]);
      const ports = ["-p", "[::1]::80", "-p", `[${wire.ours}]::81`, "-p", "127.0.0.1::82"];
      await lab.daemon.ok(["run", "-d", "--name", "some", "--network", "some", ...ports, ...serve("some")]);
      await lab.daemon.ok(["exec", "-d", "some", "httpd", "-p", "81", "-h", "/tmp"]);
      await lab.daemon.ok(["exec", "-d", "some", "httpd", "-p", "82", "-h", "/tmp"]);
      const local = await port("some", "80");
      const public_ = await port("some", "81");
      const old = await port("some", "82");
      expect(await lab.daemon.ok(["port", "some", "80"])).toBe(`[::1]:${local}`);
      expect(await lab.daemon.ok(["port", "some", "81"])).toBe(`[${wire.ours}]:${public_}`);
      expect(await fromHost(`http://[::1]:${local}/`)).toBe("some");
      expect(await fromHost(`http://[${wire.ours}]:${local}/`, once)).toBe("nothing");
      expect(await fromOutside(`http://[${wire.ours}]:${public_}/`)).toBe("some");
      expect(await fromHost(`http://[::1]:${public_}/`, once)).toBe("nothing");
      expect(await fromHost(`http://127.0.0.1:${old}/`)).toBe("some");
      expect(await fromHost(`http://[::1]:${old}/`, once)).toBe("nothing");
      const taken = await lab.daemon.docker(["run", "--rm", "-p", `[::1]:${local}:80`, "busybox", "true"]);
      expect(taken.stderr).toContain(`Bind for [::1]:${local} failed: port is already allocated`);
    };
    await within(work, ["some"], ["some"]);
  });

  test("carry UDP, also from the host's loopback", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:23::/64`, "dgram"]);
      await sleeper("echo", "dgram", "-p", "5000/udp");
      const at = await port("echo", "5000/udp");
      const echo = `await Bun.udpSocket({ hostname: "::", port: 5000, socket: { data: (s, d, p, a) => s.send(d, p, a) } })`;
      const inside = ["nsenter", `--net=/proc/${await shown("echo", "{{.State.Pid}}")}/ns/net`];
      using server = start([...inside, process.execPath, "-e", `${echo}; console.log("up")`]);
      await server.firstLine;
      for (const host of ["::1", wire.ours]) {
        const { promise, resolve } = Promise.withResolvers<string>();
        const socket = await Bun.udpSocket({
          hostname: "::",
          socket: { data: (_socket, data) => resolve(data.toString()) },
        });
        try {
          socket.send("hello", Number(at), host);
          expect(await promise).toBe("hello");
        } finally {
          socket.close();
        }
      }
    };
    await within(work, ["echo"], ["dgram"]);
  });

  test("follow the way out of each family", async () => {
    const work = async () => {
      await lab.daemon.ok(["network", "create", "four"]);
      await lab.daemon.ok([
        "network",
        "create",
        "--ipv4=false",
        "--ipv6",
        "--subnet",
        `${base}:24::/64`,
        "sixth",
      ]);
      await lab.daemon.ok(["run", "-d", "--name", "ways", "--network", "four", "-p", "80", ...serve("ways")]);
      const at = await port("ways");
      const v6Target = () =>
        lab.daemon.rules().find((line) => line.includes(`tcp . ${at} : ${base}:24::2 . 80`));
      const routes = () =>
        lab.daemon.ok(["exec", "ways", "sh", "-c", "ip route show default; ip -6 route show default"]);
      expect(v6Target()).toBeUndefined();
      expect(await fromHost(`http://[::1]:${at}/`)).toBe("ways");
      // It takes over what the first network can't do, and nothing else.
      await lab.daemon.ok(["network", "connect", "sixth", "ways"]);
      expect(v6Target()).toBeDefined();
      expect(await lab.daemon.ok(["port", "ways", "80"])).toBe(`0.0.0.0:${at}\n[::]:${at}`);
      expect(await routes()).toMatch(
        new RegExp(`via 10\\.\\S+ dev eth0[^]*\\ndefault via ${base}:24::1 dev eth1`),
      );
      expect(await fromOutside(`http://[${wire.ours}]:${at}/`)).toBe("ways");
      expect(await fromHost(`http://127.0.0.1:${at}/`)).toBe("ways");
      await lab.daemon.ok(["network", "disconnect", "four", "ways"]);
      expect(await lab.daemon.ok(["port", "ways", "80"])).toBe(`[::]:${at}`);
      await lab.daemon.ok(["network", "connect", "four", "ways"]);
      expect(await lab.daemon.ok(["port", "ways", "80"])).toBe(`0.0.0.0:${at}\n[::]:${at}`);
      expect(await fromHost(`http://127.0.0.1:${at}/`)).toBe("ways");
      // Of two that lead out by IPv6, that of the higher priority.
      await lab.daemon.ok(["network", "create", "--ipv6", "--subnet", `${base}:25::/64`, "higher"]);
      await lab.daemon.ok(["network", "connect", "--gw-priority", "7", "higher", "ways"]);
      expect(await routes()).toContain(`default via ${base}:25::1`);
      expect(await routes()).not.toContain(`default via ${base}:24::1`);
      expect(await fromOutside(`http://[${wire.ours}]:${at}/`)).toBe("ways");
    };
    await within(work, ["ways"], ["four", "sixth", "higher"]);
  });
});

describeIpv6("gateway modes", () => {
  const mode = (name: string, family = 6) => `com.docker.network.bridge.gateway_mode_ipv${family}=${name}`;

  test.each([
    [4, "0.0.0.0", "::", `[::1]`, "127.0.0.1"],
    [6, "::", "0.0.0.0", "127.0.0.1", `[::1]`],
  ])(
    "routed by IPv%d: the container's own address, its published ports alone, and no masquerade",
    async (family, any, other, reached, not) => {
      const work = async () => {
        const subnet = ["--ipv6", "--subnet", `${base}:3${family}::/64`];
        await lab.daemon.ok(["network", "create", ...subnet, "-o", mode("routed", family), "routed"]);
        await lab.daemon.ok([
          "run",
          "-d",
          "--name",
          "routed",
          "--network",
          "routed",
          "-p",
          "80",
          ...serve("routed"),
        ]);
        await lab.daemon.ok(["exec", "-d", "routed", "httpd", "-p", "81", "-h", "/tmp"]);
        const ports = async () =>
          JSON.parse(await shown("routed", '{{json (index .NetworkSettings.Ports "80/tcp")}}')) as {
            HostIp: string;
            HostPort: string;
          }[];
        const before = await ports();
        const at = before.find(({ HostIp }) => HostIp === other)?.HostPort;
        expect(new Set(before)).toEqual(
          new Set([
            { HostIp: any, HostPort: "" },
            { HostIp: other, HostPort: at! },
          ]),
        );
        const { IPAddress, GlobalIPv6Address } = await endpoint("routed", "routed");
        const address = family === 4 ? IPAddress : GlobalIPv6Address;
        const host = family === 4 ? address : `[${address}]`;
        expect(await fromOutside(`http://${host}/`)).toBe("routed");
        expect(await fromOutside(`http://${host}:81/`, once)).toBe("nothing");
        expect((await lab.outside.run("busybox", "ping", "-c1", "-W20", address)).code).toBe(0);
        expect(await fromHost(`http://${not}:${at}/`, once)).toBe("nothing");
        expect(await fromHost(`http://${reached}:${at}/`)).toBe("routed");
        // What the daemon finds when it comes back is the same.
        await lab.daemon.crash();
        await lab.daemon.boot();
        expect(await ports()).toEqual(before);
        expect(await fromOutside(`http://${host}/`)).toBe("routed");
        expect(await fromHost(`http://${reached}:${at}/`)).toBe("routed");
        await lab.daemon.ok(["stop", "-t", "0", "routed"]);
        expect(lab.daemon.rules().join("\n")).not.toContain(address);
      };
      await within(work, ["routed"], ["routed"]);
    },
  );

  test("nat-unprotected: all ports to who has a route, beside the host's", async () => {
    const work = async () => {
      await lab.daemon.ok([
        ...[
          "network",
          "create",
          "--ipv6",
          "--subnet",
          `${base}:31::/64`,
          "-o",
          mode("nat-unprotected"),
          "open",
        ],
      ]);
      await lab.daemon.ok(["run", "-d", "--name", "open", "--network", "open", "-p", "80", ...serve("open")]);
      await lab.daemon.ok(["exec", "-d", "open", "httpd", "-p", "81", "-h", "/tmp"]);
      for (const url of [`[${base}:31::2]/`, `[${base}:31::2]:81/`, `[${wire.ours}]:${await port("open")}/`])
        expect(await fromOutside(`http://${url}`)).toBe("open");
    };
    await within(work, ["open"], ["open"]);
  });

  test("isolated: no address on the bridge, and containers among themselves", async () => {
    const work = async () => {
      await lab.daemon.ok([
        ...[
          "network",
          "create",
          "--ipv6",
          "--internal",
          "--subnet",
          `${base}:32::/64`,
          "-o",
          mode("isolated"),
        ],
        "alone",
      ]);
      const id = await lab.daemon.ok(["network", "inspect", "-f", "{{.Id}}", "alone"]);
      expect((await pools("alone"))[1]).toEqual({ Subnet: `${base}:32::/64` });
      const addresses = await run(["ip", "-6", "-o", "addr", "show", `br-${id.slice(0, 12)}`]);
      expect(addresses).toMatchObject({ code: 0, stdout: "" });
      await sleeper("alone-1", "alone");
      await sleeper("alone-2", "alone");
      expect(await pings("alone-1", (await endpoint("alone-2", "alone")).GlobalIPv6Address)).toBe(true);
    };
    await within(work, ["alone-1", "alone-2"], ["alone"]);
  });
});
