/** Containers of the gateway: programs run in what a build has come to, as buildx's debugger and front ends have it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ExecMessageSchema } from "../src/api/server/buildkit/proto/gateway_pb.ts";
import { MountType } from "../src/api/server/buildkit/proto/ops_pb.ts";
import { AsyncQueue } from "../src/lib/queue.ts";
import { BuildKitClient } from "./support/buildkit-client.ts";
import { leftMounts, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { define, exec, source } from "./support/llb.ts";

type Message = MessageInitShape<typeof ExecMessageSchema>;

let daemon: TestDaemon;
let client: BuildKitClient;
let build: { headers: Record<string, string> };
let done: Promise<unknown>;
let result: string;

beforeAll(async () => {
  daemon = await TestDaemon.start();
  client = await BuildKitClient.connect(daemon);
  const session = await client.session({ secrets: { word: "hush" } });
  const ref = crypto.randomUUID().replaceAll("-", "");
  done = client.control.solve({ ref, session });
  done.catch(() => {});
  build = { headers: { "buildkit-controlapi-buildid": ref } };
  const definition = define(exec(source("docker-image://busybox"), "echo built > /built"));
  const solved = await client.gateway.solve({ definition, evaluate: true }, build);
  result = solved.result?.result.case === "ref" ? solved.result.result.value.id : "";
});
afterAll(() => disposeAll(client, daemon));

async function container(containerId: string, ...mounts: object[]): Promise<void> {
  await client.gateway.newContainer(
    {
      containerId,
      hostname: "looked-into",
      extraHosts: [{ host: "known", ip: "10.1.2.3" }],
      mounts: [{ dest: "/", resultId: result, input: -1n, output: -1n }, ...mounts],
    },
    build,
  );
}

/** A process, and what its call says. */
function start(containerId: string, args: string[], more: { tty?: boolean; secretenv?: object[] } = {}) {
  const say = new AsyncQueue<Message>();
  const processId = crypto.randomUUID();
  const messages = (async function* () {
    yield {
      processId,
      input: {
        case: "init",
        value: { containerId, meta: { args, cwd: "/", env: ["A=b"] }, fds: [0, 1, 2], ...more },
      },
    } as Message;
    yield* say;
  })();
  const heard = { out: "", err: "", code: -1, error: "", started: false };
  const ended = (async () => {
    for await (const { input } of client.gateway.execProcess(messages, build)) {
      if (input.case === "started") heard.started = true;
      if (input.case === "file")
        heard[input.value.fd === 1 ? "out" : "err"] += Buffer.from(input.value.data).toString();
      if (input.case === "exit") {
        heard.code = input.value.code;
        heard.error = input.value.error?.message ?? "";
      }
      if (input.case === "done") break;
    }
    say.close();
    return heard;
  })();
  ended.catch(() => {});
  const tell = (input: object) => say.push({ processId, input } as Message);
  return {
    heard,
    ended,
    write: (text: string) => tell({ case: "file", value: { fd: 0, data: Buffer.from(text) } }),
    end: () => tell({ case: "file", value: { fd: 0, eof: true } }),
    signal: (name: string) => tell({ case: "signal", value: { name } }),
    resize: (rows: number, cols: number) => tell({ case: "resize", value: { rows, cols } }),
  };
}

test("processes in one container see its files, and one another's", async () => {
  await container("first", { dest: "/t", mountType: MountType.TMPFS, input: -1n, output: -1n });
  const own = start("first", ["/bin/sh"]);
  own.write("cat /built; hostname; grep -c known /etc/hosts; echo $A; echo seen > /t/seen; echo ready >&2\n");
  await until(() => own.heard.err === "ready\n", "the shell's answer");
  expect(own.heard.out).toBe("built\nlooked-into\n1\nb\n");
  const second = await start("first", ["/bin/sh", "-c", "cat /t/seen; echo $KEY; exit 4"], {
    secretenv: [{ id: "word", name: "KEY" }],
  }).ended;
  expect(second).toMatchObject({ started: true, out: "seen\nhush\n", code: 4, error: "exit code: 4" });
  own.end();
  expect(await own.ended).toMatchObject({ code: 0, error: "" });
  await client.gateway.releaseContainer({ containerId: "first" }, build);
  // What was written went with it.
  await container("next");
  const next = await start("next", ["/bin/sh", "-c", "ls /t 2>/dev/null; cat /built"]).ended;
  expect(next).toMatchObject({ out: "built\n", code: 0 });
});

test("terminals, signals, and what can't be run", async () => {
  await container("terminal");
  const shell = start("terminal", ["/bin/sh"], { tty: true });
  await until(() => shell.heard.out.includes("#"), "the prompt");
  shell.resize(33, 99);
  shell.write("stty size\n");
  await until(() => shell.heard.out.includes("33 99"), "the size");
  shell.write("exit 3\n");
  expect((await shell.ended).code).toBe(3);

  await container("signals");
  const trapping = start("signals", [
    "/bin/sh",
    "-c",
    "trap 'exit 9' TERM; echo set; while :; do sleep 0.1; done",
  ]);
  await until(() => trapping.heard.out === "set\n", "the trap");
  trapping.signal("SIGTERM");
  expect((await trapping.ended).code).toBe(9);

  await container("none");
  expect(await start("none", ["/no/such/program"]).ended).toMatchObject({ started: false, code: 127 });
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => undefined,
      (error) => ConnectError.from(error).code,
    );
  expect(await codeOf(start("not-there", ["true"]).ended)).toBe(Code.NotFound);
  expect(
    await codeOf(
      client.gateway.newContainer({ containerId: "x", mounts: [{ dest: "/", resultId: "none" }] }, build),
    ),
  ).toBe(Code.NotFound);
});

test("nothing is left of them when the build ends", async () => {
  await container("left");
  const running = start("left", ["/bin/sh", "-c", "echo begun; sleep 3600"]);
  await until(() => running.heard.out === "begun\n", "the process");
  await client.gateway.return({}, build);
  await done;
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
  await running.ended.catch(() => {});
});
