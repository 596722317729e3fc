/** Low-level definitions, as clients that are no Dockerfile's give them: each operation, and what their cache knows. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Definition,
  DefinitionSchema,
  MountType,
  NetMode,
} from "../src/api/server/buildkit/proto/ops_pb.ts";
import { BuildKitClient } from "./support/buildkit-client.ts";
import { leftMounts, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { define, diff, exec, file, merge, nested, output, type State, source } from "./support/llb.ts";

let daemon: TestDaemon;
let directory: string;
let client: BuildKitClient;
let session: string;
const busybox = source("docker-image://docker.io/library/busybox:latest");

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-llb-"));
  mkdirSync(join(directory, "sub"));
  writeFileSync(join(directory, "sub/one.txt"), "one");
  writeFileSync(join(directory, "two.md"), "two");
  daemon = await TestDaemon.start();
  client = await BuildKitClient.connect(daemon);
  session = await client.session({ locals: { files: directory }, secrets: { key: "hush" } });
});
afterAll(() => disposeAll(client, daemon, directory));

let images = 0;
/** Builds it as an image. @returns its name, and how each step was had: by its name */
async function solve(state: State | Definition) {
  const definition = "def" in state ? state : define(state);
  const ref = crypto.randomUUID().replaceAll("-", "");
  const name = `low-level-${images++}`;
  const steps = new Map<string, "cached" | "done">();
  const logs: string[] = [];
  const done = client.control.solve({
    ref,
    session,
    definition,
    exporters: [{ type: "moby", attrs: { name } }],
  });
  done.catch(() => {});
  for await (const { vertexes, logs: said } of client.control.status({ ref })) {
    for (const { name, cached, completed } of vertexes)
      if (completed) steps.set(name, cached ? "cached" : "done");
    logs.push(...said.map(({ msg }) => Buffer.from(msg).toString()));
  }
  await done;
  return { name, steps, log: logs.join("") };
}
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error) => {
      const { code, rawMessage } = ConnectError.from(error);
      return { code, message: rawMessage };
    },
  );
const inImage = (name: string, script: string) => daemon.ok(["run", "--rm", name, "/bin/sh", "-c", script]);

test("commands run on an image, and are cached", async () => {
  const open = exec(busybox, "mkdir -m 777 /open");
  const state = exec(open, "echo $WORD > word; pwd > where; id -u > who; echo said", {
    meta: { env: ["WORD=told"], cwd: "/open", user: "1000" },
    metadata: { description: { "llb.customname": "what it is called" } },
  });
  const first = await solve(state);
  expect(first.log).toContain("said");
  expect(first.steps.get("what it is called")).toBe("done");
  expect(await inImage(first.name, "cd /open; cat word where who")).toBe("told\n/open\n1000");
  const second = await solve(state);
  expect(second.steps.get("what it is called")).toBe("cached");
  expect(second.log).not.toContain("said");
  const fresh = exec(open, "echo again", { metadata: { ignoreCache: true } });
  for (const _ of [1, 2]) expect((await solve(fresh)).log).toContain("again");
});

test("a command may write to several trees, and each is an output", async () => {
  const both = exec(
    busybox,
    "echo root > /root-file; echo other > /other/file; cat /read/sub/one.txt > /other/read",
    {
      inputs: [source("local://files")],
      mounts: [
        { input: -1n, dest: "/other", output: 1n },
        { input: 1n, dest: "/read", output: -1n, readonly: true },
      ],
    },
  );
  for (const how of ["done", "cached"] as const) {
    const { name, steps } = await solve(
      file([both, output(both, 1)], {
        input: 0n,
        secondaryInput: 1n,
        output: 0n,
        action: {
          case: "copy",
          value: {
            src: "/",
            dest: "/taken",
            mode: -1,
            timestamp: -1n,
            dirCopyContents: true,
            createDestPath: true,
          },
        },
      }),
    );
    expect(await inImage(name, "cat /root-file /taken/file /taken/read; ls /other 2>&1 || true")).toStartWith(
      "root\nother\none",
    );
    expect([...steps].find(([name]) => name.includes("root-file"))?.[1]).toBe(how);
  }
});

