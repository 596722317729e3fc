import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import type { CreateContainer, Engine } from "../../engine/types.ts";
import { NotFound, Unavailable } from "../../lib/errors.ts";
import { Output } from "./exchange.ts";
import { serveApi } from "./index.ts";

const directory = mkdtempSync(join(tmpdir(), "gt-api-"));
const path = join(directory, "api.sock");
const updates: object[] = [];
const created: CreateContainer[] = [];
let exported: Readable | undefined;
/** Only what these tests reach. */
const engine = {
  containers: {
    create: async (asked: CreateContainer) => {
      created.push(asked);
      return { id: "c1", warnings: [] };
    },
    update: async (_target: string, change: object) => {
      updates.push(change);
      return { warnings: [] };
    },
    get: (target: string) => {
      if (target === "c") return { id: "c", config: { Tty: false } };
      throw new NotFound(`No such container: ${target}`);
    },
    attach: async () => new PassThrough(),
    export: async (target: string) => {
      if (target === "full") return Readable.from([Buffer.alloc(1 << 20, "a"), Buffer.alloc(1 << 20, "b")]);
      if (target === "empty") return Readable.from([]);
      exported = new Readable({ read() {} });
      if (target === "broken") queueMicrotask(() => exported?.destroy(new Unavailable("no tar")));
      return exported;
    },
    commit: async () => "sha256:0",
  },
  events: {},
} as unknown as Engine;

