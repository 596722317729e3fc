import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { onInterrupt } from "../../test/support/interrupt.ts";
import { Nft } from "../linux/nft.ts";
import { allocateAddress, macFor, openNetwork, withPrefixOf } from "./index.ts";
import type { BridgeSpec, EndpointSpec, Network, PublishedPort } from "./types.ts";

/** Distinct for each test process, so that suites side by side do not meet. */
const tag = process.pid.toString(36).slice(-5);
const third = 20 + (process.pid % 100) * 2;
const root = mkdtempSync(join(tmpdir(), "gantry-net-"));
const instance = `t${tag}`;

const hostAddress = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === "IPv4" && !address.internal)!.address;

const bridges = {
  a: bridge("a", `10.199.${third}.1/24`),
  b: bridge("b", `10.199.${third + 1}.1/24`),
  internal: { ...bridge("i", "10.198.240.1/28"), internal: true },
  closed: { ...bridge("c", "10.198.241.1/28"), icc: false },
};

function bridge(letter: string, gateway: string): BridgeSpec {
  return {
    networkId: letter.charCodeAt(0).toString(16).repeat(32),
    bridge: `gt${tag}${letter}`,
    gateways: [gateway],
    modes: { 4: "nat" },
    internal: false,
    masquerade: true,
    icc: true,
  };
}

let net: Network;
let endpoints = 0;
const given: string[] = [];
const processes: ReturnType<typeof Bun.spawn>[] = [];

interface Place {
  sandbox: string;
  path: string;
  address: string;
  endpoint: EndpointSpec;
}

/** A sandbox with one endpoint on a bridge, as the engine makes it. */
function place(name: string, spec: BridgeSpec, network: Network = net): Place {
  const [gateway = "", length] = spec.gateways[0]!.split("/");
  const subnet = `${gateway}/${length}`;
  const taken = [gateway, ...given.filter((address) => inSubnet(address, gateway))];
  const address = allocateAddress({ subnet, taken });
  given.push(address);
  const { path } = network.createSandbox(name);
  const endpoint: EndpointSpec = {
    networkId: spec.networkId,
    endpointId: (process.pid * 1000 + endpoints++).toString(16).padStart(11, "0").padEnd(64, "0"),
    bridge: spec.bridge,
    interfaceName: "eth0",
    macAddress: macFor(address),
    addresses: [withPrefixOf(subnet, address)],
    gateways: spec.internal ? [] : [gateway],
  };
  network.connect(name, endpoint);
  return { sandbox: name, path, address, endpoint };
}

const inSubnet = (address: string, gateway: string) =>
  address.split(".").slice(0, 3).join(".") === gateway.split(".").slice(0, 3).join(".");

async function run(at: Place, ...command: string[]): Promise<{ code: number; output: string }> {
  const child = Bun.spawn(["nsenter", `--net=${at.path}`, ...command], { stdout: "pipe", stderr: "pipe" });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: output + errors };
}

/** @param seconds how long an answer is waited for; short where none is to come */
const reaches = async (from: Place, address: string, seconds = 10) =>
  (await run(from, "busybox", "ping", "-c1", `-W${seconds}`, address)).code === 0;

/** Body of an HTTP answer as a place gets it, or the error's name. @param ms as for `reaches` */
async function get(from: Place, url: string, ms = 20_000): Promise<string> {
  const script = `console.log(await fetch("${url}", { signal: AbortSignal.timeout(${ms}) }).then((r) => r.text(), (e) => e.name))`;
  return (await run(from, process.execPath, "-e", script)).output.trim();
}

/** Runs a script in a place until the suite ends; it says something when it is ready. */
async function serve(path: string, script: string): Promise<void> {
  const command = ["nsenter", `--net=${path}`, process.execPath, "-e", `${script}; console.log("up")`];
  const child = Bun.spawn(command, { stdout: "pipe" });
  processes.push(child);
  await child.stdout.getReader().read();
}

/** An HTTP server at port 80, which answers with the place's name. */
const serveHttp = (at: Place) =>
  serve(at.path, `Bun.serve({ hostname: "0.0.0.0", port: 80, fetch: () => new Response("${at.sandbox}") })`);

