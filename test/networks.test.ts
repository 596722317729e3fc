/** Networks as containers and the host see them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Result, run, TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

type Client = (args: string[]) => Promise<Result>;
const clients: [string, Client][] = [
  ["gantry", (args) => daemon.gantry(args)],
  ["docker", (args) => daemon.docker(args)],
];

/** A web server whose page is `text`. */
const serve = (text: string) => [
  "busybox",
  "sh",
  "-c",
  `echo ${text} >/tmp/index.html; exec httpd -f -p 80 -h /tmp`,
];
/** The server may not listen yet; a name that must not be found need not be asked for long. */
const fetchPage = (host: string, tries = 200) => [
  "busybox",
  "sh",
  "-c",
  `for i in $(seq ${tries}); do wget -qO- ${host} && exit; sleep 0.1; done; exit 1`,
];
const page = (url: string) =>
  fetch(url, { signal: AbortSignal.timeout(20_000) }).then((answer) => answer.text());

describe.each(clients)("%s", (name, client) => {
  const ok = async (...args: string[]) => {
    const result = await client(args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout.trim();
  };

  test("on a network of one's own, containers find each other by name, alias and id", async () => {
    const net = `${name}-net`;
    await ok("network", "create", net);
    const id = await ok(
      "run",
      "-d",
      "--name",
      `${name}-one`,
      "--network",
      net,
      "--network-alias",
      "web",
      ...serve("hello"),
    );
    for (const host of [`${name}-one`, "web", id.slice(0, 12)])
      expect(await ok("run", "--rm", "--network", net, ...fetchPage(host))).toBe("hello");
    expect((await client(["run", "--rm", ...fetchPage(`${name}-one`, 5)])).code).toBe(1);
    const refused = await client(["network", "rm", net]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("has active endpoints");
    await ok("rm", "-f", `${name}-one`);
    await ok("network", "rm", net);
  });

  test("connect and disconnect a running container", async () => {
    const net = `${name}-late`;
    await ok("network", "create", "--subnet", "10.99.7.0/24", "--gateway", "10.99.7.1", net);
    expect(await ok("network", "inspect", "bridge", net, "-f", "{{json .IPAM.Options}}")).toBe("null\n{}");
    await ok("run", "-d", "--name", `${name}-late`, ...serve("late"));
    await ok("network", "connect", "--ip", "10.99.7.77", net, `${name}-late`);
    expect(await ok("run", "--rm", "--network", net, ...fetchPage(`${name}-late`))).toBe("late");
    expect(
      await ok("inspect", "-f", `{{(index .NetworkSettings.Networks "${net}").IPAddress}}`, `${name}-late`),
    ).toBe("10.99.7.77");
    await ok("network", "disconnect", net, `${name}-late`);
    expect(await ok("exec", `${name}-late`, "sh", "-c", "ip -o -4 addr | grep -c 10.99.7 || true")).toBe("0");
    await ok("rm", "-f", `${name}-late`);
    await ok("network", "rm", net);
  });

  test("a published port answers on the host's addresses, and from containers", async () => {
    await ok("run", "-d", "--name", `${name}-port`, "-p", "80", ...serve("published"));
    const port = (await ok("port", `${name}-port`, "80")).split("\n")[0]!.split(":").at(-1);
    await until(
      () =>
        page(`http://127.0.0.1:${port}/`).then(
          (text) => text === "published\n",
          () => false,
        ),
      "the page",
    );
    const gateway = await ok("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}");
    expect(await page(`http://${gateway}:${port}/`)).toBe("published\n");
    expect(await ok("run", "--rm", ...fetchPage(`${gateway}:${port}`))).toBe("published");
    await ok("rm", "-f", `${name}-port`);
    expect(await page(`http://127.0.0.1:${port}/`).catch(() => "closed")).toBe("closed");
  });

  test("network none has no way out, network host is the host's", async () => {
    expect(await ok("run", "--rm", "--network", "none", "busybox", "sh", "-c", "ip -o link | wc -l")).toBe(
      "1",
    );
    expect(
      await ok("run", "--rm", "--network", "host", "busybox", "ip", "-o", "link", "show", daemon.bridge),
    ).toContain(daemon.bridge);
  });

  test("a network shared with a container", async () => {
    await ok("run", "-d", "--name", `${name}-owner`, ...serve("shared"));
    expect(await ok("run", "--rm", "--network", `container:${name}-owner`, ...fetchPage("127.0.0.1"))).toBe(
      "shared",
    );
    await ok("rm", "-f", `${name}-owner`);
  });

  test("an internal network stays inside", async () => {
    const net = `${name}-inside`;
    await ok("network", "create", "--internal", net);
    await ok("run", "-d", "--name", `${name}-inner`, "--network", net, ...serve("inner"));
    expect(await ok("run", "--rm", "--network", net, ...fetchPage(`${name}-inner`))).toBe("inner");
    expect(
      await ok("run", "--rm", "--network", net, "busybox", "sh", "-c", "ip route | grep -c default || true"),
    ).toBe("0");
    await ok("rm", "-f", `${name}-inner`);
    await ok("network", "rm", net);
  });
});

test("two networks do not see each other", async () => {
  for (const net of ["red", "blue"]) await daemon.ok(["network", "create", net]);
  await daemon.ok(["run", "-d", "--name", "in-red", "--network", "red", ...serve("red")]);
  const address = await daemon.ok(["inspect", "-f", "{{.NetworkSettings.Networks.red.IPAddress}}", "in-red"]);
  const script = `timeout 1 wget -qO- ${address} || echo unreachable`;
  expect(await daemon.ok(["run", "--rm", "--network", "blue", "busybox", "sh", "-c", script])).toBe(
    "unreachable",
  );
  await daemon.ok(["rm", "-f", "in-red"]);
  await daemon.ok(["network", "rm", "red", "blue"]);
});

test("a daemon that ends without containers takes its links and rules along, and brings them back", async () => {
  const links = () => Bun.spawnSync(["ip", "-o", "link"]).stdout.toString();
  await daemon.ok(["network", "create", "again"]);
  const bridge = `br-${(await daemon.ok(["network", "inspect", "-f", "{{.Id}}", "again"])).slice(0, 12)}`;
  expect(links()).toContain(bridge);
  await daemon.shutDown();
  expect(links()).not.toContain(bridge);
  expect(links()).not.toContain(daemon.bridge);
  await daemon.boot();
  await daemon.ok(["run", "-d", "--name", "back", "--network", "again", ...serve("back")]);
  expect(await daemon.ok(["run", "--rm", "--network", "again", ...fetchPage("back")])).toBe("back");
  await daemon.ok(["rm", "-f", "back"]);
  await daemon.ok(["network", "rm", "again"]);
});

/** Docker's client gets its errors after these words. */
const daemonSays = "Error response from daemon: ";
const refusedWith = async (args: string[]): Promise<string> => {
  const { code, stderr } = await daemon.docker(args);
  expect(code).not.toBe(0);
  return stderr.slice(stderr.indexOf(daemonSays) + daemonSays.length).trim();
};

test("a port that is published nowhere in particular answers over IPv6 too, where the host has it", async () => {
  const hasIPv6 = (await run(["ip", "-6", "-o", "addr", "show", "dev", "lo"])).stdout.includes("::1/128");
  await daemon.ok(["run", "-d", "--name", "both", "-p", "80", "-p", "0.0.0.0::81", ...serve("both")]);
  const shown = async () => (await daemon.docker(["port", "both", "80"])).stdout.trim().split("\n");
  const [first, ...more] = await shown();
  const port = first!.split(":").at(-1);
  expect(first).toBe(`0.0.0.0:${port}`);
  expect(more).toEqual(hasIPv6 ? [`[::]:${port}`] : []);
  const listed = `0.0.0.0:${port}->80/tcp${hasIPv6 ? `, [::]:${port}->80/tcp` : ""}`;
  const { stdout } = await daemon.docker(["ps", "--filter", "name=both", "--format", "{{.Ports}}"]);
  expect(stdout).toContain(listed);
  expect((await daemon.docker(["port", "both", "81"])).stdout).not.toContain("::");
  const hosts = ["127.0.0.1", ...(hasIPv6 ? ["[::1]"] : [])];
  const answers = async () => {
    const pages = await Promise.all(hosts.map((host) => page(`http://${host}:${port}/`).catch(() => "")));
    return pages.every((text) => text === "both\n");
  };
  await until(answers, "the page at every address");
  // A daemon that comes later publishes the same.
  await daemon.crash();
  await daemon.boot();
  expect(await shown()).toEqual([first!, ...more]);
  await until(answers, "the page at every address, from the next daemon");
  await daemon.ok(["rm", "-f", "both"]);
});

test("an address is asked for where the subnet was, and inside it", async () => {
  await daemon.ok(["network", "create", "chosen"]);
  await daemon.ok([
    "network",
    "create",
    "--subnet",
    "10.127.9.0/24",
    "--ip-range",
    "10.127.9.128/25",
    "given",
  ]);
  const onlyConfigured =
    "user specified IP address is supported only when connecting to networks with user configured subnets";
  for (const [network, flag, address, message] of [
    ["chosen", "--ip", "10.9.9.9", onlyConfigured],
    ["given", "--ip", "10.9.9.9", "no configured subnet or ip-range contain the IP address 10.9.9.9"],
    ["given", "--ip6", "fd00::9", onlyConfigured],
    ["bridge", "--ip", "10.9.9.9", "user specified IP address is supported on user defined networks only"],
  ] as const) {
    const words = `invalid endpoint settings:\n${message}`;
    expect(await refusedWith(["create", "--network", network, flag, address, "busybox"])).toBe(
      `invalid config for network ${network}: ${words}`,
    );
  }
  await daemon.ok(["run", "-d", "--name", "late", "--network", "none", "busybox", "sleep", "1000"]);
  await daemon.ok(["network", "disconnect", "none", "late"]);
  expect(await refusedWith(["network", "connect", "--ip", "10.9.9.9", "given", "late"])).toBe(
    "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.9.9.9",
  );
  const address = ["exec", "late", "ip", "-4", "-o", "addr", "show", "eth0"];
  await daemon.ok(["network", "connect", "--ip", "10.127.9.5", "given", "late"]);
  expect(await daemon.ok(address)).toContain("10.127.9.5/24");
  expect(
    await refusedWith(["run", "--rm", "--network", "given", "--ip", "10.127.9.5", "busybox", "true"]),
  ).toStartWith("Address already in use");
  await daemon.ok(["rm", "-f", "late"]);
  await daemon.ok(["network", "rm", "chosen", "given"]);
});

test("the way out is on the network of the highest priority, at the start and later", async () => {
  for (const name of ["low", "high"]) await daemon.ok(["network", "create", name]);
  const way = () => daemon.ok(["exec", "way", "ip", "route", "show", "default"]);
  const gateway = (name: string) =>
    daemon.ok(["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", name]);
  const [low, high] = await Promise.all(["low", "high"].map(gateway));
  await daemon.ok([
    "run",
    "-d",
    "--name",
    "way",
    "--network",
    "low",
    "-p",
    "127.0.0.1::80",
    ...serve("here"),
  ]);
  const url = `http://${await daemon.ok(["port", "way", "80"])}/`;
  const answers = async () => {
    const text = await page(url).catch(() => "");
    return text === "here\n";
  };
  expect(await way()).toContain(`via ${low} `);
  await until(answers, "the page, by the first network");
  await daemon.ok(["network", "connect", "--gw-priority", "5", "high", "way"]);
  expect(await way()).toContain(`via ${high} `);
  expect(`http://${await daemon.ok(["port", "way", "80"])}/`).toBe(url);
  await until(answers, "the page, by the second network");
  const shown = "{{.NetworkSettings.Networks.high.GwPriority}} {{.NetworkSettings.Networks.low.GwPriority}}";
  expect(await daemon.ok(["inspect", "-f", shown, "way"])).toBe("5 0");
  await daemon.ok(["restart", "-t", "0", "way"]);
  expect(await way()).toContain(`via ${high} `);
  await daemon.ok(["network", "disconnect", "high", "way"]);
  expect(await way()).toContain(`via ${low} `);
  await daemon.ok(["rm", "-f", "way"]);
  await daemon.ok(["network", "rm", "low", "high"]);
});

test("a network of settings alone, and networks that have theirs from it", async () => {
  const create = (...args: string[]) => ["network", "create", ...args];
  await daemon.ok(create("--config-only", "--subnet", "10.127.8.0/24", "--label", "a=b", "settings"));
  await daemon.ok(create("--config-from", "settings", "made"));
  const shown =
    "{{json .ConfigOnly}} {{.ConfigFrom.Network}} {{.Driver}} {{json .Labels}} {{(index .IPAM.Config 0).Subnet}}";
  expect(await daemon.ok(["network", "inspect", "-f", shown, "settings", "made"])).toBe(
    'true  null {"a":"b"} 10.127.8.0/24\nfalse settings bridge {"a":"b"} 10.127.8.0/24',
  );
  expect(
    await daemon.ok(["run", "--rm", "--network", "made", "busybox", "ip", "-4", "-o", "addr"]),
  ).toContain("10.127.8.2/24");
  for (const [args, message] of [
    [
      create("--config-from", "settings", "--label", "x=y", "no"),
      "user specified configurations are not supported if the network depends on a configuration network",
    ],
    [create("--config-from", "made", "no"), 'configuration network "made" does not exist'],
    [
      create("--config-only", "--config-from", "settings", "no"),
      "a configuration network cannot depend on another configuration network",
    ],
    [
      create("--config-only", "--internal", "no"),
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    ],
    [
      ["network", "rm", "settings"],
      'error while removing network: configuration network "settings" is in use',
    ],
    [
      ["run", "--rm", "--network", "settings", "busybox", "true"],
      "cannot create endpoint on configuration-only network",
    ],
  ] as const) {
    expect(await refusedWith([...args])).toStartWith(message);
  }
  await daemon.ok(["network", "rm", "made"]);
  await daemon.ok(["network", "prune", "-f"]);
  await daemon.ok(["network", "rm", "settings"]);
});
