/** Images from wherever: all tags of a repository, Docker's own media types, indexes within indexes, and URLs. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import {
  type Descriptor,
  digestOf,
  publishMultiPlatform,
  Repository,
  tarOf,
} from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

const oci = "application/vnd.oci.image";
const schema2 = "application/vnd.docker.distribution.manifest.v2+json";
const list = "application/vnd.docker.distribution.manifest.list.v2+json";

let daemon: TestDaemon;
let registry: TestRegistry;
let archive: string;
beforeAll(async () => {
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start({ images: false });
  archive = join(daemon.root, "archive.tar");
});
afterAll(() => disposeAll(daemon, registry));

/** An image of one small layer in Docker's media types. */
async function publishSchema2(
  repository: Repository,
  note: string,
  architecture = "amd64",
): Promise<Descriptor> {
  const tar = tarOf(note, note);
  const config = await repository.blob("application/vnd.docker.container.image.v1+json", {
    os: "linux",
    architecture,
    config: { Cmd: ["x"] },
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
  });
  const layer = await repository.blob("application/vnd.docker.image.rootfs.diff.tar.gzip", Bun.gzipSync(tar));
  const manifest = await repository.manifest(undefined, { mediaType: schema2, config, layers: [layer] });
  return { ...manifest, platform: { os: "linux", architecture } };
}

test("all tags of a repository, in Docker's words, by both clients; and pushed elsewhere", async () => {
  const name = `${registry.address}/team/tags`;
  const repository = new Repository(name);
  const digests: Record<string, string> = {};
  for (const tag of ["one", "two", "three"]) {
    const { digest, size } = await publishSchema2(repository, tag);
    digests[tag] = digest;
    const bytes = await (
      await fetch(`http://${registry.address}/v2/team/tags/manifests/${digest}`, {
        headers: { accept: schema2 },
      })
    ).bytes();
    expect(bytes.length).toBe(size);
    await fetch(`http://${registry.address}/v2/team/tags/manifests/${tag}`, {
      method: "PUT",
      body: bytes,
      headers: { "content-type": schema2 },
    });
  }
  const pulled = await daemon.ok(["pull", "-a", name]);
  for (const [tag, digest] of Object.entries(digests)) {
    expect(pulled).toContain(`${tag}: Pulling from team/tags`);
    expect(pulled).toContain(`Digest: ${digest}`);
  }
  expect(pulled).toContain(`Status: Downloaded newer image for ${name}\n`);
  const again = await daemon.docker(["pull", "-a", name]);
  expect(again).toMatchObject({ code: 0 });
  expect(again.stdout).toContain(`Status: Image is up to date for ${name}\n${name}`);
  const tags = await daemon.ok(["images", "--format", "{{.Tag}}", name]);
  expect(tags.split("\n").sort()).toEqual(["one", "three", "two"]);

  const copy = `${registry.address}/team/copy`;
  for (const tag of Object.keys(digests)) await daemon.ok(["tag", `${name}:${tag}`, `${copy}:${tag}`]);
  await daemon.ok(["push", "-a", copy]);
  for (const [tag, digest] of Object.entries(digests))
    expect(await new Repository(copy).digest(tag)).toBe(digest);
  expect((await daemon.gantry(["pull", "-a", `${name}:one`])).stderr).toContain(
    "tag can't be used with --all-tags/-a",
  );
  expect((await daemon.gantry(["pull", "-a", `${registry.address}/none`])).code).toBe(1);
});

test("Docker's manifests and lists keep their media types: pulled, pushed, saved and loaded", async () => {
  const name = `${registry.address}/schema2`;
  const repository = new Repository(name);
  const manifests = [
    await publishSchema2(repository, "here"),
    await publishSchema2(repository, "there", "arm64"),
  ];
  const { digest } = await repository.manifest("list", { mediaType: list, manifests });
  await daemon.ok(["pull", `${name}:list`]);
  await daemon.ok(["pull", "--platform", "linux/arm64", `${name}:list`]);
  const mediaType = async () =>
    await daemon.ok([
      "image",
      "inspect",
      "-f",
      "{{.Descriptor.MediaType}} {{.Descriptor.Digest}}",
      `${name}:list`,
    ]);
  expect(await mediaType()).toBe(`${list} ${digest}`);

  await daemon.ok(["save", "-o", archive, `${name}:list`]);
  await daemon.ok(["rmi", `${name}:list`]);
  expect(await daemon.ok(["images", "-aq", name])).toBe("");
  await daemon.ok(["load", "-i", archive]);
  expect(await mediaType()).toBe(`${list} ${digest}`);
  await daemon.ok(["tag", `${name}:list`, `${registry.address}/schema2-copy:list`]);
  await daemon.ok(["push", `${registry.address}/schema2-copy:list`]);
  const copy = new Repository(`${registry.address}/schema2-copy`);
  expect(await copy.digest("list")).toBe(digest);
  for (const manifest of manifests) expect(await copy.digest(manifest.digest)).toBe(manifest.digest);
});

