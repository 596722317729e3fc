/** Images for several platforms: kept, shown, run, pushed, saved and removed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Result, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { recentDocker } from "./support/docker-cli.ts";
import { type MultiPlatform, publishMultiPlatform, Repository, statement } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-platforms-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start({ images: false });
});
afterAll(() => disposeAll(daemon, registry, directory));

type Client = (args: string[]) => Promise<Result>;
const clients: [string, Client][] = [["gantry", (args) => daemon.gantry(args)]];
if (recentDocker) clients.push(["docker", (args) => daemon.docker(args)]);

describe.each(clients)("%s", (name, client) => {
  const ok = async (...args: string[]) => {
    const result = await client(args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout.trim();
  };
  let image: string;
  let fixture: MultiPlatform;
  beforeAll(async () => {
    image = `${registry.address}/${name}/multi`;
    fixture = await publishMultiPlatform(image, "1", name);
  });

  test("the host's platform comes first, another joins it, and the index stays as it was", async () => {
    expect(await ok("pull", `${image}:1`)).toContain(`Digest: ${fixture.index.digest}`);
    expect(await ok("run", "--rm", `${image}:1`, "cat", `/note-${name}`)).toBe(name);
    expect(await ok("image", "inspect", "-f", "{{.Architecture}} {{.Id}}", `${image}:1`)).toBe(
      `amd64 ${fixture.ids.amd64}`,
    );
    expect(await ok("pull", "--platform", "linux/arm64", `${image}:1`)).toContain("Downloaded newer image");
    expect(await ok("pull", "--platform", "linux/arm64", `${image}:1`)).toContain("Image is up to date");
    expect(await ok("images", "-q", "--no-trunc")).toBe(fixture.ids.amd64);
    expect(
      await ok("image", "inspect", "-f", "{{json .RepoDigests}} {{.Descriptor.Digest}}", `${image}:1`),
    ).toBe(`["${image}@${fixture.index.digest}"] ${fixture.index.digest}`);
    expect(await ok("image", "inspect", "-f", "{{.Architecture}}", fixture.ids.arm64)).toBe("arm64");
    const of = async (...args: string[]) =>
      await ok("image", "inspect", ...args, "-f", "{{.Architecture}}", `${image}:1`);
    expect(await of("--platform", "linux/arm64")).toBe("arm64");
    expect((await client(["image", "inspect", "--platform", "linux/s390x", `${image}:1`])).stderr).toContain(
      `image with reference ${image}:1 was found but does not provide the specified platform (linux/s390x)`,
    );
    expect(await ok("history", "-q", "--no-trunc", "--platform", "linux/arm64", `${image}:1`)).toContain(
      fixture.ids.arm64,
    );
  });

  test("a container is of the platform asked for", async () => {
    await ok("create", "--platform", "linux/arm64", "--name", `${name}-arm`, `${image}:1`);
    expect(await ok("container", "inspect", "-f", "{{.Image}}", `${name}-arm`)).toBe(fixture.ids.arm64);
    const byId = await client(["create", "--name", `${name}-warned`, fixture.ids.arm64]);
    expect(byId.stderr).toContain(
      "WARNING: The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64",
    );
    await ok("rm", `${name}-arm`, `${name}-warned`);
  });

  test("pushed whole, its digest is the same; a platform goes alone", async () => {
    const copy = `${registry.address}/${name}/copy`;
    await ok("tag", `${image}:1`, `${copy}:1`);
    expect(await ok("push", `${copy}:1`)).toContain(`1: digest: ${fixture.index.digest}`);
    expect(await new Repository(copy).digest(fixture.attestation.digest)).toBe(fixture.attestation.digest);
    await ok("tag", `${image}:1`, `${copy}:arm`);
    expect(await ok("push", "--platform", "linux/arm64", `${copy}:arm`)).toContain(fixture.arm64.digest);
    expect(await new Repository(copy).digest("arm")).toBe(fixture.arm64.digest);
    await ok("rmi", `${copy}:1`, `${copy}:arm`);
  });

  test("the tree shows what is here and what is not", async () => {
    await ok("rmi", "--platform", "linux/arm64", `${image}:1`);
    const tree = await ok("images", "--tree");
    // The docker CLI cuts long names off.
    expect(tree).toContain(image.slice(0, 22));
    expect(tree).toMatch(/linux\/amd64\s/);
    expect(tree).toMatch(/linux\/arm64\s/);
    expect(
      (await client(["create", "--pull=never", "--platform", "linux/arm64", `${image}:1`])).stderr,
    ).toContain("does not provide the specified platform (linux/arm64)");
  });

  test("what is not whole goes as the one image that is here", async () => {
    const partial = `${registry.address}/${name}/partial`;
    await ok("tag", `${image}:1`, `${partial}:1`);
    const pushed = await client(["push", `${partial}:1`]);
    expect(pushed).toMatchObject({ code: 0 });
    expect(pushed.stdout + pushed.stderr).toContain(
      "Not all multiplatform-content is present and only the available single-platform image was pushed",
    );
    expect(await new Repository(partial).digest("1")).toBe(fixture.amd64.digest);
    // What the registry has already need not be here.
    expect(await ok("push", `${image}:1`)).toContain(`1: digest: ${fixture.index.digest}`);
    await ok("rmi", `${partial}:1`);
  });

  test("saved and loaded with all platforms, or one", async () => {
    await ok("pull", "--platform", "linux/arm64", `${image}:1`);
    const [all, one] = [join(directory, `${name}-all.tar`), join(directory, `${name}-one.tar`)];
    await ok("save", "-o", all, `${image}:1`);
    await ok("save", "--platform", "linux/arm64", "-o", one, `${image}:1`);
    const seen = await run(["skopeo", "inspect", "--raw", `oci-archive:${all}`]);
    expect(JSON.parse(seen.stdout)).toMatchObject({ annotations: { whole: "yes" } });
    await ok("rmi", `${image}:1`);
    expect(await ok("images", "-aq")).toBe("");
    expect(await ok("load", "-i", one)).toBe(`Loaded image: ${image}:1`);
    expect(await ok("images", "-q", "--no-trunc")).toBe(fixture.ids.arm64);
    await ok("rmi", `${image}:1`);
    expect((await client(["load", "--platform", "linux/s390x", "-i", all])).code).toBe(1);
    await ok("load", "--platform", "linux/amd64", "-i", all);
    expect(await ok("images", "-q", "--no-trunc")).toBe(fixture.ids.amd64);
    await ok("load", "-i", all);
    expect(await ok("push", `${image}:1`)).toContain(fixture.index.digest);
  });

  test("an image for one platform is not loaded for another", async () => {
    const archive = join(directory, `${name}-one.tar`);
    const one = `${registry.address}/${name}/one:1`;
    await ok("pull", "-q", "--platform", "linux/arm64", `${image}:1`);
    await ok("tag", fixture.ids.arm64, one);
    await ok("save", "-o", archive, fixture.ids.arm64);
    await ok("rmi", "-f", `${image}:1`, one);
    const refused = await client(["load", "--platform", "linux/amd64", "-i", archive]);
    expect(refused.code).toBe(1);
    expect(refused.stderr + refused.stdout).toContain("has no platform linux/amd64");
    expect(await ok("images", "-aq")).toBe("");
    await ok("load", "--platform", "linux/arm64", "-i", archive);
    expect(await ok("images", "-q", "--no-trunc")).toBe(fixture.ids.arm64);
    await ok("rmi", fixture.ids.arm64);
    await ok("pull", "-q", `${image}:1`);
    await ok("pull", "-q", "--platform", "linux/arm64", `${image}:1`);
  });

  test("with the last name all of it goes, save what is in use", async () => {
    await ok("create", "--platform", "linux/arm64", "--name", `${name}-kept`, `${image}:1`);
    await ok("rmi", `${image}:1`);
    expect(await ok("images", "-aq", "--no-trunc")).toBe(fixture.ids.arm64);
    await ok("rm", `${name}-kept`);
    await ok("image", "prune", "-f");
    expect(await ok("images", "-aq")).toBe("");
  });
});

test("the API tells of manifests, shared sizes and attestations", async () => {
  const image = `${registry.address}/api/multi`;
  const fixture = await publishMultiPlatform(image, "1", "api");
  await daemon.ok(["pull", "-q", `${image}:1`]);
  const get = async (path: string) => (await daemon.request(`/v1.51${path}`)).json();
  const [listed] = (await get("/images/json?manifests=1&shared-size=1")) as [object];
  expect(listed).toMatchObject({
    Id: fixture.ids.amd64,
    SharedSize: 0,
    Descriptor: { digest: fixture.index.digest },
    Manifests: [
      { ID: fixture.arm64.digest, Available: false, Kind: "image" },
      { ID: fixture.amd64.digest, Available: true, Kind: "image", ImageData: { Containers: [] } },
      { Available: true, Kind: "attestation", AttestationData: { For: fixture.amd64.digest } },
    ],
  });
  expect(await get(`/images/${image}:1/attestations?statement=1`)).toEqual([
    expect.objectContaining({ PredicateType: statement.predicateType, Statement: statement }),
  ]);
  expect(await get(`/images/${image}:1/attestations?type=other`)).toEqual([]);
  await daemon.ok(["rmi", `${image}:1`]);
});
