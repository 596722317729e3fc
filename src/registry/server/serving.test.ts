/** How it is served: restarts, TLS, probes, limits, the configuration file, S3. */
import { describe, expect, test } from "bun:test";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import { digestOf } from "../../lib/digest.ts";
import { createRegistryClient } from "../client/client.ts";
import { pattern, pushImage, tempDir } from "../fixture.ts";
import { childRegistry } from "../fixture-child.ts";
import { s3Server } from "../fixture-s3.ts";
import type { RegistrySettings } from "../types.ts";
import { serveRegistry } from "./index.ts";
import { readSettings } from "./options.ts";

const repository = (server: { address: string }, path: string) =>
  createRegistryClient({}).repository({ domain: server.address, path });
const send = (server: { address: string }, method: string, path: string, init: RequestInit = {}) =>
  fetch(`http://${server.address}${path}`, { method, ...init });
const local = (root: string, settings: RegistrySettings = {}) =>
  serveRegistry({ addr: "127.0.0.1:0", root, ...settings });

async function run(...command: string[]): Promise<string> {
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ status, err: status === 0 ? "" : err }).toEqual({ status: 0, err: "" });
  return out;
}

describe("restarts", () => {
  test("an upload goes on after the server was killed", async () => {
    await using dir = await tempDir();
    const bytes = pattern(300_000);
    const settings = { addr: "127.0.0.1:0", root: dir.path };
    let location: string;
    {
      await using server = await childRegistry(settings);
      location = (await send(server, "POST", "/v2/a/blobs/uploads/")).headers.get("location")!;
      const sent = await send(server, "PATCH", location, { body: bytes.subarray(0, 200_000) });
      expect(sent.status).toBe(202);
    }
    await using server = await childRegistry(settings);
    expect((await send(server, "GET", location)).headers.get("range")).toBe("0-199999");
    expect((await send(server, "GET", location.replace("/a/", "/b/"))).status).toBe(404);
    const rest = { body: bytes.subarray(200_000), headers: { "content-range": "200000-299999" } };
    const done = await send(server, "PUT", `${location}?digest=${digestOf(bytes)}`, rest);
    expect(done.status).toBe(201);
    const got = await send(server, "GET", `/v2/a/blobs/${digestOf(bytes)}`);
    expect(digestOf(Buffer.from(await got.arrayBuffer()))).toBe(digestOf(bytes));
    expect((await send(server, "GET", location)).status).toBe(404);
  });

  test("on S3, with an upload that goes on", async () => {
    await using dir = await tempDir();
    await using s3 = await s3Server();
    const settings = { addr: "127.0.0.1:0", root: dir.path, storage: `s3://${s3.bucket}/reg` };
    const bytes = pattern(9_000_000);
    let location: string;
    {
      await using server = await childRegistry(settings, s3.env);
      await pushImage(repository(server, "a"), "v1", bytes);
      location = (await send(server, "POST", "/v2/a/blobs/uploads/")).headers.get("location")!;
      await send(server, "PATCH", location, { body: bytes.subarray(0, 100) });
    }
    const collecting = { ...settings, "gc-grace": "0", "gc-interval": "50ms" };
    await using server = await childRegistry(collecting, s3.env);
    const got = await send(server, "GET", `/v2/a/blobs/${digestOf(bytes)}`, {
      headers: { range: "bytes=8999990-" },
    });
    expect([got.status, await got.bytes()]).toEqual([206, new Uint8Array(bytes.subarray(8_999_990))]);
    const part = bytes.subarray(0, 300);
    const path = `${location}?digest=${digestOf(part)}`;
    expect((await send(server, "PUT", path, { body: part.subarray(100) })).status).toBe(201);
    expect((await send(server, "GET", "/healthz")).status).toBe(200);
    // Nothing names it, so it goes; the image stays.
    const gone = async () => (await send(server, "GET", `/v2/a/blobs/${digestOf(part)}`)).status === 404;
    for (let i = 0; i < 600 && !(await gone()); i++) await Bun.sleep(50);
    expect(await gone()).toBe(true);
    await repository(server, "a").manifest("v1");
    expect((await send(server, "HEAD", `/v2/a/blobs/${digestOf(bytes)}`)).status).toBe(200);
  });
});