test("an index within an index is looked into, kept, and pushed on as it was", async () => {
  const name = `${registry.address}/nested`;
  const repository = new Repository(name);
  const inner = await publishMultiPlatform(name, "inner", "inner");
  const other = await publishSchema2(repository, "s390x", "s390x");
  const outer = await repository.manifest("outer", {
    mediaType: `${oci}.index.v1+json`,
    manifests: [other, inner.index],
  });
  await daemon.ok(["pull", `${name}:outer`]);
  expect(await daemon.ok(["run", "--rm", `${name}:outer`, "cat", "/note-inner"])).toBe("inner");
  const lost = await daemon.gantry(["pull", "--platform", "linux/riscv64", `${name}:outer`]);
  expect(lost.stderr).toContain("no matching manifest for linux/riscv64 in the manifest list entries");
  for (const platform of ["linux/arm64", "linux/s390x"])
    await daemon.ok(["pull", "--platform", platform, `${name}:outer`]);
  expect(
    await daemon.ok(["image", "inspect", "--platform", "linux/arm64", "-f", "{{.Id}}", `${name}:outer`]),
  ).toBe(inner.ids.arm64);

  await daemon.ok(["save", "-o", archive, `${name}:outer`]);
  await daemon.ok(["rmi", `${name}:outer`]);
  await daemon.ok(["load", "-i", archive]);
  await daemon.ok(["image", "prune", "-f"]);
  const copy = `${registry.address}/nested-copy`;
  await daemon.ok(["tag", `${name}:outer`, `${copy}:outer`]);
  await daemon.ok(["push", `${copy}:outer`]);
  for (const { digest } of [outer, inner.index, inner.arm64, inner.attestation, other])
    expect(await new Repository(copy).digest(digest)).toBe(digest);
  expect(await daemon.gantry(["system", "check"])).toMatchObject({ code: 0 });
});

test("indexes nested without an end in sight are refused", async () => {
  const repository = new Repository(`${registry.address}/deep`);
  let at = (await publishMultiPlatform(`${registry.address}/deep`, "0", "deep")).index;
  for (let depth = 1; depth <= 4; depth++)
    at = await repository.manifest(String(depth), { mediaType: `${oci}.index.v1+json`, manifests: [at] });
  await daemon.ok(["pull", "-q", `${registry.address}/deep:3`]);
  const refused = await daemon.gantry(["pull", `${registry.address}/deep:4`]);
  expect(refused.stderr).toContain("indexes are nested deeper than 4");
});

test("import from a URL, with redirects, and of nothing but HTTP", async () => {
  const tar = tarOf("hello", "from afar");
  await using server = serve((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/moved.tar") return Response.redirect("/root.tar.gz");
    if (pathname === "/local.tar") return Response.redirect("file:///etc/passwd");
    return pathname === "/root.tar.gz"
      ? new Response(Bun.gzipSync(tar))
      : new Response("none", { status: 404 });
  });
  const base = `http://${server.host}`;
  for (const client of ["gantry", "docker"] as const) {
    const { code, stdout } = await daemon[client](["import", `${base}/moved.tar`, `${client}:url`]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Downloading from ${base}/root.tar.gz`);
    expect(stdout).toContain("sha256:");
    const id = await daemon.ok(["create", `${client}:url`, "x"]);
    expect(await daemon.ok(["cp", `${id}:/hello`, "-"])).toContain("from afar");
    await daemon.ok(["rm", id]);
    expect(await daemon.ok(["history", "--format", "{{.Comment}}", `${client}:url`])).toBe(
      `Imported from ${base}/root.tar.gz`,
    );
  }
  const message = async (url: string) => (await daemon.gantry(["import", url])).stderr;
  expect(await message(`${base}/missing.tar`)).toContain("404 Not Found");
  expect(await message(`${base}/local.tar`)).toContain("is not a URL of http or https");
  const query = `fromSrc=${encodeURIComponent("file:///etc/passwd")}`;
  expect((await daemon.request(`/images/create?${query}`, { method: "POST" })).status).toBe(400);
});

function serve(fetch: (request: Request) => Response) {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch });
  return { host: `127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}
