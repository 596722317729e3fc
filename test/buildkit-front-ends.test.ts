/** Front ends that are images: a build's file names one, and it says from its container what to build. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { BuildKitClient } from "./support/buildkit-client.ts";
import { leftMounts, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

/** The docker CLI that has BuildKit's client in itself. */
const docker20 = "/usr/bin/docker";

let daemon: TestDaemon;
let directory: string;
let client: BuildKitClient;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-front-ends-"));
  daemon = await TestDaemon.start();
  client = await BuildKitClient.connect(daemon);
  await frontendImage();
});
afterAll(() => disposeAll(client, daemon, directory));

/** The test's own front end, with what it needs to run. */
async function frontendImage(): Promise<void> {
  const context = join(directory, "image");
  mkdirSync(join(context, "root"), { recursive: true });
  const built = await Bun.build({
    entrypoints: [join(import.meta.dir, "support/front-end.ts")],
    target: "bun",
    outdir: join(context, "root"),
  });
  expect(built.success).toBeTrue();
  copyFileSync(process.execPath, join(context, "root/bun"));
  const { stdout } = await run(["ldd", process.execPath]);
  for (const [, library] of stdout.matchAll(/(\/\S+) \(0x/g)) {
    mkdirSync(join(context, "root", dirname(library!)), { recursive: true });
    cpSync(library!, join(context, "root", library!), { dereference: true });
  }
  writeFileSync(
    join(context, "Dockerfile"),
    'FROM scratch\nCOPY root /\nENTRYPOINT ["/bun", "/front-end.js"]\nLABEL moby.buildkit.frontend.network.none=true\n',
  );
  await daemon.ok(["build", "-q", "-t", "test/front-end:1", context]);
}

let contexts = 0;
function contextOf(...lines: string[]): string {
  const context = join(directory, `context-${contexts++}`);
  mkdirSync(context);
  writeFileSync(join(context, "Dockerfile"), `# syntax=test/front-end:1 more\n${lines.join("\n")}\n`);
  return context;
}
const docker = (...args: string[]) =>
  run([docker20, "build", "--progress", "plain", ...args], {
    env: { DOCKER_HOST: daemon.host, DOCKER_BUILDKIT: "1" },
  });

test("builds what a front end says, with the image's config as it writes it", async () => {
  const context = contextOf("run echo made > /made", "env TOLD=yes");
  const { code, stderr } = await docker("-t", "of-front-end", "--build-arg", "ASKED=this", context);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stderr).toContain("mine: echo made > /made");
  expect(
    await daemon.ok([
      "run",
      "--rm",
      "of-front-end",
      "/bin/sh",
      "-c",
      "cat /made; echo $TOLD $ASKED; echo $LINE",
    ]),
  ).toBe("made\nyes this\ntest/front-end:1 more");
  // One build in the history, under the name that the client gave it.
  const records = (await (await daemon.request("/build/history")).json()) as {
    Name: string;
    Status: string;
  }[];
  expect(records.filter(({ Name }) => Name.includes("of-front-end"))).toMatchObject([
    { Status: "completed" },
  ]);
  expect((await docker("-t", "again", "--build-arg", "ASKED=this", context)).stderr).toMatch(
    /mine: echo made[\s\S]*CACHED/,
  );
});

test("a front end that gives up says why, and one that leaves has done so", async () => {
  const failed = await docker(contextOf("fail what it did not like"));
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain("what it did not like");
  const left = await docker(contextOf("leave 7"));
  expect(left.code).toBe(1);
  expect(left.stderr).toContain("ended with code 7, and returned no result");
  const none = join(directory, "none");
  mkdirSync(none);
  writeFileSync(join(none, "Dockerfile"), "# syntax=127.0.0.1:1/not/there\nFROM scratch\n");
  expect((await docker(none)).code).toBe(1);
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
});

test("docker/dockerfile is the builder's own, and needs no image", async () => {
  const context = join(directory, "own");
  mkdirSync(context);
  writeFileSync(
    join(context, "Dockerfile"),
    "# syntax=docker/dockerfile:1.7-labs\nFROM busybox\nRUN echo own > /own\n",
  );
  expect(await docker("-t", "own-language", context)).toMatchObject({ code: 0 });
  expect(await daemon.ok(["run", "--rm", "own-language", "cat", "/own"])).toBe("own");
});

test("results for several platforms, and answers without files", async () => {
  const context = contextOf("run echo both > /both", "platforms amd64,386");
  const session = await client.session({ locals: { dockerfile: context } });
  const ref = crypto.randomUUID().replaceAll("-", "");
  const { exporterResponse } = await client.control.solve({
    ref,
    session,
    frontend: "gateway.v0",
    frontendAttrs: { source: "test/front-end:1" },
    exporters: [{ type: "moby", attrs: { name: "for-both" } }],
  });
  expect(exporterResponse["containerimage.digest"]).toMatch(/^sha256:/);
  const archive = join(directory, "for-both.tar");
  await daemon.ok(["save", "-o", archive, "for-both"]);
  const { stdout } = await run(["skopeo", "inspect", "--raw", `oci-archive:${archive}`]);
  const { manifests } = JSON.parse(stdout) as { manifests: { platform: { architecture: string } }[] };
  expect(manifests.map(({ platform }) => platform.architecture)).toEqual(["amd64", "386"]);
  expect(basename(archive)).toBe("for-both.tar");

  // What is asked about the file, the front end answers too.
  const asking = crypto.randomUUID().replaceAll("-", "");
  const done = client.control.solve({ ref: asking, session });
  done.catch(() => {});
  const { result } = await client.gateway.solve(
    { frontend: "dockerfile.v0", frontendOpt: { requestid: "frontend.outline" } },
    { headers: { "buildkit-controlapi-buildid": asking } },
  );
  expect(Buffer.from(result!.metadata["result.json"]!).toString()).toBe('{"asked":"frontend.outline"}');
  await client.gateway.return({}, { headers: { "buildkit-controlapi-buildid": asking } });
  await done;
  await until(() => leftMounts(daemon.root).length === 0, "nothing is mounted");
});