test("secrets, caches, hosts and networks of commands", async () => {
  const cache = {
    input: -1n,
    dest: "/cache",
    output: -1n,
    mountType: MountType.CACHE,
    cacheOpt: { id: "low-level" },
  };
  const { name } = await solve(
    exec(
      busybox,
      "cat /key > /told; echo $KEY >> /told; echo kept >> /cache/f; grep known /etc/hosts; ls /sys/class/net > /links",
      {
        meta: { extraHosts: [{ host: "known", ip: "10.1.2.3" }] },
        network: NetMode.NONE,
        secretenv: [{ id: "key", name: "KEY" }],
        mounts: [
          {
            input: -1n,
            dest: "/key",
            output: -1n,
            mountType: MountType.SECRET,
            secretOpt: { id: "key", mode: 0o400 },
          },
          cache,
        ],
      },
    ),
  );
  expect(await inImage(name, "cat /told /links; ls /key /cache 2>/dev/null || true")).toBe("hushhush\nlo");
  const again = await solve(exec(busybox, "cp /cache/f /from-cache", { mounts: [cache] }));
  expect(await inImage(again.name, "cat /from-cache")).toBe("kept");
  expect(
    await codeOf(
      solve(
        exec(busybox, "true", {
          mounts: [
            { input: -1n, dest: "/n", output: -1n, mountType: MountType.SECRET, secretOpt: { id: "none" } },
          ],
        }),
      ),
    ),
  ).toMatchObject({ message: expect.stringContaining("secret none: not found") });
  expect(await codeOf(solve(exec(busybox, "true", { network: NetMode.HOST })))).toEqual({
    code: Code.PermissionDenied,
    message: "network.host is not allowed",
  });
  expect(await codeOf(solve(exec(busybox, "echo broken; exit 9")))).toMatchObject({
    message: expect.stringContaining("exit code: 9"),
  });
});

test("files are made, copied and removed", async () => {
  const owner = { user: { user: { case: "byId" as const, value: 12 } } };
  const plain = { mode: -1, timestamp: -1n, createDestPath: true };
  const { name } = await solve(
    file(
      [busybox, source("local://files")],
      {
        input: 0n,
        secondaryInput: -1n,
        output: -1n,
        action: {
          case: "mkdir",
          value: { path: "/a/b", mode: 0o750, makeParents: true, owner, timestamp: 1_000_000_000n },
        },
      },
      {
        input: 2n,
        secondaryInput: -1n,
        output: -1n,
        action: {
          case: "mkfile",
          value: { path: "/a/b/made", mode: 0o640, data: Buffer.from("made"), timestamp: 1_000_000_000n },
        },
      },
      {
        input: 3n,
        secondaryInput: 1n,
        output: -1n,
        action: {
          case: "copy",
          value: { ...plain, src: "/*", dest: "/all/", allowWildcard: true, excludePatterns: ["*.md"] },
        },
      },
      {
        input: 4n,
        secondaryInput: 1n,
        output: -1n,
        action: { case: "copy", value: { ...plain, src: "/two.md", dest: "/renamed", mode: 0o400, owner } },
      },
      {
        input: 5n,
        secondaryInput: -1n,
        output: -1n,
        action: { case: "symlink", value: { oldpath: "b/made", newpath: "/a/link", timestamp: -1n } },
      },
      {
        input: 6n,
        secondaryInput: -1n,
        output: 0n,
        action: { case: "rm", value: { path: "/etc/pass*", allowWildcard: true } },
      },
    ),
  );
  expect(
    await inImage(
      name,
      "stat -c '%a %u' /a/b; stat -c '%a %u %Y' /a/b/made; cat /a/link; echo; find /all | sort; stat -c '%a %u' /renamed; ls /etc/passwd 2>/dev/null; true",
    ),
  ).toBe("750 12\n640 0 1\nmade\n/all\n/all/sub\n/all/sub/one.txt\n400 12");
  const missing = file([busybox], {
    input: 0n,
    secondaryInput: 0n,
    output: 0n,
    action: { case: "copy", value: { ...plain, src: "/none", dest: "/x" } },
  });
  expect(await codeOf(solve(missing))).toMatchObject({
    message: expect.stringContaining("/none: not found"),
  });
});

