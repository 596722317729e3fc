/** BuildKit's gateway, call by call: what a client may see of a result before it returns it, and build on. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { Control } from "../src/api/server/buildkit/proto/control_pb.ts";
import { LLBBridge } from "../src/api/server/buildkit/proto/gateway_pb.ts";
import { type Definition, DefinitionSchema, OpSchema } from "../src/api/server/buildkit/proto/ops_pb.ts";
import { transportOver } from "../src/api/server/buildkit/transport.ts";
import { digestOf } from "../src/lib/digest.ts";
import { leftMounts, TestDaemon, until } from "./support/daemon.ts";
import * as llb from "./support/llb.ts";

let daemon: TestDaemon;
let server: ReturnType<typeof Bun.serve>;
const ended = new AbortController();
const sockets: Socket[] = [];
let control: Client<typeof Control>;
let gateway: Client<typeof LLBBridge>;
const session = crypto.randomUUID();

beforeAll(async () => {
  daemon = await TestDaemon.start();
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () =>
      new Response(
        "FROM base AS first\nARG WORD\nFROM first\nCOPY --from=base /etc/passwd /copied\nENV A=b\n",
      ),
  });
  const transport = transportOver(await upgraded("/grpc"), ended.signal);
  control = createClient(Control, transport);
  gateway = createClient(LLBBridge, transport);
  await upgraded("/session", [
    `X-Docker-Expose-Session-Uuid: ${session}`,
    "X-Docker-Expose-Session-Name: test",
  ]);
});
afterAll(async () => {
  ended.abort();
  for (const socket of sockets) socket.destroy();
  server?.stop(true);
  await daemon?.[Symbol.asyncDispose]();
});

/** A connection that speaks h2c from here on. */
async function upgraded(path: string, headers: string[] = []): Promise<Socket> {
  const socket = connect(daemon.socket);
  sockets.push(socket);
  const lines = [`POST ${path} HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: h2c", ...headers];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    const byte = socket.read(1) as Buffer | null;
    if (byte) head += byte.toString("latin1");
    else await once(socket, "readable");
  }
  expect(head).toStartWith("HTTP/1.1 101");
  return socket;
}

/** A low-level definition of one source. */
function source(identifier: string): Definition {
  const op = toBinary(OpSchema, create(OpSchema, { op: { case: "source", value: { identifier } } }));
  const end = toBinary(OpSchema, create(OpSchema, { inputs: [{ digest: digestOf(op) }] }));
  return create(DefinitionSchema, { def: [op, end] });
}

/** Opens a build, as clients do before they say what to build. */
function open() {
  const ref = crypto.randomUUID().replaceAll("-", "");
  const done = control.solve({ ref, session, exporters: [{ type: "moby", attrs: {} }] });
  done.catch(() => {});
  return { ref, done, options: { headers: { "buildkit-controlapi-buildid": ref } } };
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error) => ConnectError.from(error).code,
  );

test("files of a result are read before it is returned, and another build begins from it", async () => {
  const base = open();
  const { result } = await gateway.solve({ definition: source("docker-image://busybox") }, base.options);
  const ref = result?.result.case === "ref" ? result.result.value : undefined;
  if (!ref) throw new Error("no reference");
  const read = (filePath: string, range?: { offset: bigint; length: bigint }) =>
    gateway.readFile({ ref: ref.id, filePath, range }, base.options);
  const passwd = Buffer.from((await read("/etc/passwd")).data).toString();
  expect(passwd).toStartWith("root:");
  expect(Buffer.from((await read("etc/passwd", { offset: 1n, length: 3n })).data).toString()).toBe("oot");
  const { entries } = await gateway.readDir(
    { ref: ref.id, dirPath: "etc", includePattern: "pass*" },
    base.options,
  );
  expect(entries).toMatchObject([{ path: "passwd", size: BigInt(passwd.length), mode: 0o644 }]);
  const { stat } = await gateway.statFile({ ref: ref.id, path: "/etc" }, base.options);
  expect(stat).toMatchObject({ path: "etc", mode: 0x8000_0000 + 0o755 });
  // No path leads out of it.
  expect(Buffer.from((await read("../../../etc/passwd")).data).toString()).toBe(passwd);
  expect(await codeOf(read("/etc/none"))).toBe(Code.NotFound);
  expect(await codeOf(read("/etc"))).toBe(Code.InvalidArgument);
  expect(await codeOf(gateway.readFile({ ref: "none", filePath: "x" }, base.options))).toBe(Code.NotFound);

  const app = open();
  const frontendOpt = { context: `http://127.0.0.1:${server.port}/Dockerfile`, "context:base": "input:base" };
  const solved = await gateway.solve(
    { frontend: "dockerfile.v0", frontendOpt, frontendInputs: { base: ref.def! } },
    app.options,
  );
  // What it begins from stays, although the build that made it is over.
  await gateway.return({}, base.options);
  expect((await base.done).exporterResponse).toEqual({});
  await gateway.return({ result: solved.result }, app.options);
  const { exporterResponse } = await app.done;
  const id = exporterResponse["containerimage.config.digest"]!;
  expect(await daemon.ok(["run", "--rm", id, "cat", "/copied"])).toBe(passwd.trimEnd());
  const later = open();
  expect(await codeOf(gateway.statFile({ ref: ref.id, path: "/etc" }, later.options))).toBe(Code.NotFound);
  await gateway.return({}, later.options);
  await later.done;
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
});

