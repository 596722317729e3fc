/** The engine over TCP with TLS, and API versions. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../src/registry/fixture.ts";
import { executable, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let certificates: string;
let port: number;

function openssl(...args: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: certificates });
  if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}

/** A certificate that `authority` has signed, as `<name>.pem` and `<name>-key.pem`. */
function sign(name: string, authority: string, extensions: string): void {
  openssl(
    "req",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    `${name}-key.pem`,
    "-out",
    `${name}.csr`,
  );
  Bun.spawnSync(["sh", "-c", `printf '%s' '${extensions}' > ${name}.ext`], { cwd: certificates });
  openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    `${authority}.pem`,
    "-CAkey",
    `${authority}-key.pem`,
    "-CAcreateserial",
    "-days",
    "2",
    "-out",
    `${name}.pem`,
    "-extfile",
    `${name}.ext`,
  );
}

const authority = (name: string) =>
  openssl(
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    `${name}-key.pem`,
    "-out",
    `${name}.pem`,
  );

beforeAll(async () => {
  certificates = mkdtempSync(join(tmpdir(), "gt-tls-"));
  authority("ca");
  authority("stranger");
  sign("server", "ca", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth");
  sign("cert", "ca", "extendedKeyUsage=clientAuth");
  sign("foreign", "stranger", "extendedKeyUsage=clientAuth");
  port = await freePort();
  const pem = (name: string) => join(certificates, `${name}.pem`);
  daemon = await TestDaemon.start({
    flags: [
      "-H",
      `tcp://127.0.0.1:${port}`,
      "--tlsverify",
      "--tlscacert",
      pem("ca"),
      "--tlscert",
      pem("server"),
      "--tlskey",
      pem("server-key"),
    ],
  });
});
afterAll(() => disposeAll(daemon, certificates));

test.each([["gantry"], ["docker"]])(
  "%s works over TLS with a certificate, and not without or with a foreign one",
  async (name) => {
    const program = name === "gantry" ? executable : "docker";
    const remote = (certificate: string, ...args: string[]) =>
      run(
        [
          program,
          "-H",
          `tcp://127.0.0.1:${port}`,
          "--tlsverify",
          "--tlscacert",
          join(certificates, "ca.pem"),
          "--tlscert",
          join(certificates, `${certificate}.pem`),
          "--tlskey",
          join(certificates, `${certificate === "cert" ? "cert" : certificate}-key.pem`),
          ...args,
        ],
        {
          env: {
            DOCKER_CONFIG: join(certificates, "config"),
            GANTRY_HOST: undefined,
            DOCKER_HOST: undefined,
          },
        },
      );
    const good = await remote("cert", "run", "--rm", "busybox", "echo", "far away");
    expect(good).toMatchObject({ code: 0, stdout: "far away\n" });
    const foreign = await remote("foreign", "ps");
    expect(foreign.code).toBe(1);
    expect(foreign.stderr).toMatch(/certificate|tls|TLS|connect/);
    const plain = await fetch(`http://127.0.0.1:${port}/_ping`).then(
      (answer) => answer.status,
      () => "refused",
    );
    expect(plain).not.toBe(200);
  },
);

test("TCP without TLS is refused unless it is asked for", async () => {
  const host = [
    "daemon",
    "--validate",
    "--config-file",
    join(daemon.root, "daemon.json"),
    "-H",
    "tcp://127.0.0.1:2375",
  ];
  const refused = await run([executable, ...host]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("--tlsverify");
  expect((await run([executable, ...host, "--allow-insecure-tcp"])).code).toBe(0);
});

test("API versions are negotiated", async () => {
  const old = await daemon.docker(["version", "-f", "{{.Client.APIVersion}} {{.Server.APIVersion}}"], {
    env: { DOCKER_API_VERSION: "1.30" },
  });
  expect(old.stdout).toBe("1.30 1.51\n");
  for (const [path, message] of [
    ["/v1.99/info", "client version 1.99 is too new. Maximum supported API version is 1.51"],
    [
      "/v1.10/info",
      "client version 1.10 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
    ],
  ] as const) {
    const answer = await daemon.request(path);
    expect([answer.status, ((await answer.json()) as { message: string }).message]).toEqual([400, message]);
  }
  const ping = await daemon.request("/_ping", { method: "HEAD" });
  expect(ping.headers.get("api-version")).toBe("1.51");
  expect((await daemon.request("/v1.51/no/such/thing")).status).toBe(404);
});

test("a second daemon on the same roots says so and harms nothing", async () => {
  const second = await run([
    executable,
    "daemon",
    "--config-file",
    join(daemon.root, "daemon.json"),
    "--data-root",
    daemon.dataRoot,
    "--exec-root",
    daemon.execRoot,
    "--pidfile",
    join(daemon.root, "other"),
    "-H",
    `unix://${daemon.root}/other.sock`,
  ]);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`${daemon.dataRoot} is in use by another process`);
  expect((await daemon.request("/_ping")).status).toBe(200);
});

test("a .env or bunfig.toml where a command is typed means nothing to it", async () => {
  writeFileSync(join(certificates, ".env"), "GANTRY_HOST=unix:///nowhere\n");
  writeFileSync(join(certificates, "bunfig.toml"), 'preload = ["./nowhere.ts"]\n');
  // Without a host of its own the command would take the file's.
  const { GANTRY_HOST: _, DOCKER_HOST: __, ...env } = process.env;
  const child = Bun.spawnSync([executable, "context", "ls", "--format", "{{.DockerEndpoint}}"], {
    cwd: certificates,
    env,
  });
  expect(child.stdout.toString()).not.toContain("nowhere");
  expect(child.exitCode).toBe(0);
});
