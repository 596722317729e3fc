/** Log drivers and their options, as receivers and readers see them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const talk = "echo out; echo err >&2; printf unfinished";

/** Datagrams that come to a unix socket, until disposed of. */
async function datagrams(path: string) {
  const child = Bun.spawn(["python3", join(import.meta.dir, "support/datagrams.py"), path], {
    stdout: "pipe",
  });
  const got: Buffer[] = [];
  const ready = Promise.withResolvers<void>();
  void (async () => {
    let text = "";
    for await (const chunk of child.stdout) {
      text += Buffer.from(chunk).toString();
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        if (line === "ready") ready.resolve();
        else got.push(Buffer.from(line, "hex"));
      }
    }
  })();
  await ready.promise;
  return {
    got,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.exited;
      rmSync(path, { force: true });
    },
  };
}

const run = (options: string[], command = talk) =>
  daemon.ok(["run", "--rm", ...options, "busybox", "sh", "-c", command]);
const syslog = (address: string, ...more: string[]) => [
  ...["--log-driver", "syslog", "--log-opt", `syslog-address=${address}`],
  ...more.flatMap((option) => ["--log-opt", option]),
];

test("syslog by a unix socket, as Go's local syslog has it", async () => {
  await using receiver = await datagrams(join(daemon.root, "log.sock"));
  // A datagram socket also by the name of a stream's, as Docker finds out by itself.
  await run([...syslog(`unix://${daemon.root}/log.sock`, "tag={{.Name}}/x"), "--name", "spoken"]);
  await until(() => receiver.got.length === 3, "three messages");
  const stamp = "[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d";
  const texts = receiver.got.map(String).sort();
  expect(texts[0]).toMatch(new RegExp(`^<27>${stamp} spoken/x\\[\\d+\\]: err\\n$`));
  expect(texts[1]).toMatch(new RegExp(`^<30>${stamp} spoken/x\\[\\d+\\]: out\\n$`));
  expect(texts[2]).toMatch(new RegExp(`^<30>${stamp} spoken/x\\[\\d+\\]: unfinished\\n$`));
});

test("syslog by UDP and TCP, in the formats of the RFCs", async () => {
  let got = "";
  const udp = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: {
      data: (_, bytes) => {
        got += bytes.toString();
      },
    },
  });
  const tcp = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data: (_, bytes) => {
        got += bytes.toString();
      },
    },
  });
  try {
    await run(
      syslog(`udp://127.0.0.1:${udp.port}`, "syslog-format=rfc5424micro", "syslog-facility=local3"),
      "echo one",
    );
    await until(() => got.endsWith("\n"), "a datagram");
    expect(got).toMatch(
      new RegExp(
        `^<158>1 \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z ${hostname()} ([0-9a-f]{12}) \\d+ \\1 - one\\n$`,
      ),
    );
    got = "";
    await run(
      syslog(`tcp://localhost:${tcp.port}`, "syslog-format=rfc3164", "mode=non-blocking"),
      "echo a; echo b",
    );
    await until(() => got.split("\n").length === 3, "two lines");
    expect(got).toMatch(new RegExp(`^<30>.{15} ${hostname()} [0-9a-f]{12}\\[\\d+\\]: a\\n<30>.*: b\\n$`));
  } finally {
    udp.close();
    tcp.stop(true);
  }
});

test("logs of a container under syslog are there to read, unless that is turned off", async () => {
  await using receiver = await datagrams(join(daemon.root, "copy.sock"));
  const options = syslog(`unixgram://${daemon.root}/copy.sock`);
  await daemon.ok(["run", "-d", "--name", "copy", ...options, "busybox", "sh", "-c", "echo kept"]);
  await until(async () => (await daemon.ok(["logs", "copy"])) === "kept", "the copy");
  expect(await daemon.ok(["inspect", "-f", "{{.LogPath}}", "copy"])).toBe("");
  const off = [...options, "--log-opt", "cache-disabled=true"];
  await daemon.ok(["run", "-d", "--name", "nocopy", ...off, "busybox", "sh", "-c", "echo gone"]);
  expect((await daemon.docker(["logs", "nocopy"])).stderr).toContain(
    "configured logging driver does not support reading",
  );
  await until(() => receiver.got.length === 2, "both messages");
});

test("a syslog that goes away does not stop the container, and one that comes back is used again", async () => {
  const path = join(daemon.root, "away.sock");
  const loop = "i=0; while [ ! -e /end ]; do echo $i; i=$((i+1)); sleep 0.1; done";
  const said = async () => (await daemon.ok(["logs", "away"])).split("\n").length;
  {
    await using receiver = await datagrams(path);
    await daemon.ok([
      "run",
      "-d",
      "--name",
      "away",
      ...syslog(`unixgram://${path}`),
      "busybox",
      "sh",
      "-c",
      loop,
    ]);
    await until(() => receiver.got.length > 0, "the first message");
  }
  const before = await said();
  await until(async () => (await said()) > before + 3, "messages to nobody");
  await using again = await datagrams(path);
  await until(() => again.got.length > 0, "messages after the return");
  await daemon.ok(["exec", "away", "touch", "/end"]);
  expect(await daemon.ok(["wait", "away"])).toBe("0");
});