let server: Awaited<ReturnType<typeof serveApi>>;
beforeAll(async () => {
  server = await serveApi(engine, [{ kind: "unix", path }]);
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

const call = (target: string, init: RequestInit = {}) =>
  fetch(`http://localhost${target}`, { ...init, unix: path });
const post = async (target: string, body: object) => {
  const response = await call(target, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

test("the socket is the owner's and the group's, and the daemon's mask is left alone", () => {
  const before = process.umask(0o022);
  process.umask(before);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(before).not.toBe(0o177);
});

test("an address that can't be taken leaves the mask alone too", async () => {
  const before = process.umask(0o027);
  try {
    const tooLong = join(directory, `${"y".repeat(200)}.sock`);
    const taken = serveApi(engine, [{ kind: "unix", path: tooLong }]);
    await expect(taken).rejects.toBeInstanceOf(Unavailable);
    expect(process.umask()).toBe(0o027);
  } finally {
    process.umask(before);
  }
});

test("versions out of reach are refused in dockerd's words", async () => {
  const message = async (version: string) =>
    ((await (await call(`/v${version}/_ping`)).json()) as { message: string }).message;
  expect(await message("1.52")).toBe("client version 1.52 is too new. Maximum supported API version is 1.51");
  expect(await message("1.23")).toBe(
    "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
  );
  expect((await call("/v1.24/_ping")).headers.get("api-version")).toBe("1.51");
});

test("an update takes the zeros of Docker's clients for what was not asked", async () => {
  await post("/containers/c/update", {
    CpuShares: 0,
    Memory: 104857600,
    CpusetCpus: "",
    PidsLimit: null,
    Devices: null,
    RestartPolicy: { Name: "", MaximumRetryCount: 0 },
  });
  expect(updates.pop()).toEqual({ hostConfig: { Memory: 104857600 }, restartPolicy: undefined });
  await post("/containers/c/update", { PidsLimit: 0, RestartPolicy: { Name: "no" } });
  expect(updates.pop()).toEqual({
    hostConfig: { PidsLimit: 0 },
    restartPolicy: { Name: "no", MaximumRetryCount: 0 },
  });
});

test("a container's own MAC address goes to its network", async () => {
  const create = async (body: object) => {
    await post("/v1.43/containers/create", { Image: "i", MacAddress: "02:00:00:00:00:01", ...body });
    return created.pop()?.endpoints;
  };
  expect(await create({})).toEqual({ default: { MacAddress: "02:00:00:00:00:01" } });
  const named = await create({
    HostConfig: { NetworkMode: "n" },
    NetworkingConfig: { EndpointsConfig: { n: { Aliases: ["a"] } } },
  });
  expect(named?.n).toMatchObject({ Aliases: ["a"], MacAddress: "02:00:00:00:00:01" });
  const host = await post("/containers/create", {
    Image: "i",
    MacAddress: "02:00:00:00:00:01",
    HostConfig: { NetworkMode: "host" },
  });
  expect(host.status).toBe(400);
});

test("what can't be done is said, not ignored", async () => {
  const events = await call("/events?since=yesterday");
  expect(events.status).toBe(400);
  expect((await call("/build?squash=1", { method: "POST" })).status).toBe(400);
  expect((await call("/images/i?platforms=%7B%7D", { method: "DELETE" })).status).toBe(400);
});

test("a hijacked connection echoes, and goes on when the client has ended its side", async () => {
  const { promise, resolve } = Promise.withResolvers<[IncomingMessage, Socket]>();
  const sent = request({
    socketPath: path,
    path: "/containers/c/attach?stream=1&stdin=1&stdout=1",
    method: "POST",
    headers: { connection: "Upgrade", upgrade: "tcp" },
  });
  sent.on("upgrade", (response, socket) => resolve([response, socket])).end();
  const [response, socket] = await promise;
  expect(response.statusMessage).toBe("UPGRADED");
  expect(response.headers).toMatchObject({
    "content-type": "application/vnd.docker.multiplexed-stream",
    upgrade: "tcp",
    "api-version": "1.51",
  });
  socket.end("hello");
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe("hello");
});

test("an archive is sent whole; what fails before its first byte has a status", async () => {
  const full = await call("/containers/full/export");
  expect((await full.arrayBuffer()).byteLength).toBe(2 << 20);
  expect((await (await call("/containers/empty/export")).arrayBuffer()).byteLength).toBe(0);
  expect((await call("/containers/broken/export")).status).toBe(503);
});

test("a client that leaves before the first byte lets go of the archive", async () => {
  exported = undefined;
  const left = new AbortController();
  const answer = call("/containers/silent/export", { signal: left.signal }).catch(() => undefined);
  while (!exported) await Bun.sleep(1);
  left.abort();
  await answer;
  const source = exported as Readable;
  for (let i = 0; i < 6000 && !source.destroyed; i++) await Bun.sleep(5);
  expect(source.destroyed).toBe(true);
});

test("a failed hijack has a status and the headers of every answer", async () => {
  const { promise, resolve } = Promise.withResolvers<IncomingMessage>();
  const sent = request({
    socketPath: path,
    path: "/containers/gone/attach?stream=1",
    method: "POST",
    headers: { connection: "Upgrade", upgrade: "tcp" },
  });
  sent.on("response", resolve).end();
  const response = await promise;
  expect(response.statusCode).toBe(404);
  expect(response.statusMessage).toBe("Not Found");
  expect(response.headers["api-version"]).toBe("1.51");
  response.resume();
});

test("a long stream leaves no listeners behind", async () => {
  const counts = Promise.withResolvers<number[]>();
  const sockets = new Set<Socket>();
  const big = createServer(async (_, response) => {
    response.writeHead(200);
    const before = ["drain", "close", "error"].map((name) => response.listenerCount(name));
    const output = new Output(response);
    for (let i = 0; i < 50; i++) await output.write(Buffer.alloc(256 << 10));
    counts.resolve(["drain", "close", "error"].map((name, i) => response.listenerCount(name) - before[i]!));
    output.end();
  }).on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => big.listen(0, "127.0.0.1", resolve));
  const response = await fetch(`http://127.0.0.1:${(big.address() as AddressInfo).port}/`);
  expect((await response.arrayBuffer()).byteLength).toBe(50 * (256 << 10));
  expect(await counts.promise).toEqual([0, 0, 0]);
  for (const socket of sockets) socket.destroy();
  big.close();
});
