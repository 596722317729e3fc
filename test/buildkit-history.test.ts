/** Past builds and the build cache, as docker buildx shows them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { StatusResponseSchema } from "../src/api/server/buildkit/proto/control_pb.ts";
import { digestOf } from "../src/lib/digest.ts";
import { BuildKitClient } from "./support/buildkit-client.ts";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { define, exec, source } from "./support/llb.ts";

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

interface RawVertex {
  digest: string;
  name: string;
  inputs?: string[];
}

test("a record's attachments are read by their digests", async () => {
  await using daemon = await TestDaemon.start();
  using client = await BuildKitClient.connect(daemon);
  const session = await client.session();
  const ref = crypto.randomUUID().replaceAll("-", "");
  const definition = define(exec(source("docker-image://busybox"), "echo told"));
  await client.control.solve({ ref, session, definition, exporters: [{ type: "moby", attrs: {} }] });
  const events = await Array.fromAsync(client.control.listenBuildHistory({ ref, earlyExit: true }));
  expect(events).toHaveLength(1);
  const { result, logs } = events[0]!.record!;
  const [provenance] = result!.attestations;
  expect(provenance?.annotations).toEqual({
    "in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2",
  });
  const read = async ({ digest, size }: { digest: string; size: bigint }) => {
    expect((await client.content.info({ digest })).info?.size).toBe(size);
    const parts = await Array.fromAsync(client.content.read({ digest }));
    const bytes = Buffer.concat(parts.map(({ data }) => data));
    expect(digestOf(bytes)).toBe(digest as `sha256:${string}`);
    return bytes;
  };
  expect(JSON.parse((await read(provenance!)).toString()).materials).toMatchObject([
    { uri: expect.stringContaining("pkg:docker/busybox@") },
  ]);
  const said = await read(logs!);
  const first = fromBinary(StatusResponseSchema, said.subarray(4, 4 + said.readUInt32LE(0)));
  expect(first.vertexes.length).toBeGreaterThan(0);
  expect(said.toString()).toContain("told");
  await daemon.shutDown();
  await daemon.boot();
  using again = await BuildKitClient.connect(daemon);
  expect((await again.content.info({ digest: provenance!.digest })).info?.size).toBe(provenance!.size);
  const none = again.content.info({ digest: digestOf(Buffer.from("none")) });
  expect(
    await none.then(
      () => undefined,
      (error) => ConnectError.from(error).code,
    ),
  ).toBe(Code.NotFound);
});

describe.skipIf(!withBuildx)("docker buildx", () => {
  let daemon: TestDaemon;
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "gt-history-"));
    daemon = await TestDaemon.start();
  });
  afterAll(() => disposeAll(daemon, directory));

  const buildx = (...args: string[]) =>
    run(["docker", "buildx", ...args], { cwd: directory, env: { DOCKER_HOST: daemon.host } });
  const ok = async (...args: string[]) => {
    const result = await buildx(...args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout;
  };
  const dockerfile = (...lines: string[]) => writeFileSync(join(directory, "Dockerfile"), lines.join("\n"));

  test("the graph of a build: which step takes what from which", async () => {
    dockerfile(
      "FROM busybox AS make",
      "RUN echo made > /made",
      "FROM busybox",
      "COPY Dockerfile /d",
      "COPY --from=make /made /m",
    );
    const { stderr } = await buildx("build", "--progress", "rawjson", ".");
    const vertices = new Map<string, RawVertex>();
    for (const line of stderr.split("\n").filter((line) => line.startsWith("{")))
      for (const vertex of (JSON.parse(line).vertexes ?? []) as RawVertex[])
        vertices.set(vertex.digest, vertex);
    const inputsOf = (name: RegExp) =>
      [...vertices.values()]
        .find((vertex) => name.test(vertex.name))
        ?.inputs?.map((digest) => vertices.get(digest)?.name.replace(/^\[(.*)\] .*$/, "$1"));
    expect(inputsOf(/RUN/)).toEqual(["make 1/2"]);
    expect(inputsOf(/COPY Dockerfile/)).toEqual(["stage-1 1/3", "internal"]);
    expect(inputsOf(/COPY --from/)).toEqual(["stage-1 2/3", "make 2/2"]);
    expect(inputsOf(/exporting/)).toEqual(["stage-1 3/3"]);
  });

  test("builds of the past, through a restart of the engine", async () => {
    await ok("history", "rm", "--all");
    dockerfile("FROM busybox", "ARG WORD", "RUN echo said $WORD");
    await ok("build", "--build-arg", "WORD=hello", "-t", "of-the-past", ".");
    dockerfile("FROM busybox", "RUN echo before the end && exit 7");
    expect((await buildx("build", ".")).code).toBe(1);
    await daemon.shutDown();
    await daemon.boot();
    const refs = (await ok("history", "ls", "--format", "{{.Ref}} {{.Status}}")).trim().split("\n");
    expect(refs.map((line) => line.split(" ")[1])).toEqual(["Error", "Completed"]);
    const [failed, completed] = refs.map((line) => line.split(" ")[0]!.split("/").at(-1)!);
    const inspected = JSON.parse(await ok("history", "inspect", "--format", "json", completed!));
    expect(inspected).toMatchObject({ Status: "completed", BuildArgs: [{ Name: "WORD", Value: "hello" }] });
    expect((await buildx("history", "logs", "--progress", "plain", completed!)).stderr).toContain(
      "said hello",
    );
    expect((await buildx("history", "logs", "--progress", "plain", failed!)).stderr).toContain(
      "before the end",
    );
    expect(await ok("history", "inspect", failed!)).toContain("non-zero code: 7");
    const provenance = await ok("history", "inspect", "attachment", "--type", "provenance", completed!);
    expect(JSON.parse(provenance).materials).toHaveLength(1);
    const exported = join(directory, "record.dockerbuild");
    await ok("history", "export", "-o", exported, completed!);
    expect((await run(["tar", "-tf", exported])).stdout).toContain("oci-layout");
    await ok("history", "rm", failed!);
    expect(await ok("history", "ls", "--format", "{{.Ref}}")).not.toContain(failed!);
    expect(await daemon.ok(["buildx", "history", "ls"])).toContain("of-the-past");
  });

  test("the cache, by filters", async () => {
    await ok("prune", "-af");
    dockerfile("FROM busybox", "RUN --mount=type=cache,target=/c echo one > /c/x && echo regular > /r");
    await ok("build", ".");
    const ids = async (...filters: string[]) =>
      (await ok("du", "--format", "json", ...filters.flatMap((one) => ["--filter", one])))
        .trim()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).ID as string);
    const all = await ids();
    expect(all.length).toBeGreaterThanOrEqual(2);
    const mounts = await ids("type=exec.cachemount");
    expect(mounts).toHaveLength(1);
    expect(await ids("type!=exec.cachemount")).toEqual(all.filter((id) => id !== mounts[0]));
    expect(await ids(`id=${mounts[0]}`)).toEqual(mounts);
    expect((await buildx("du", "--filter", "nonsense=1")).code).not.toBe(0);
    expect(await ok("prune", "-af", "--filter", "type=exec.cachemount")).toContain(mounts[0]!);
    expect((await ids()).sort()).toEqual(all.filter((id) => id !== mounts[0]).sort());
  });
});