test("merges lay trees on one another, differences take them apart", async () => {
  const added = exec(busybox, "echo added > /added; rm /etc/passwd");
  const changed = exec(busybox, "echo changed > /changed");
  const { name } = await solve(merge(changed, diff(busybox, added)));
  expect(await inImage(name, "cat /added /changed; ls /etc/passwd 2>/dev/null || echo gone")).toBe(
    "added\nchanged\ngone",
  );
  // Of trees that have not come of one another too.
  const across = await solve(merge(changed, diff(added, changed)));
  expect(
    await inImage(across.name, "cat /changed; ls /added 2>/dev/null || echo not added; head -c4 /etc/passwd"),
  ).toBe("changed\nnot added\nroot");
});

test("a definition among a build's own files", async () => {
  const inner = define(exec(busybox, "echo nested > /nested"));
  const written = file([busybox], {
    input: 0n,
    secondaryInput: -1n,
    output: 0n,
    action: {
      case: "mkfile",
      value: {
        path: "/buildkit.llb.definition",
        mode: 0o600,
        data: toBinary(DefinitionSchema, inner),
        timestamp: -1n,
      },
    },
  });
  const { name } = await solve(nested(written));
  expect(await inImage(name, "cat /nested")).toBe("nested");
});

test("downloads, repositories and images in directories are sources", async () => {
  using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("downloaded") });
  const repository = join(directory, "repository");
  const git = (...args: string[]) =>
    run(["git", "-C", repository, "-c", "user.name=x", "-c", "user.email=x@x", ...args]);
  mkdirSync(join(repository, "below"), { recursive: true });
  writeFileSync(join(repository, "below/file"), "of the repository");
  await git("init", "-q", "-b", "main");
  await git("add", ".");
  expect(await git("commit", "-qm", "first")).toMatchObject({ code: 0 });
  await git("update-server-info");
  using pages = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) =>
      new Response(Bun.file(join(repository, ".git", new URL(request.url).pathname.replace("/r.git", "")))),
  });
  const copy = {
    src: "/",
    dest: "/taken",
    mode: -1,
    timestamp: -1n,
    dirCopyContents: true,
    createDestPath: true,
  };
  const { name } = await solve(
    file(
      [
        busybox,
        source(`http://127.0.0.1:${server.port}/x`, { "http.filename": "named", "http.perm": "0640" }),
        source(`git://127.0.0.1:${pages.port}/r.git#main:below`, {
          "git.fullurl": `http://127.0.0.1:${pages.port}/r.git`,
        }),
      ],
      { input: 0n, secondaryInput: 1n, output: -1n, action: { case: "copy", value: copy } },
      { input: 3n, secondaryInput: 2n, output: 0n, action: { case: "copy", value: copy } },
    ),
  );
  expect(await inImage(name, "cat /taken/named; stat -c ' %a' /taken/named; cat /taken/file")).toBe(
    "downloaded 640\nof the repository",
  );
});

test("what is no definition is refused, and says why", async () => {
  expect(await codeOf(solve({ ...define(busybox), def: [new Uint8Array([255, 255])] }))).toMatchObject({
    code: Code.InvalidArgument,
  });
  const { def, ...rest } = define(exec(busybox, "true"));
  expect(await codeOf(solve({ ...rest, def: def.slice(1) }))).toMatchObject({
    code: Code.InvalidArgument,
    message: expect.stringContaining("is not there"),
  });
  expect(await codeOf(solve(source("nonsense://x")))).toMatchObject({ code: Code.Unimplemented });
  expect(
    await codeOf(
      solve(
        file([busybox], {
          input: 4n,
          secondaryInput: -1n,
          output: 0n,
          action: { case: "rm", value: { path: "/x" } },
        }),
      ),
    ),
  ).toMatchObject({
    code: Code.InvalidArgument,
  });
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
});