test("a syslog that reads nothing does not stop a container that has a buffer for its lines", async () => {
  const path = join(daemon.root, "stalled.sock");
  const come = Promise.withResolvers<Socket>();
  const server = createServer({ pauseOnConnect: true }, come.resolve).listen(path);
  try {
    await once(server, "listening");
    const options = syslog(`unix://${path}`, "mode=non-blocking", "max-buffer-size=64k");
    await run(options, "seq 1 100000");
    let text = "";
    for await (const chunk of await come.promise) text += String(chunk);
    expect(text).toEndWith("]: 100000\n");
    expect(text.split("\n").length).toBeLessThan(50_000);
  } finally {
    server.close();
  }
});

test("the journal's own protocol, or a word that there is none", async () => {
  const options = ["--log-driver", "journald", "--log-opt", "labels=of.team", "--label", "of.team=blue"];
  const journal = "/run/systemd/journal/socket";
  // A machine's own journal is not ours to listen for.
  if (existsSync(journal)) return;
  const refused = await daemon.docker(["run", "--rm", ...options, "busybox", "true"]);
  expect(refused.stderr).toContain(
    "failed to initialize logging driver: journald is not enabled on this host",
  );
  mkdirSync(dirname(journal), { recursive: true });
  await using receiver = await datagrams(journal);
  await run([...options, "--name", "noted"]);
  await until(() => receiver.got.length === 3, "three entries");
  const out = receiver.got.map((bytes) => bytes.toString("latin1")).find((text) => text.includes("out\n"))!;
  expect(out).toContain("PRIORITY=6\n");
  const field = (name: string, value: string) =>
    `${name}\n${String.fromCharCode(value.length)}${"\0".repeat(7)}${value}\n`;
  expect(out).toContain(field("MESSAGE", "out"));
  expect(out).toContain(field("CONTAINER_NAME", "noted"));
  expect(out).toContain(field("IMAGE_NAME", "busybox"));
  expect(out).toContain(field("OF_TEAM", "blue"));
  expect(receiver.got.filter((bytes) => bytes.includes("CONTAINER_PARTIAL_MESSAGE=true"))).toHaveLength(1);
});

test("json-file: what labels, env and tag tell, and details show", async () => {
  await daemon.ok([
    ...[
      "run",
      "--name",
      "told",
      "--label",
      "team=a b",
      "--label",
      "other=x",
      "-e",
      "STAGE=test",
      "-e",
      "KEY=secret",
    ],
    ...["--log-opt", "labels=team", "--log-opt", "env-regex=^STA", "--log-opt", "tag={{.ImageName}}"],
    ...["busybox", "echo", "line"],
  ]);
  const path = await daemon.ok(["inspect", "-f", "{{.LogPath}}", "told"]);
  const { attrs, log } = JSON.parse(readFileSync(path, "utf8")) as { attrs: object; log: string };
  expect([attrs, log]).toEqual([{ team: "a b", STAGE: "test", tag: "busybox" }, "line\n"]);
  const details = "STAGE=test,tag=busybox,team=a+b line\n";
  expect((await daemon.docker(["logs", "--details", "told"])).stdout).toBe(details);
  expect((await daemon.docker(["logs", "--details", "-t", "told"])).stdout).toMatch(
    /^\S+Z STAGE=\S+ line\n$/,
  );
  expect((await daemon.docker(["logs", "told"])).stdout).toBe("line\n");
});

test("rotated files are compressed, and read as if they weren't", async () => {
  const limits = ["--log-opt", "max-size=20k", "--log-opt", "max-file=4", "--log-opt", "compress=true"];
  const count = "i=0; while [ $i -lt 600 ]; do echo line $i; i=$((i+1)); done";
  await daemon.ok(["run", "--name", "packed", ...limits, "busybox", "sh", "-c", count]);
  const path = await daemon.ok(["inspect", "-f", "{{.LogPath}}", "packed"]);
  const names = () => readdirSync(dirname(path)).filter((name) => name.includes("-json.log."));
  await until(() => names().length > 0 && names().every((name) => name.endsWith(".gz")), "compressed files");
  const lines = (await daemon.ok(["logs", "packed"])).split("\n");
  expect(lines).toEqual(Array.from({ length: 600 }, (_, index) => `line ${index}`));
  expect(await daemon.ok(["logs", "-n", "2", "packed"])).toBe("line 598\nline 599");
});

test.each([
  [["--log-driver", "fluentd"], "logger: no log driver named 'fluentd' is registered"],
  [["--log-opt", "max-sise=1m"], "unknown log opt 'max-sise' for json-file log driver"],
  [
    ["--log-opt", "compress=true"],
    "compress cannot be true when max-file is less than 2 or max-size is not set",
  ],
  [["--log-opt", "mode=maybe"], "logger: logging mode not supported: maybe"],
  [["--log-opt", "max-buffer-size=1m"], "max-buffer-size option is only supported with 'mode=non-blocking'"],
  [["--log-opt", "tag={{.Nope}}"], "invalid log tag: {{.Nope}}"],
  [syslog("ftp://x"), "syslog-address should be in form proto://address, got ftp://x"],
  [syslog("unix:///nowhere/log"), "stat /nowhere/log: no such file or directory"],
  [syslog("udp://x", "syslog-facility=nonsense"), "invalid syslog facility"],
  [syslog("udp://x", "syslog-format=nonsense"), "Invalid syslog format"],
  [syslog("tcp://127.0.0.1:1"), "failed to initialize logging driver: "],
] as [string[], string][])("refused: %p", async (options, message) => {
  const result = await daemon.docker(["run", "--rm", ...options, "busybox", "true"]);
  expect(result.stderr).toContain(message);
  expect(result.code).not.toBe(0);
});