describe("TLS", () => {
  test("skopeo signs in, pushes and pulls with tokens", async () => {
    await using dir = await tempDir();
    const path = (name: string) => join(dir.path, name);
    await run(
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", path("server.pem"), "-out", path("ca.crt"), "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=IP:127.0.0.1"],
    );
    await run("htpasswd", "-cbB", path("users"), "alice", "secret");
    await using server = await local(path("root"), {
      "tls-cert": path("ca.crt"),
      "tls-key": path("server.pem"),
      htpasswd: path("users"),
      token: true,
    });
    const plain = { addr: "127.0.0.1:0", root: path("from") };
    await using from = await serveRegistry(plain);
    const bytes = await pushImage(repository(from, "x"), "v1", Bun.gzipSync(Buffer.alloc(10_240)) as Buffer);
    const certs = `--dest-cert-dir=${dir.path}`;
    const to = `docker://${server.address}/team/x:v1`;
    await run(
      "skopeo",
      "copy",
      "--src-tls-verify=false",
      certs,
      "--dest-creds=alice:secret",
      `docker://${from.address}/x:v1`,
      to,
    );
    const raw = await run("skopeo", "inspect", "--raw", `--cert-dir=${dir.path}`, "--creds=alice:secret", to);
    expect(raw).toBe(bytes.toString());
    const tags = await run(
      "skopeo",
      "list-tags",
      `--cert-dir=${dir.path}`,
      "--creds=alice:secret",
      to.replace(":v1", ""),
    );
    expect(JSON.parse(tags)).toMatchObject({ Tags: ["v1"] });
  });

  test("plain HTTP is for this machine, unless it is asked for", async () => {
    await using dir = await tempDir();
    const settings = { addr: "0.0.0.0:0", root: dir.path };
    await expect(serveRegistry(settings)).rejects.toThrow("refusing to serve plain HTTP");
    await using server = await serveRegistry({ ...settings, "allow-insecure-http": true });
    expect(
      (await send({ address: server.address.replace("0.0.0.0", "127.0.0.1") }, "GET", "/v2/")).status,
    ).toBe(200);
  });
});

describe("options", () => {
  test("probes are at the one address, or at their own", async () => {
    await using dir = await tempDir();
    const text = async (server: { address: string }) => await (await send(server, "GET", "/metrics")).text();
    await using one = await local(join(dir.path, "one"));
    await send(one, "GET", "/v2/");
    expect(await text(one)).toContain(
      'gantry_registry_requests_total{method="GET",route="base",status="200"} 1\n',
    );
    expect(await (await send(one, "GET", "/healthz")).text()).toBe("ok\n");
    const free = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const debug = `127.0.0.1:${free.port}`;
    await free.stop(true);
    await using two = await local(join(dir.path, "two"), { "debug-addr": debug });
    expect((await send(two, "GET", "/metrics")).status).toBe(404);
    expect(await text({ address: debug })).toContain("process_resident_memory_bytes");
    expect((await send({ address: debug }, "GET", "/v2/")).status).toBe(404);
  });

  test("manifests pulled are limited by user or address, asking whether they changed is free", async () => {
    await using dir = await tempDir();
    await using server = await local(dir.path, { "limit-pulls": "2/1h" });
    await pushImage(repository(server, "a"), "v1");
    const statuses: number[] = [];
    for (const method of ["HEAD", "GET", "HEAD", "GET", "GET", "HEAD"]) {
      const response = await send(server, method, "/v2/a/manifests/v1");
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 429, 200]);
  });

  test("garbage goes while it serves", async () => {
    await using dir = await tempDir();
    await using server = await local(dir.path, { "gc-interval": "20ms", "gc-grace": "0" });
    const bytes = pattern(100);
    const path = `/v2/a/blobs/uploads/?digest=${digestOf(bytes)}`;
    expect((await send(server, "POST", path, { body: bytes })).status).toBe(201);
    const metrics = async () => await (await send(server, "GET", "/metrics")).text();
    // Counted when the round is over.
    const isCounted = async () => (await metrics()).includes('collected_total{kind="links"} 1');
    for (let i = 0; i < 1500 && !(await isCounted()); i++) await Bun.sleep(20);
    expect(await metrics()).toContain('collected_total{kind="links"} 1\n');
    expect((await send(server, "GET", `/v2/a/blobs/${digestOf(bytes)}`)).status).toBe(404);
  });

  test("a file has them too, and flags win", async () => {
    await using dir = await tempDir();
    const path = join(dir.path, "config.yml");
    await Bun.write(
      path,
      "read-only: true\nwarning: from the file\naccess:\n  - prefix: team\n    users: {a: [pull]}\n",
    );
    expect(await readSettings({ warning: "from a flag" }, path)).toEqual({
      "read-only": true,
      warning: "from a flag",
      access: [{ prefix: "team", users: { a: ["pull"] } }],
    });
  });

  test.each([
    ["read-onyl: true\n", "read-onyl"],
    ["limit-pulls: many\n", "limit-pulls: invalid rate"],
    ["gc-grace: 5 years\n", "gc-grace: invalid duration"],
    ["access: [{prefix: a, users: {b: [fly]}}]\n", "access.0.users.b.0"],
    ["warning: 'a\"b'\n", "invalid warning text"],
    ["storage: /dir\n", "use s3://BUCKET/PREFIX"],
    ["- a\n", "config.yml"],
    ["a: [\n", "config.yml"],
  ])("%j is refused", async (text, message) => {
    await using dir = await tempDir();
    const path = join(dir.path, "config.yml");
    await Bun.write(path, text);
    await expect(readSettings({}, path)).rejects.toThrow(message);
  });
});

