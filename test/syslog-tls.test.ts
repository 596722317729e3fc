/** The syslog driver over TLS, with a receiver that checks who speaks. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { processesNaming, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

const certificates = mkdtempSync(join(tmpdir(), "gt-syslog-"));
const file = (name: string) => join(certificates, name);
let daemon: TestDaemon;
let server: Server;
const connections: TLSSocket[] = [];
let got = "";

function openssl(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: certificates });
  if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}

beforeAll(async () => {
  for (const name of ["ca", "server", "client"]) {
    const key = [
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-keyout",
      `${name}.key`,
    ];
    const signed = name === "ca" ? [] : ["-CA", "ca.pem", "-CAkey", "ca.key"];
    const names = name === "server" ? ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"] : [];
    openssl(
      "req",
      "-x509",
      ...key,
      ...signed,
      ...names,
      "-subj",
      `/CN=${name}`,
      "-days",
      "30",
      "-out",
      `${name}.pem`,
    );
  }
  const pem = (name: string) => readFileSync(file(name));
  server = createServer(
    {
      ca: pem("ca.pem"),
      cert: pem("server.pem"),
      key: pem("server.key"),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (connection) => {
      connections.push(connection);
      connection.on("data", (bytes) => {
        got += bytes;
      });
      connection.on("error", () => {});
    },
  );
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  daemon = await TestDaemon.start();
});
afterAll(() =>
  disposeAll(
    daemon,
    ...connections.map((connection) => () => connection.destroy()),
    () => server?.close(),
    certificates,
  ),
);

const syslog = (...more: string[]) => {
  const address = `syslog-address=tcp+tls://localhost:${port()}`;
  return ["--log-driver", "syslog", ...[address, ...more].flatMap((option) => ["--log-opt", option])];
};
const trusted = () => `syslog-tls-ca-cert=${file("ca.pem")}`;
const known = () => [`syslog-tls-cert=${file("client.pem")}`, `syslog-tls-key=${file("client.key")}`];
const port = () => (server.address() as AddressInfo).port;
const relays = () => processesNaming(`"port":${port()}`).length;

test("lines come by TLS, through the daemon's end and a broken connection, and nothing stays", async () => {
  const loop = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo line $i; sleep 0.05; done; echo last";
  await daemon.ok([
    "run",
    "-d",
    "--name",
    "far",
    ...syslog(trusted(), ...known()),
    "busybox",
    "sh",
    "-c",
    loop,
  ]);
  const numbers = () =>
    [...got.matchAll(/^<30>.*\[\d+\]: line (\d+)$/gm)].map(([, number]) => Number(number));
  const more = (what: string) => {
    const have = numbers().length;
    return until(() => numbers().length > have, what);
  };
  await more("the first line");
  expect(relays()).toBe(1);
  await daemon.crash();
  await more("lines without a daemon");
  for (const connection of connections) connection.destroy();
  await more("lines after the connection broke");
  await daemon.boot();
  await daemon.ok(["exec", "far", "touch", "/stop"]);
  await until(() => got.endsWith("last\n"), "the last line");
  await until(() => relays() === 0, "the end of the relay");
  await daemon.ok(["rm", "far"]);
});

test("messages of RFC 5424 are counted out", async () => {
  got = "";
  const options = syslog(trusted(), ...known(), "syslog-format=rfc5424", "tag=t");
  await daemon.ok(["run", "--rm", ...options, "busybox", "echo", "counted"]);
  await until(() => got.endsWith("\n"), "the message");
  const [, count, message] = /^(\d+) (.*)$/s.exec(got)!;
  expect(message).toMatch(/^<30>1 \S+ \S+ t \d+ t - counted\n$/);
  expect(Number(count)).toBe(message!.length);
});

test("who can't be trusted is not spoken to, unless that is wished", async () => {
  const refused = async (...options: string[]) =>
    (await daemon.docker(["run", "--rm", ...syslog(...options), "busybox", "true"])).stderr;
  expect(await refused(...known())).toContain("failed to initialize logging driver: ");
  expect(await refused(trusted(), "syslog-tls-cert=/nowhere.pem")).toContain("could not read /nowhere.pem");
  got = "";
  const options = syslog(...known(), "syslog-tls-skip-verify=true");
  await daemon.ok(["run", "--rm", ...options, "busybox", "echo", "anyhow"]);
  await until(() => got.endsWith(": anyhow\n"), "the message");
});