const serveUdpEcho = (at: Place, port: number) =>
  serve(
    at.path,
    `await Bun.udpSocket({ hostname: "0.0.0.0", port: ${port}, socket: { data: (s, d, p, a) => s.send(d, p, a) } })`,
  );

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error("nothing came of it in thirty seconds");
    await Bun.sleep(20);
  }
}

const links = () => Bun.spawnSync(["ip", "-o", "link"]).stdout.toString();
const wanted = (at: Place, change: Partial<PublishedPort> = {}): PublishedPort => ({
  protocol: "tcp",
  hostIp: "",
  hostPort: 0,
  targets: { 4: { address: at.address, routed: false } },
  containerPort: 80,
  ...change,
});

beforeAll(async () => {
  net = await openNetwork({ execRoot: root, instance });
  for (const spec of Object.values(bridges)) net.ensureBridge(spec);
});

afterAll(async () => {
  clear();
  await Promise.all(processes.map((child) => child.exited));
  await net[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
  cleared();
});

function clear(): void {
  for (const child of processes) child.kill("SIGKILL");
  net.reconcile({ bridges: [], endpoints: [], sandboxes: [] });
}
const cleared = onInterrupt(() => {
  clear();
  for (const family of ["ip", "ip6"])
    Bun.spawnSync(["nft", "delete", "table", family, `gantry_${instance}`], { stderr: "ignore" });
  rmSync(root, { recursive: true });
});

describe("sandboxes", () => {
  test("have lo and Docker's sysctls, and are listed until removed", async () => {
    const { path } = net.createSandbox("plain");
    expect(net.createSandbox("plain")).toEqual({ id: "plain", path });
    const at = { sandbox: "plain", path } as Place;
    expect(await reaches(at, "127.0.0.1")).toBe(true);
    const { output } = await run(
      at,
      "cat",
      "/proc/sys/net/ipv4/ip_unprivileged_port_start",
      "/proc/sys/net/ipv4/ping_group_range",
    );
    expect(output.split(/\s+/)).toEqual(["0", "0", "2147483647", ""]);
    expect(net.listSandboxes()).toContain("plain");
    net.removeSandbox("plain");
    net.removeSandbox("plain");
    expect(net.listSandboxes()).not.toContain("plain");
  });

  test("the host's own settings and namespace are untouched", () => {
    expect(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8").trim()).toBe("1024");
    for (let i = 0; i < 20; i++) {
      net.createSandbox(`many${i}`);
      net.removeSandbox(`many${i}`);
    }
    expect(Object.keys(networkInterfaces())).toContain("lo");
    expect(links()).toContain(bridges.a.bridge);
  });

  test("an id can not leave the directory", () => {
    expect(() => net.createSandbox("../x")).toThrow("invalid sandbox id");
    expect(() => net.counters("nowhere")).toThrow("sandbox nowhere not found");
  });

  test("the empty file of a crash is replaced by a namespace", () => {
    writeFileSync(join(root, "netns", "half"), "");
    const { path } = net.createSandbox("half");
    expect(readFileSync("/proc/self/mountinfo", "utf8")).toContain(path);
    net.removeSandbox("half");
  });

  test("removal frees the kernel's links, whatever threads the runtime has started meanwhile", async () => {
    const made: Place[] = [];
    for (let i = 0; i < 24; i++) {
      made.push(place(`gone${i}`, bridges.a));
      Bun.gc(i % 8 === 0);
    }
    for (const { sandbox } of made) net.removeSandbox(sandbox);
    await until(
      () => !made.some(({ endpoint }) => links().includes(`veth${endpoint.endpointId.slice(0, 11)}`)),
    );
  });
});

describe("endpoints", () => {
  test("of a bridge reach each other, the gateway, and count their packets", async () => {
    const [x, y] = [place("x", bridges.a), place("y", bridges.a)];
    expect(await reaches(x, y.address)).toBe(true);
    expect(await reaches(y, bridges.a.gateways[0]!.split("/")[0]!)).toBe(true);
    expect(net.counters("x").eth0!.txPackets).toBeGreaterThan(0);
    expect((await run(x, "ip", "link", "show", "eth0")).output).toContain(x.endpoint.macAddress);
  });

  test("connecting again keeps the interface, another endpoint's remains make way", async () => {
    const at = place("again", bridges.a);
    const index = (await run(at, "cat", "/sys/class/net/eth0/ifindex")).output;
    net.connect("again", at.endpoint);
    expect((await run(at, "ip", "-o", "link", "show", "eth0")).output).toContain("UP");
    expect((await run(at, "ip", "-4", "route")).output).toContain("default via");
    expect((await run(at, "cat", "/sys/class/net/eth0/ifindex")).output).toBe(index);
    net.removeSandbox("again");
    net.createSandbox("again");
    net.connect("again", at.endpoint);
    expect(await reaches(at, bridges.a.gateways[0]!.split("/")[0]!)).toBe(true);
    net.disconnect("again", at.endpoint);
    net.disconnect("again", at.endpoint);
    expect(Object.keys(net.counters("again"))).toEqual([]);
  });

  test("a failed connect leaves no link behind", () => {
    net.createSandbox("fails");
    const endpoint = { ...place("model", bridges.a).endpoint, endpointId: "f".repeat(64) };
    expect(() => net.connect("fails", { ...endpoint, gateways: ["203.0.113.1"] })).toThrow(
      /default route.*ENETUNREACH/,
    );
    expect(links()).not.toContain("vethfffffffffff");
    expect(() => net.connect("fails", { ...endpoint, bridge: "gtnone" })).toThrow("bridge gtnone not found");
  });

  test("bridges are isolated from each other, internal ones from everything", async () => {
    const [a, b] = [place("iso-a", bridges.a), place("iso-b", bridges.b)];
    const [i, j] = [place("int-1", bridges.internal), place("int-2", bridges.internal)];
    expect(await reaches(a, b.address, 1)).toBe(false);
    expect(await reaches(i, j.address)).toBe(true);
    expect(await reaches(a, i.address, 1)).toBe(false);
    await run(i, "ip", "route", "add", "default", "via", bridges.internal.gateways[0]!.split("/")[0]!);
    expect(await reaches(i, a.address, 1)).toBe(false);
  });

  test("without icc the endpoints see the gateway only, before and after the bridge is told so", async () => {
    const [c, d] = [place("icc-1", bridges.closed), place("icc-2", bridges.closed)];
    const gateway = bridges.closed.gateways[0]!.split("/")[0]!;
    expect(await reaches(c, gateway)).toBe(true);
    expect(await reaches(c, d.address, 1)).toBe(false);
    net.ensureBridge({ ...bridges.closed, icc: true });
    // For a moment the kernel still takes the neighbour for unreachable.
    await until(() => reaches(c, d.address, 1));
    net.ensureBridge(bridges.closed);
    expect(await reaches(c, d.address, 1)).toBe(false);
  });

  test("an outside host sees the host's address, not the container's", async () => {
    // Another namespace that is linked to the host by hand stands for the outside.
    const at = place("nat", bridges.a);
    const outside = net.createSandbox("outside");
    const link = `go${tag}`;
    const ip = (...args: string[]) => expect(Bun.spawnSync(["ip", ...args]).exitCode).toBe(0);
    ip("link", "add", link, "type", "veth", "peer", "name", `${link}p`);
    try {
      ip("addr", "add", "10.198.242.1/30", "dev", link);
      ip("link", "set", link, "up");
      const holder = Bun.spawn(["nsenter", `--net=${outside.path}`, "sleep", "60"]);
      processes.push(holder);
      const namespaceOf = (pid: number) => readlinkSync(`/proc/${pid}/ns/net`);
      await until(() => namespaceOf(holder.pid) !== namespaceOf(process.pid));
      ip("link", "set", `${link}p`, "netns", String(holder.pid));
      const there = { ...at, sandbox: "outside", path: outside.path };
      await run(there, "ip", "addr", "add", "10.198.242.2/30", "dev", `${link}p`);
      await run(there, "ip", "link", "set", `${link}p`, "up");
      await serve(
        outside.path,
        'Bun.listen({ hostname: "0.0.0.0", port: 80, socket: { open: (c) => c.end(c.remoteAddress), data() {} } })',
      );
      // The way back to the container's subnet is unknown outside, so only masquerading brings an answer.
      expect((await run(at, "busybox", "nc", "-w20", "10.198.242.2", "80")).output).toBe("10.198.242.1");
      // And nobody outside gets at a container by routing through the host.
      await run(there, "ip", "route", "add", "default", "via", "10.198.242.1");
      expect(await reaches(there, at.address, 1)).toBe(false);
      await serveHttp(at);
      const { hostPort } = await net.publish("nat", wanted(at));
      expect(await get(there, `http://10.198.242.1:${hostPort}`)).toBe("nat");
      await net.unpublish("nat");
    } finally {
      Bun.spawnSync(["ip", "link", "del", link]);
    }
  });
});

describe("published ports", () => {
  let web: Place;
  let neighbour: Place;
  let stranger: Place;
  const fromHost = async (url: string) => (await fetch(url, { keepalive: false })).text();

  beforeAll(async () => {
    web = place("web", bridges.a);
    neighbour = place("neighbour", bridges.a);
    stranger = place("stranger", bridges.b);
    await serveHttp(web);
    await serveUdpEcho(web, 5000);
  });

  test("are reached from everywhere that Docker's are", async () => {
    const { hostPort } = await net.publish("web", wanted(web));
    expect(hostPort).toBeGreaterThan(1023);
    expect(await net.publish("web", wanted(web, { hostPort }))).toMatchObject({ hostPort });
    for (const address of ["127.0.0.1", "[::1]", hostAddress])
      expect(await fromHost(`http://${address}:${hostPort}`)).toBe("web");
    for (const from of [web, neighbour, stranger])
      expect(await get(from, `http://${hostAddress}:${hostPort}`)).toBe("web");
    await net.unpublish("web");
    await net.unpublish("web");
    expect(fromHost(`http://127.0.0.1:${hostPort}`)).rejects.toThrow();
    expect(await get(stranger, `http://${hostAddress}:${hostPort}`, 2000)).not.toBe("web");
  });

  test("bound to one address are reached there only", async () => {
    const { hostPort } = await net.publish("local", wanted(web, { hostIp: "127.0.0.1" }));
    expect(await fromHost(`http://127.0.0.1:${hostPort}`)).toBe("web");
    expect(await get(neighbour, `http://${hostAddress}:${hostPort}`, 2000)).not.toBe("web");
    await net.unpublish("local");
  });

  test("carry UDP over both families", async () => {
    const { hostPort } = await net.publish("echo", wanted(web, { protocol: "udp", containerPort: 5000 }));
    for (const address of ["127.0.0.1", "::1"]) {
      const { promise, resolve } = Promise.withResolvers<string>();
      const socket = await Bun.udpSocket({
        hostname: address === "::1" ? "::" : "0.0.0.0",
        socket: { data: (_socket, data) => resolve(data.toString()) },
      });
      socket.send("hello", hostPort, address);
      expect(await promise).toBe("hello");
      socket.close();
    }
    await net.unpublish("echo");
  });

  test("half-closed connections through the IPv6 way still get their answer", async () => {
    const { hostPort } = await net.publish("half", wanted(web));
    const { promise, resolve } = Promise.withResolvers<string>();
    let answer = "";
    const socket = connect({ host: "::1", port: hostPort, allowHalfOpen: true });
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("end", () => resolve(answer));
    socket.end("GET / HTTP/1.0\r\n\r\n");
    expect(await promise).toEndWith("web");
    await net.unpublish("half");
  });

  test("do not open the host's loopback to containers", async () => {
    const server = createServer((socket) => socket.end("secret"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const gateway = bridges.a.gateways[0]!.split("/")[0]!;
    await run(
      neighbour,
      "sysctl",
      "-w",
      "net.ipv4.conf.all.route_localnet=1",
      "net.ipv4.conf.eth0.route_localnet=1",
    );
    await run(neighbour, "ip", "addr", "del", "127.0.0.1/8", "dev", "lo");
    await run(neighbour, "ip", "route", "add", "127.0.0.1/32", "via", gateway);
    expect((await run(neighbour, "busybox", "nc", "-w1", "127.0.0.1", String(port))).output).not.toContain(
      "secret",
    );
    server.close();
  });

  test("taken ones are refused in Docker's words", async () => {
    const { hostPort } = await net.publish("first", wanted(web));
    const again = (hostIp: string) => net.publish("second", wanted(web, { hostPort, hostIp }));
    expect(again("")).rejects.toThrow(`Bind for 0.0.0.0:${hostPort} failed: port is already allocated`);
    expect(again("127.0.0.1")).rejects.toThrow(
      `Bind for 127.0.0.1:${hostPort} failed: port is already allocated`,
    );
    expect(again("::")).rejects.toThrow(`Bind for [::]:${hostPort} failed: port is already allocated`);
    await net.publish("other", wanted(web, { hostPort, protocol: "udp" }));
    await net.unpublish("first");
    await net.unpublish("other");

    const foreign = createServer();
    await new Promise<void>((resolve) => foreign.listen(0, "127.0.0.1", resolve));
    const { port } = foreign.address() as { port: number };
    expect(net.publish("third", wanted(web, { hostPort: port }))).rejects.toThrow(
      `failed to bind host port 0.0.0.0:${port}/tcp: address already in use`,
    );
    expect(net.publish("third", wanted(web, { hostPort: port, hostIp: "203.0.113.9" }))).rejects.toThrow(
      `failed to bind host port 203.0.113.9:${port}/tcp: cannot assign requested address`,
    );
    foreign.close();
  });
});

describe("names", () => {
  test("are answered in the sandbox over UDP and TCP, and follow a new source", async () => {
    const at = place("dns", bridges.a);
    const source = (address: string) => ({
      lookup: (name: string, family: number) =>
        name === "db" ? (family === 4 ? [address] : []) : name === "big" ? many(family) : undefined,
      reverse: (asked: string) => (asked === address ? "db.net" : undefined),
      upstream: [],
    });
    const many = (family: number) =>
      family === 4 ? Array.from({ length: 60 }, (_, i) => `10.9.8.${i + 1}`) : [];
    await net.serveNames("dns", source("10.1.2.3"));
    await net.serveNames("dns", source("10.1.2.4"));
    const ask = async (...args: string[]) =>
      (await run(at, "busybox", "nslookup", ...args, "127.0.0.11")).output;
    expect(await ask("db")).toContain("Address: 10.1.2.4");
    expect(await ask("10.1.2.4")).toContain("name = db.net");
    expect(await ask("elsewhere.example")).toContain("SERVFAIL");
    // 60 addresses do not fit into 512 bytes, so the C library comes back over TCP.
    const script = `const dns = require("node:dns"); dns.setServers(["127.0.0.11"]); dns.resolve4("big", (e, a) => console.log(e ?? a.length))`;
    expect((await run(at, process.execPath, "-e", script)).output.trim()).toBe("60");
    net.stopNames("dns");
    expect(await ask("db")).not.toContain("10.1.2.4");
  });
});

describe("daemons", () => {
  test("that come back find traffic flowing and bring everything in line", async () => {
    const execRoot = mkdtempSync(join(tmpdir(), "gantry-net-"));
    const name = `u${tag}`;
    const spec = { ...bridge("u", "10.198.243.1/24"), bridge: `gu${tag}` };
    const surplus = { ...bridge("v", "10.198.244.1/24"), bridge: `gv${tag}` };
    // The first life ends without a word, as with kill -9: in a process of its own.
    const life = Bun.spawnSync([
      process.execPath,
      "-e",
      `import { openNetwork } from ${JSON.stringify(join(import.meta.dir, "index.ts"))};
       const net = await openNetwork({ execRoot: ${JSON.stringify(execRoot)}, instance: "${name}" });
       net.ensureBridge(${JSON.stringify(spec)});
       net.ensureBridge(${JSON.stringify(surplus)});
       for (const [i, id] of ["keep", "drop"].entries()) {
         net.createSandbox(id);
         const address = "10.198.243." + (i + 2);
         net.connect(id, { networkId: "", endpointId: "ab${process.pid.toString(16)}".padEnd(12, String(i)).padStart(64, String(i)), bridge: "${spec.bridge}", interfaceName: "eth0", macAddress: "02:42:0a:c6:f3:0" + (i + 2), addresses: [address + "/24"], gateways: ["10.198.243.1"] });
         await net.publish(id, { protocol: "tcp", hostIp: "", hostPort: 0, targets: { 4: { address, routed: false } }, containerPort: 80 }).then((port) => console.log(port.hostPort));
       }
       process.kill(process.pid, "SIGKILL");`,
    ]);
    const second = await openNetwork({ execRoot, instance: name });
    const [kept = 0, dropped = 0] = life.stdout.toString().trim().split("\n").map(Number);
    const at = { sandbox: "keep", path: join(execRoot, "netns", "keep"), address: "10.198.243.2" } as Place;
    const works = async () => (await fetch(`http://127.0.0.1:${kept}`, { keepalive: false })).text();
    try {
      expect(life.signalCode).toBe("SIGKILL");
      // Nothing has been asked of the second daemon yet, so this is all the work of what the first one left.
      await serveHttp(at);
      expect(await works()).toBe("keep");
      expect(second.listSandboxes().sort()).toEqual(["drop", "keep"]);
      second.ensureBridge(spec);
      const port = wanted(at, { hostPort: kept });
      await second.publish("keep", port);
      const endpoint = linkAliases(name).find(({ id }) => id.includes(`ab${process.pid.toString(16)}0`))!.id;
      second.reconcile({ bridges: [spec.bridge], endpoints: [endpoint], sandboxes: ["keep"] });
      expect(await works()).toBe("keep");
      expect(second.listSandboxes()).toEqual(["keep"]);
      expect(links()).not.toContain(surplus.bridge);
      expect(linkAliases(name).length).toBe(2);
      using nft = new Nft();
      const table = nft.run(`list table ip gantry_${name}`);
      expect(table).toContain(String(kept));
      expect(table).not.toContain(String(dropped));
      // The other daemon of this suite has lost nothing.
      expect(links()).toContain(bridges.a.bridge);
      expect(nft.run(`list table ip gantry_${instance}`)).toContain(bridges.a.bridge);
    } finally {
      second.reconcile({ bridges: [], endpoints: [], sandboxes: [] });
      await second[Symbol.asyncDispose]();
      rmSync(execRoot, { recursive: true });
    }
    using nft = new Nft();
    expect(nft.attempt(`list table ip gantry_${name}`)).toBe(false);
  });

  test("leave each other's bridges alone", async () => {
    const execRoot = mkdtempSync(join(tmpdir(), "gantry-net-"));
    const other = await openNetwork({ execRoot, instance: `w${tag}` });
    try {
      expect(() => other.ensureBridge(bridges.a)).toThrow("belongs to somebody else");
      expect(() => other.removeBridge(bridges.a.networkId, bridges.a.bridge)).toThrow(
        "belongs to somebody else",
      );
      other.reconcile({ bridges: [], endpoints: [], sandboxes: [] });
      expect(links()).toContain(bridges.a.bridge);
    } finally {
      await other[Symbol.asyncDispose]();
      rmSync(execRoot, { recursive: true });
    }
  });

  test("leave no link when they end without sandboxes, though something holds a namespace that was removed", async () => {
    const execRoot = mkdtempSync(join(tmpdir(), "gantry-net-"));
    const other = await openNetwork({ execRoot, instance: `h${tag}` });
    const spec = bridge("h", "10.198.243.1/28");
    let link = "";
    let ended = false;
    try {
      other.ensureBridge(spec);
      const at = place("held", spec, other);
      link = /(veth\S+?)@.*alias gantry:h/.exec(
        links()
          .split("\n")
          .find((line) => line.includes(at.endpoint.endpointId)) ?? "",
      )![1]!;
      const holder = Bun.spawn(["nsenter", `--net=${at.path}`, "sleep", "60"]);
      processes.push(holder);
      const host = readlinkSync("/proc/self/ns/net");
      await until(() => readlinkSync(`/proc/${holder.pid}/ns/net`) !== host);
      other.removeSandbox("held");
      expect(links()).toContain(link);
      await other[Symbol.asyncDispose]();
      ended = true;
      expect(links()).not.toContain(link);
      expect(links()).not.toContain(spec.bridge);
    } finally {
      if (!ended) await other[Symbol.asyncDispose]();
      rmSync(execRoot, { recursive: true });
    }
  });

  test("names of bridges and instances out of bounds are refused", () => {
    expect(() => net.ensureBridge({ ...bridges.a, bridge: 'x" drop' })).toThrow("invalid bridge name");
    expect(openNetwork({ execRoot: root, instance: "Bad Name" })).rejects.toThrow("invalid instance name");
  });
});

function linkAliases(name: string): { id: string }[] {
  return [
    ...Bun.spawnSync(["ip", "link"])
      .stdout.toString()
      .matchAll(new RegExp(`alias gantry:${name}:(\\S+)`, "g")),
  ].map(([, id = ""]) => ({ id }));
}
