import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cancelled, Conflict, NotFound, Unavailable } from "../../lib/errors.ts";
import { createClient } from "./index.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** A peer that answers each connection with raw bytes, on a unix socket. */
async function peer(onConnection: (socket: Socket) => void): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "gantry-client-"));
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  const path = join(directory, "s.sock");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanups.push(() => {
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return path;
}

const clientOf = (path: string) => createClient({ kind: "unix", path }, { apiVersion: "1.51" });

function answering(response: string, seen: string[] = []): (socket: Socket) => void {
  return (socket) => {
    let request = "";
    socket.on("data", (data) => {
      request += data;
      if (!/\r\n\r\n$|0\r\n\r\n$|\}$/.test(request)) return;
      seen.push(request);
      socket.end(response);
    });
  };
}

const json = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("call", () => {
  test("sends path, query and JSON; parses the answer", async () => {
    const seen: string[] = [];
    const path = await peer(answering(json("201 Created", '{"Id":"x"}'), seen));
    const answer = await clientOf(path).call<{ Id: string }>("POST", "/containers/create", {
      query: { name: "a b", filters: { label: ["x=y"] }, platform: undefined },
      body: { Image: "busybox" },
    });
    expect(answer).toEqual({ Id: "x" });
    expect(seen[0]).toStartWith(
      "POST /v1.51/containers/create?name=a%20b&filters=%7B%22label%22%3A%5B%22x%3Dy%22%5D%7D HTTP/1.1\r\n",
    );
    expect(seen[0]).toContain("content-type: application/json\r\ncontent-length: 19\r\n");
    expect(seen[0]).toEndWith('\r\n\r\n{"Image":"busybox"}');
  });

  test.each([
    [404, NotFound, "No such container: x"],
    [409, Conflict, "name is in use"],
    [503, Unavailable, "starting"],
  ])("status %d becomes its error class", async (status, kind, message) => {
    const path = await peer(answering(json(`${status} X`, JSON.stringify({ message }))));
    await expect(clientOf(path).call("GET", "/x")).rejects.toThrow(new kind(message));
  });

  test("an empty answer is undefined", async () => {
    const path = await peer(answering("HTTP/1.1 204 No Content\r\n\r\n"));
    expect(await clientOf(path).call("POST", "/containers/x/start")).toBeUndefined();
  });

  test("a cut-off answer is an error", async () => {
    const path = await peer(answering('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":'));
    await expect(clientOf(path).call("GET", "/x")).rejects.toThrow("unexpected EOF");
  });

  test("nobody listens", async () => {
    await expect(
      createClient({ kind: "unix", path: "/nonexistent/s.sock" }).call("GET", "/x"),
    ).rejects.toThrow(
      "Cannot connect to the Gantry daemon at unix:///nonexistent/s.sock. Is the daemon running?",
    );
  });

  test("an abort ends a request that waits", async () => {
    const path = await peer(() => {});
    const controller = new AbortController();
    const waiting = clientOf(path).call("POST", "/containers/x/wait", { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expect(waiting).rejects.toThrow(Cancelled);
  });
});

test("an engine that refuses the version is asked for its own", async () => {
  const requests: string[] = [];
  const path = await peer((socket) => {
    socket.on("data", (data) => {
      const line = String(data).split("\r\n", 1)[0]!;
      requests.push(line);
      if (line.includes("_ping"))
        socket.end("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK");
      else if (line.includes("/v1.41/")) socket.end(json("200 OK", "[]"));
      else socket.end(json("400 Bad Request", '{"message":"client version 1.51 is too new"}'));
    });
  });
  const client = createClient({ kind: "unix", path });
  expect(await client.call<unknown[]>("GET", "/containers/json")).toEqual([]);
  expect(await client.call<unknown[]>("GET", "/images/json")).toEqual([]);
  expect(requests).toEqual([
    "GET /v1.51/containers/json HTTP/1.1",
    "GET /_ping HTTP/1.1",
    "GET /v1.41/containers/json HTTP/1.1",
    "GET /v1.41/images/json HTTP/1.1",
  ]);
});

test("messages come one by one, however they are cut", async () => {
  const path = await peer((socket) => {
    socket.on("data", async () => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      for (const part of ['{"a":1}\n{"a"', ":2}\n", '{"a":"é"}']) {
        socket.write(`${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
        await Bun.sleep(2);
      }
      socket.end("0\r\n\r\n");
    });
  });
  const seen: unknown[] = [];
  for await (const message of clientOf(path).messages<{ a: unknown }>("GET", "/events")) seen.push(message.a);
  expect(seen).toEqual([1, 2, "é"]);
});

test("a stream body is sent in chunks; a failing source never looks complete", async () => {
  const bodies: string[] = [];
  const path = await peer((socket) => {
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (text.endsWith("\r\n0\r\n\r\n")) socket.end(json("200 OK", "{}"));
    });
    socket.on("end", () => bodies.push(text));
  });
  async function* chunks(fails: boolean) {
    yield Buffer.from("hello");
    yield Buffer.alloc(0);
    yield Buffer.from("world!");
    if (fails) throw new Error("disk on fire");
  }
  await clientOf(path).call("PUT", "/x", { body: chunks(false) });
  while (bodies.length < 1) await Bun.sleep(1);
  expect(bodies[0]).toEndWith("\r\n\r\n5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n");
  await expect(clientOf(path).call("PUT", "/x", { body: chunks(true) })).rejects.toThrow("disk on fire");
  while (bodies.length < 2) await Bun.sleep(1);
  expect(bodies[1]).not.toEndWith("0\r\n\r\n");
});

test("an early refusal of a long upload is seen, and the source is released", async () => {
  const path = await peer((socket) => {
    socket.once("data", () => socket.end(json("413 Too Large", '{"message":"too much"}')));
  });
  let released = false;
  async function* endless() {
    try {
      for (;;) {
        yield Buffer.alloc(64 * 1024);
        await Bun.sleep(0);
      }
    } finally {
      released = true;
    }
  }
  await expect(clientOf(path).call("POST", "/build", { body: endless() })).rejects.toThrow("too much");
  while (!released) await Bun.sleep(1);
});

describe("hijack", () => {
  test("goes on reading after our half-close", async () => {
    const path = await peer((socket) => {
      let text = "";
      let upgraded = false;
      socket.on("data", (data) => {
        text += data;
        const end = text.indexOf("\r\n\r\n");
        if (end < 0 || upgraded) return;
        upgraded = true;
        socket.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ");
        text = text.slice(end + 4);
      });
      socket.on("end", () => socket.end(`got ${text}`));
    });
    const stream = await clientOf(path).hijack("POST", "/containers/x/attach");
    expect(stream.status).toBe(101);
    await stream.write(Buffer.from("input"));
    stream.end();
    let output = "";
    for await (const bytes of stream.output) output += Buffer.from(bytes);
    expect(output).toBe("early got input");
  });

  test("a refusal is an error with the engine's message", async () => {
    const path = await peer(answering(json("404 Not Found", '{"message":"No such container: x"}')));
    await expect(clientOf(path).hijack("POST", "/containers/x/attach")).rejects.toThrow(
      new NotFound("No such container: x"),
    );
  });
});

test("a slow reader holds the sender back, and loses nothing", async () => {
  const total = 32 * 1024 * 1024;
  const sent = { bytes: 0 };
  const path = await peer((socket) => {
    socket.once("data", async () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      const block = Buffer.alloc(256 * 1024, 7);
      while (sent.bytes < total) {
        const accepted = socket.write(block);
        sent.bytes += block.length;
        if (!accepted) await new Promise((resolve) => socket.once("drain", resolve));
      }
      socket.end();
    });
  });
  const response = await clientOf(path).send("GET", "/containers/x/export");
  await Bun.sleep(50);
  expect(sent.bytes).toBeLessThan(total / 2);
  let received = 0;
  for await (const bytes of response.body) {
    received += bytes.length;
    if (received % 3 === 0) await Bun.sleep(1);
  }
  expect(received).toBe(total);
});