test("a Dockerfile begins from low-level definitions that have to be done first", async () => {
  const { options, done } = open();
  const base = llb.exec(llb.source("docker-image://busybox"), "echo of the base > /base");
  const mkfile = (path: string, text: string) => ({
    case: "mkfile" as const,
    value: { path, mode: 0o644, data: Buffer.from(text), timestamp: -1n },
  });
  const context = llb.file(
    [],
    {
      input: -1n,
      secondaryInput: -1n,
      output: -1n,
      action: mkfile("/Dockerfile", "FROM base\nCOPY file /file\n"),
    },
    { input: 0n, secondaryInput: -1n, output: 0n, action: mkfile("/file", "of the context") },
  );
  const { result } = await gateway.solve(
    {
      frontend: "dockerfile.v0",
      frontendOpt: { "context:base": "input:base" },
      frontendInputs: {
        base: llb.define(base),
        context: llb.define(context),
        dockerfile: llb.define(context),
      },
    },
    options,
  );
  await gateway.return({ result }, options);
  const { exporterResponse } = await done;
  const id = exporterResponse["containerimage.config.digest"]!;
  expect(await daemon.ok(["run", "--rm", id, "cat", "/base", "/file"])).toBe("of the base\nof the context");
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
});

test("questions about a Dockerfile, images and what is not there", async () => {
  const { options, done } = open();
  const ask = async (requestid: string) => {
    const frontendOpt = { context: `http://127.0.0.1:${server.port}/Dockerfile`, requestid };
    const { result } = await gateway.solve({ frontend: "dockerfile.v0", frontendOpt }, options);
    return JSON.parse(Buffer.from(result!.metadata["result.json"]!).toString());
  };
  expect((await ask("frontend.outline")).args).toMatchObject([{ name: "WORD" }]);
  expect((await ask("frontend.targets")).targets).toMatchObject([{ name: "first" }, { default: true }]);
  expect(await ask("frontend.lint")).toMatchObject({ warnings: [] });
  expect(await codeOf(ask("frontend.nonsense"))).toBe(Code.Unimplemented);
  const image = await gateway.resolveImageConfig({ ref: "busybox" }, options);
  expect(digestOf(image.config)).toBe(
    (await daemon.ok(["inspect", "-f", "{{.Id}}", "busybox"])) as `sha256:${string}`,
  );
  expect(await codeOf(gateway.solve({ definition: source("nonsense://x") }, options))).toBe(
    Code.Unimplemented,
  );
  await gateway.return({ error: { code: Code.Aborted, message: "changed its mind" } }, options);
  expect(await codeOf(done)).toBe(Code.Aborted);
});

test("a build that is cancelled lets go of what it held", async () => {
  const { ref, options, done } = open();
  const { result } = await gateway.solve(
    { definition: source("docker-image://busybox"), evaluate: true },
    options,
  );
  expect(result?.result.case).toBe("ref");
  expect(leftMounts(daemon.root).length).toBeGreaterThan(0);
  await daemon.request(`/build/cancel?id=${ref}`, { method: "POST" });
  expect(await codeOf(done)).toBe(Code.Canceled);
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
});
