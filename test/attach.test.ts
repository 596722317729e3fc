/** A container's streams over the API itself: websockets, detach keys on the engine's side, archives of other kinds. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, TestDaemon, until } from "./support/daemon.ts";
import { recentDocker } from "./support/docker-cli.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

/** Takes the connection over; `shown` grows by what comes. */
async function hijack(path: string, body?: object) {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const headers = {
      Upgrade: "tcp",
      Connection: "Upgrade",
      ...(body && { "Content-Type": "application/json" }),
    };
    const asked = request({ socketPath: daemon.socket, path, method: "POST", headers });
    asked.on("upgrade", (_response, taken: Socket, head: Buffer) => {
      if (head.length > 0) taken.unshift(head);
      resolve(taken);
    });
    asked.on("response", (response) => reject(new Error(`answered ${response.statusCode}`)));
    asked.on("error", reject);
    asked.end(body && JSON.stringify(body));
  });
  const stream = { socket, shown: "", ended: false };
  socket.on("data", (bytes: Buffer) => {
    stream.shown += bytes.toString();
  });
  for (const event of ["end", "close"])
    socket.on(event, () => {
      stream.ended = true;
    });
  return stream;
}

const running = (name: string) => daemon.ok(["inspect", "-f", "{{.State.Running}}", name]);
const actions = async (name: string) => {
  const filters = encodeURIComponent(JSON.stringify({ container: [name] }));
  const response = await daemon.request(`/events?since=1&until=${Date.now() / 1000}&filters=${filters}`);
  const lines = (await response.text()).trim().split("\n");
  return lines.map((line) => (JSON.parse(line) as { Action: string }).Action);
};

test("detach keys leave a container's terminal, and it goes on", async () => {
  await daemon.ok(["run", "-dit", "--name", "tty", "busybox", "sh"]);
  const stream = await hijack("/containers/tty/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,y");
  stream.socket.write("echo \x18 fir''st\n");
  await until(() => stream.shown.includes("first"), "the echo");
  stream.socket.write("\x18");
  stream.socket.write("y");
  await until(() => stream.ended, "the end of the connection");
  expect(await running("tty")).toBe("true");
  expect(await actions("tty")).toContain("detach");
  const again = await hijack("/containers/tty/attach?stream=1&stdin=1&stdout=1");
  again.socket.write("echo sec''ond\n");
  await until(() => again.shown.includes("second"), "the echo after the detach");
  again.socket.write("\x10\x11");
  await until(() => again.ended, "the end by Docker's own keys");
});

test("detach keys leave an exec", async () => {
  const made = await daemon.request("/containers/tty/exec", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      AttachStdin: true,
      AttachStdout: true,
      Tty: true,
      Cmd: ["sh"],
      DetachKeys: "ctrl-a",
    }),
  });
  const { Id } = (await made.json()) as { Id: string };
  const stream = await hijack(`/exec/${Id}/start`, { Tty: true });
  await until(() => stream.shown.includes("#"), "a prompt");
  stream.socket.write("\x01");
  await until(() => stream.ended, "the end of the connection");
  const { Running } = (await (await daemon.request(`/exec/${Id}/json`)).json()) as { Running: boolean };
  expect(Running).toBeTrue();
  expect(await actions("tty")).toContain("exec_detach");
});

test("detach keys that are none are refused", async () => {
  const answer = await daemon.request("/containers/tty/attach?stream=1&detachKeys=nonsense", {
    method: "POST",
  });
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as { message: string }).message).toContain("invalid detach keys (nonsense)");
});

test("attach by a websocket: input, both streams without frames, the end", async () => {
  await daemon.ok(["create", "-i", "--name", "ws", "busybox", "sh", "-c", "cat; echo err >&2; exit 3"]);
  const socket = new WebSocket(
    `ws+unix://${daemon.socket}:/containers/ws/attach/ws?stream=1&stdin=1&stdout=1&stderr=1&logs=0`,
  );
  socket.binaryType = "arraybuffer";
  let shown = "";
  let closed = false;
  socket.onmessage = ({ data }) => {
    shown += Buffer.from(data as ArrayBuffer).toString();
  };
  socket.onclose = () => {
    closed = true;
  };
  await until(() => socket.readyState === WebSocket.OPEN, "the websocket");
  await daemon.ok(["start", "ws"]);
  const long = "x".repeat(100_000);
  socket.send(`${long}\n`);
  socket.send(Buffer.from("bytes\n"));
  await until(() => shown === `${long}\nbytes\n`, "the echo");
  socket.send("last\n");
  await until(() => shown.endsWith("last\n"), "the last line");
  await daemon.ok(["kill", "ws"]);
  await until(() => closed, "the close");
});

test("a request that is no websocket is refused in words", async () => {
  const answer = await daemon.request("/containers/ws/attach/ws?stream=1");
  expect(answer.status).toBe(400);
});

test("archives by xz and bzip2 are unpacked, and damage is told", async () => {
  const work = mkdtempSync(join(tmpdir(), "gt-attach-"));
  try {
    writeFileSync(join(work, "file"), "content\n".repeat(50_000));
    for (const [name, flag] of [
      ["xz", "J"],
      ["bzip2", "j"],
    ] as const) {
      const archive = join(work, `a.${name}`);
      await run(["tar", "-C", work, `-c${flag}f`, archive, "file"]);
      const bytes = await Bun.file(archive).bytes();
      const put = (body: Uint8Array<ArrayBuffer>) =>
        daemon.request("/containers/tty/archive?path=/tmp", { method: "PUT", body });
      expect((await put(bytes)).status, name).toBe(200);
      expect(await daemon.ok(["exec", "tty", "sh", "-c", "wc -c < /tmp/file; rm /tmp/file"])).toBe("400000");
      const broken = bytes.slice(0, bytes.length - 40);
      const refused = await put(broken);
      expect(refused.status, `broken ${name}`).toBe(400);
      expect(((await refused.json()) as { message: string }).message).toContain(name);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});

test.skipIf(!recentDocker)("rm --link takes a link away, and nothing else", async () => {
  await daemon.ok(["create", "--name", "web", "--link", "tty:db", "busybox"]);
  expect((await daemon.docker(["rm", "--link", "/web/other"])).stderr).toContain("no link other");
  expect((await daemon.docker(["rm", "--link", "web"])).stderr).toContain(
    "cannot remove the default link name of the container",
  );
  expect((await daemon.docker(["rm", "--link", "/web/db"])).code).toBe(0);
  expect(await daemon.ok(["inspect", "-f", "{{json .HostConfig.Links}}", "web"])).toMatch(/^(null|\[\])$/);
});

test("arguments of ps with a NUL are refused", async () => {
  expect((await daemon.request("/containers/tty/top?ps_args=%00")).status).toBe(400);
});
