/** Images on their way: registries, archives, names. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable, type Result, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-images-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start({ flags: ["--registry-mirror", `http://${registry.address}`] });
});
afterAll(() => disposeAll(daemon, registry, directory));

type Client = (args: string[], options?: { stdin?: string | Blob }) => Promise<Result>;
const clients: [string, Client][] = [
  ["gantry", (args, options) => daemon.gantry(args, options)],
  ["docker", (args, options) => daemon.docker(args, options)],
];

test("a registry is asked about an image without pulling it", async () => {
  const image = `${registry.address}/asked/box:1`;
  await daemon.ok(["tag", "busybox", image]);
  const digest = /digest: (sha256:[0-9a-f]{64})/.exec(await daemon.ok(["push", image]))?.[1];
  await daemon.ok(["rmi", image]);
  const response = await daemon.request(`/distribution/${image}/json`);
  expect(await response.json()).toMatchObject({
    Descriptor: { digest, size: expect.any(Number), mediaType: expect.stringContaining("manifest") },
    Platforms: [{ os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch }],
  });
  expect((await daemon.request(`/distribution/${registry.address}/asked/none/json`)).status).toBe(404);
});

describe.each(clients)("%s", (name, client) => {
  const ok = async (...args: string[]) => {
    const result = await client(args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout.trim();
  };

  test("push, remove, pull by tag and by digest", async () => {
    const image = `${registry.address}/${name}/box`;
    await ok("tag", "busybox", `${image}:1`);
    const pushed = await ok("push", `${image}:1`);
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1];
    expect(await ok("inspect", "-f", "{{index .RepoDigests 0}}", `${image}:1`)).toBe(`${image}@${digest}`);
    expect(await ok("rmi", `${image}:1`)).toContain(`Untagged: ${image}:1`);
    const pulled = await ok("pull", `${image}@${digest}`);
    expect(pulled).toContain(`Digest: ${digest}`);
    expect(await ok("run", "--rm", `${image}@${digest}`, "echo", "back")).toBe("back");
    expect(await ok("pull", "-q", `${image}:1`)).toBe(`${image}:1`);
    await ok("rmi", `${image}:1`);
  });

  test("a mirror serves the default registry's names", async () => {
    await ok("tag", "busybox", `${registry.address}/library/mirrored-${name}`);
    await ok("push", `${registry.address}/library/mirrored-${name}`);
    expect(await ok("pull", `mirrored-${name}`)).toContain(`docker.io/library/mirrored-${name}:latest`);
    await ok("rmi", `mirrored-${name}`, `${registry.address}/library/mirrored-${name}`);
  });

  test("save and load keep names and digests", async () => {
    const file = join(directory, `${name}.tar`);
    await ok("tag", "busybox", `${name}-saved:1`);
    const id = await ok("inspect", "-f", "{{.Id}}", `${name}-saved:1`);
    await ok("save", "-o", file, `${name}-saved:1`);
    await ok("rmi", `${name}-saved:1`);
    expect(await ok("load", "-i", file)).toBe(`Loaded image: ${name}-saved:1`);
    expect(await ok("inspect", "-f", "{{.Id}}", `${name}-saved:1`)).toBe(id);
    await ok("rmi", `${name}-saved:1`);
  });

  test("save takes many images, and of a repository's name all tags; load reads them from stdin", async () => {
    const tags = [`${name}-many:1`, `${name}-many:2`, `${name}-other:1`];
    for (const tag of tags) await ok("tag", "busybox", tag);
    const archive = join(directory, `${name}-many.tar`);
    const program = name === "gantry" ? executable : "docker";
    const env = { DOCKER_HOST: daemon.host, GANTRY_HOST: daemon.host };
    const save = ["sh", "-c", `exec "$0" save "$@" > ${archive}`, program, `${name}-many`, `${name}-other:1`];
    expect(await run(save, { env })).toMatchObject({ code: 0 });
    await ok("rmi", ...tags);
    const load = ["sh", "-c", `exec "$0" load < ${archive}`, program];
    expect((await run(load, { env })).stdout).toBe(tags.map((tag) => `Loaded image: ${tag}\n`).join(""));
    await ok("rmi", ...tags);
    expect((await client(["save", "-o", archive, `${name}-none`])).stderr).toContain("No such image");
  });

  test("history, images by filter, and rmi of what is in use", async () => {
    expect(await ok("history", "--no-trunc", "--format", "{{.CreatedBy}}", "busybox")).toBe("busybox-static");
    expect(await ok("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=busy*")).toBe(
      "busybox:latest",
    );
    await ok("create", "--name", `${name}-user`, "busybox");
    const refused = await client(["rmi", "busybox"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("is using");
    await ok("rm", `${name}-user`);
  });

  test("import, export and commit", async () => {
    await ok("run", "--name", `${name}-made`, "busybox", "sh", "-c", "echo made > /made");
    const id = await ok("commit", "-m", "a note", `${name}-made`, `${name}-committed`);
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await ok("run", "--rm", `${name}-committed`, "cat", "/made")).toBe("made");
    const file = join(directory, `${name}-exported.tar`);
    await ok("export", "-o", file, `${name}-made`);
    await ok("import", file, `${name}-imported:1`);
    expect(await ok("run", "--rm", `${name}-imported:1`, "/bin/cat", "/made")).toBe("made");
    const changes = [
      "-c",
      "ENV GREETING=hello",
      "-c",
      'CMD ["sh", "-c", "echo $GREETING $(pwd)"]',
      "-c",
      "WORKDIR /w",
    ];
    await ok("commit", ...changes, `${name}-made`, `${name}-changed`);
    expect(await ok("run", "--rm", `${name}-changed`)).toBe("hello /w");
    const refused = await client(["commit", "-c", "RUN true", `${name}-made`, `${name}-never`]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("RUN is not a valid change command");
    await ok("rm", `${name}-made`);
    await ok("rmi", `${name}-committed`, `${name}-changed`, `${name}-imported:1`);
  });
});

test("what nothing needs any more is taken from the disk", async () => {
  await daemon.ok(["run", "--name", "big", "busybox", "sh", "-c", "head -c 5000000 /dev/urandom > /big"]);
  await daemon.ok(["commit", "big", "big"]);
  await daemon.ok(["rm", "big"]);
  const size = () => Number(Bun.spawnSync(["du", "-sb", daemon.dataRoot]).stdout.toString().split("\t")[0]);
  const before = size();
  await daemon.ok(["rmi", "big"]);
  await until(
    () => before - size() > 9_000_000,
    () => `${before} bytes to become fewer than ${size()}`,
  );
});