test("a renewed certificate is shown from then on, a broken one is not taken, and nothing is cut off", async () => {
  await using dir = await tempDir();
  const [cert, key] = [join(dir.path, "tls.crt"), join(dir.path, "tls.key")];
  const renew = async (name: string) =>
    await run(
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", key, "-out", cert, "-subj", `/CN=${name}`, "-days", "2"],
    );
  await renew("first");
  await using server = await local(join(dir.path, "root"), { "tls-cert": cert, "tls-key": key });
  const url = `https://${server.address}/v2/a/blobs/uploads/`;
  const tls = { rejectUnauthorized: false };
  const shown = async () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const [host = "", port] = server.address.split(":");
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () =>
      resolve(String(socket.getPeerCertificate().subject.CN)),
    );
    socket.on("error", reject);
    return await promise.finally(() => socket.destroy());
  };
  expect(await shown()).toBe("first");
  const bytes = pattern(2_000_000);
  const begun = await fetch(url, { method: "POST", tls });
  const place = new URL(`${begun.headers.get("location")}?digest=${digestOf(bytes)}`, url);
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(bytes.subarray(0, 1_000_000));
      await Bun.sleep(300);
      controller.enqueue(bytes.subarray(1_000_000));
      controller.close();
    },
  });
  const upload = fetch(place, { method: "PUT", body, tls }).then(({ status }) => status);
  await Bun.sleep(50);
  await renew("second");
  await server.reload();
  expect(await shown()).toBe("second");
  expect(await upload).toBe(201);
  await Bun.write(cert, "broken");
  await expect(server.reload()).rejects.toThrow();
  expect(await shown()).toBe("second");
});

/** Waits until the first bytes of an upload are on the registry's disk. */
async function arrived(root: string): Promise<void> {
  const uploads = join(root, "ingest");
  const sizes = async () =>
    await Promise.all((await readdir(uploads)).map(async (name) => (await stat(join(uploads, name))).size));
  while (!(await sizes()).some((size) => size > 0)) await Bun.sleep(5);
}

describe("the end", () => {
  test("requests under way come to their end, within the grace", async () => {
    await using dir = await tempDir();
    const bytes = pattern(20_000_000);
    const server = await local(dir.path, { "shutdown-grace": "60s" });
    const digest = digestOf(bytes);
    const begun = await send(server, "POST", "/v2/a/blobs/uploads/");
    const place = new URL(begun.headers.get("location")!, `http://${server.address}`).pathname;
    const stopping = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(bytes.subarray(0, 10_000_000));
        await stopping.promise;
        controller.enqueue(bytes.subarray(10_000_000));
        controller.close();
      },
    });
    const upload = send(server, "PUT", `${place}?digest=${digest}`, { body });
    await arrived(dir.path);
    const stopped = server[Symbol.asyncDispose]();
    setTimeout(stopping.resolve, 300);
    await stopped;
    expect((await upload).status).toBe(201);
    await expect(send(server, "GET", "/v2/")).rejects.toThrow();
    await using again = await local(dir.path);
    expect((await send(again, "HEAD", `/v2/a/blobs/${digest}`)).status).toBe(200);
  });

  test("what does not end is cut off", async () => {
    await using dir = await tempDir();
    const server = await local(dir.path, { "shutdown-grace": "200ms" });
    const place = (await send(server, "POST", "/v2/a/blobs/uploads/")).headers.get("location")!;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(pattern(1_000_000)),
      pull: () => new Promise(() => {}),
    });
    const stuck = send(server, "PATCH", place, { body }).then(
      () => "answered",
      () => "cut off",
    );
    await arrived(dir.path);
    const from = performance.now();
    await server[Symbol.asyncDispose]();
    expect(performance.now() - from).toBeWithin(150, 30_000);
    expect(await stuck).toBe("cut off");
  });
});
