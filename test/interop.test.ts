/** Images to and from Debian's skopeo, podman, buildah, umoci and docker-registry: every digest stays what it was. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianRegistry } from "../src/registry/fixture.ts";
import type { RegistryServer } from "../src/registry/types.ts";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { type MultiPlatform, publishMultiPlatform } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let own: TestRegistry;
let debian: RegistryServer;
let scratch: string;
/** Of the image under test: its id, its manifest's digest, its name at our registry, and what save wrote. */
let id: string;
let digest: string;
let image: string;
let saved: string;
beforeAll(async () => {
  // podman takes no long path.
  scratch = mkdtempSync(join(tmpdir(), "i-"));
  own = await TestRegistry.start();
  debian = await debianRegistry();
  daemon = await TestDaemon.start();
  image = `${own.address}/interop/box:1`;
  const context = join(scratch, "context");
  mkdirSync(context);
  writeFileSync(
    join(context, "Dockerfile"),
    'FROM busybox\nRUN ln /bin/busybox /hard; ln -s hard /soft; rm /etc/group; mkdir -m 1777 /ä\nCMD ["true"]\n',
  );
  await daemon.ok(["build", "-q", "-t", image, context]);
  digest = /digest: (sha256:[0-9a-f]{64})/.exec(await daemon.ok(["push", image]))![1]!;
  id = await daemon.ok(["inspect", "-f", "{{.Id}}", image]);
  saved = join(scratch, "saved.tar");
  await daemon.ok(["save", "-o", saved, image]);
});
afterAll(() => disposeAll(daemon, debian, own, scratch));

async function must(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  return stdout.trim();
}

const fresh = (name: string) => join(mkdtempSync(join(scratch, "f-")), name);
const skopeo = (...args: string[]) => must("skopeo", ...args);
const copy = (from: string, to: string, ...flags: string[]) =>
  skopeo("copy", "-q", ...flags, "--src-tls-verify=false", "--dest-tls-verify=false", from, to);
/** Else skopeo may send a layer in another compression that it remembers from an earlier copy. */
const exact = "--preserve-digests";
const configDigest = async (place: string) => {
  const raw = await skopeo("inspect", "--raw", "--tls-verify=false", place);
  return (JSON.parse(raw) as { config: { digest: string } }).config.digest;
};

/** The image is gone, comes by what `bring` does, and is the same. */
async function comesBack(bring: () => Promise<unknown>): Promise<void> {
  await daemon.ok(["rmi", "-f", id]);
  await bring();
  expect(await daemon.ok(["inspect", "-f", "{{.Id}}", id])).toBe(id);
  const look = ["sh", "-c", "test -L /soft && test ! -e /etc/group && stat -c '%a %h' /ä /hard"];
  expect(await daemon.ok(["run", "--rm", "--network", "none", id, ...look])).toBe("1777 2\n755 2");
}
const load = (archive: string) => daemon.ok(["load", "-i", archive]);

describe("skopeo", () => {
  test("reads what save wrote, as docker-archive and as oci-archive", async () => {
    // Each into the place that keeps its kind of manifest; to turn one into the other rewrites the config.
    for (const [kind, place] of [
      ["docker-archive", `dir:${fresh("dir")}`],
      ["oci-archive", `oci:${fresh("oci")}:x`],
    ] as const) {
      await copy(`${kind}:${saved}`, place);
      expect(await configDigest(place)).toBe(id);
    }
  });

  test.each(["docker-archive", "oci-archive"])("load takes its %s", async (kind) => {
    const archive = fresh("a.tar");
    await copy(`docker://${image}`, `${kind}:${archive}:interop/box:1`);
    await comesBack(() => load(archive));
  });

  test("copies between registries keep the manifest, and both are pulled", async () => {
    const there = `${debian.address}/interop/skopeo:1`;
    await copy(`docker://${image}`, `docker://${there}`, exact);
    expect(await skopeo("inspect", "--tls-verify=false", "-f", "{{.Digest}}", `docker://${there}`)).toBe(
      digest,
    );
    await comesBack(() => daemon.ok(["pull", there]));
    const back = `${own.address}/interop/back:1`;
    await copy(`docker://${there}`, `docker://${back}`, exact);
    await comesBack(() => daemon.ok(["pull", `${own.address}/interop/back@${digest}`]));
  });
});

test("docker-registry takes a push and gives it back", async () => {
  // With the manifest of the first push: an archive may have brought the same image with plain layers.
  await comesBack(() => daemon.ok(["pull", image]));
  const there = `${debian.address}/interop/direct:1`;
  await daemon.ok(["tag", id, there]);
  expect(await daemon.ok(["push", there])).toContain(`digest: ${digest}`);
  await comesBack(() => daemon.ok(["pull", `${debian.address}/interop/direct@${digest}`]));
});

describe("images for several platforms, one layer with gzip and one with zstd", () => {
  let multi: string;
  let fixture: MultiPlatform;
  beforeAll(async () => {
    multi = `${own.address}/interop/multi:1`;
    fixture = await publishMultiPlatform(multi.slice(0, -2), "1", "interop");
    for (const platform of ["linux/amd64", "linux/arm64"])
      await daemon.ok(["pull", "-q", "--platform", platform, multi]);
  });

  /** Whole and with the same digests, wherever it has been; and it runs. */
  async function expectWhole(place: string): Promise<void> {
    const repository = place.slice(0, place.lastIndexOf(":"));
    const inspect = (reference: string) =>
      skopeo("inspect", "--raw", "--tls-verify=false", `docker://${repository}${reference}`);
    const sha256 = (text: string) => `sha256:${new Bun.CryptoHasher("sha256").update(text).digest("hex")}`;
    const index = await run(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${place}`]);
    expect(sha256(index.stdout)).toBe(fixture.index.digest);
    for (const { digest } of [fixture.amd64, fixture.arm64, fixture.attestation])
      expect(await inspect(`@${digest}`)).toContain("schemaVersion");
  }

  async function comesBackWhole(bring: () => Promise<unknown>, name: string): Promise<void> {
    await daemon.ok(["rmi", "-f", fixture.ids.amd64]);
    await bring();
    expect(await daemon.ok(["image", "inspect", "-f", "{{.Descriptor.Digest}}", name])).toBe(
      fixture.index.digest,
    );
    const of = async (platform: string) =>
      await daemon.ok(["image", "inspect", "--platform", platform, "-f", "{{.Id}}", name]);
    expect([await of("linux/amd64"), await of("linux/arm64")]).toEqual([
      fixture.ids.amd64,
      fixture.ids.arm64,
    ]);
    expect(await daemon.ok(["run", "--rm", "--network", "none", name, "cat", "/note-interop"])).toBe(
      "interop",
    );
  }

  test("skopeo copy --all, from our push to docker-registry and back", async () => {
    const pushed = `${own.address}/interop/multi-pushed:1`;
    await daemon.ok(["tag", multi, pushed]);
    expect(await daemon.ok(["push", pushed])).toContain(fixture.index.digest);
    await expectWhole(pushed);
    const there = `${debian.address}/interop/multi:1`;
    await copy(`docker://${pushed}`, `docker://${there}`, "--all", exact);
    await expectWhole(there);
    await comesBackWhole(async () => {
      for (const platform of ["linux/amd64", "linux/arm64"])
        await daemon.ok(["pull", "-q", "--platform", platform, there]);
    }, there);
    await daemon.ok(["tag", there, `${debian.address}/interop/multi-direct:1`]);
    await daemon.ok(["push", `${debian.address}/interop/multi-direct:1`]);
    await expectWhole(`${debian.address}/interop/multi-direct:1`);
  });

  test("skopeo takes what save wrote with all platforms, and load takes its oci-archive", async () => {
    await daemon.ok(["pull", "-q", multi]);
    await daemon.ok(["pull", "-q", "--platform", "linux/arm64", multi]);
    const archive = fresh("multi.tar");
    await daemon.ok(["save", "-o", archive, multi]);
    const back = `${own.address}/interop/multi-saved:1`;
    await copy(`oci-archive:${archive}`, `docker://${back}`, "--all", exact);
    await expectWhole(back);
    const other = fresh("other.tar");
    await copy(`docker://${back}`, `oci-archive:${other}:interop/loaded:1`, "--all", exact);
    await comesBackWhole(() => load(other), "interop/loaded:1");
  });

  test.each(["podman", "buildah"])(
    "%s pushes a manifest list of ours, and one of its own is pulled",
    async (program) => {
      const roots = mkdtempSync(join(scratch, "l-"));
      const call = (...args: string[]) =>
        must(
          ...[
            program,
            "--root",
            join(roots, "root"),
            "--runroot",
            join(roots, "r"),
            "--storage-driver",
            "vfs",
          ],
          ...args,
        );
      await call("manifest", "create", "own");
      for (const { digest } of [fixture.amd64, fixture.arm64])
        await call(
          "manifest",
          "add",
          "--tls-verify=false",
          "own",
          `docker://${multi.slice(0, -2)}@${digest}`,
        );
      const there = `${own.address}/interop/list-${program}:1`;
      await call("manifest", "push", "--all", "--tls-verify=false", "own", `docker://${there}`);
      const raw = JSON.parse(await skopeo("inspect", "--raw", "--tls-verify=false", `docker://${there}`)) as {
        manifests: { digest: string }[];
      };
      expect(raw.manifests.map(({ digest }) => digest).sort()).toEqual(
        [fixture.amd64.digest, fixture.arm64.digest].sort(),
      );
      for (const platform of ["linux/arm64", "linux/amd64"])
        await daemon.ok(["pull", "-q", "--platform", platform, there]);
      expect(await daemon.ok(["run", "--rm", "--network", "none", there, "cat", "/note-interop"])).toBe(
        "interop",
      );
    },
  );
});

describe.each(["podman", "buildah"])("%s", (program) => {
  let roots: string;
  beforeAll(() => {
    roots = mkdtempSync(join(scratch, "p-"));
  });
  const call = (...args: string[]) =>
    must(
      ...[program, "--root", join(roots, "root"), "--runroot", join(roots, "r"), "--storage-driver", "vfs"],
      ...args,
    );
  const known = async () =>
    (await call("images", "--no-trunc", "-q"))
      .split("\n")
      .map((line) => line.replace(/^(sha256:)?/, "sha256:"));

  test("takes what save wrote and what our registry has", async () => {
    await call("pull", `docker-archive:${saved}`);
    expect(await known()).toContain(id);
    await call("rmi", "-f", id.slice("sha256:".length));
    await call("pull", `oci-archive:${saved}`);
    expect(await known()).toContain(id);
    await call("rmi", "-f", id.slice("sha256:".length));
    await call("pull", "--tls-verify=false", image);
    expect(await known()).toContain(id);
  });

  test.each(["docker-archive", "oci-archive"])("load takes its %s", async (kind) => {
    const archive = fresh("a.tar");
    await call("push", "-q", image, `${kind}:${archive}:interop/box:1`);
    // In a docker-archive layers are plain, so that manifests differ; what the image is does not.
    await comesBack(() => load(archive));
  });

  test("pushes to our registry, where we pull it", async () => {
    const there = `${own.address}/interop/${program}:1`;
    await call("push", "-q", "--tls-verify=false", image, `docker://${there}`);
    await comesBack(() => daemon.ok(["pull", there]));
  });
});

test("umoci unpacks what save wrote; what it repacks is loaded", async () => {
  const layout = fresh("layout");
  mkdirSync(layout);
  await must("tar", "-xf", saved, "-C", layout);
  // umoci finds images by the tag alone, so the layout gets a tag that is one.
  await must("skopeo", "copy", "-q", `oci-archive:${saved}`, `oci:${layout}-umoci:box`);
  const bundle = fresh("bundle");
  await must("umoci", "unpack", "--image", `${layout}-umoci:box`, bundle);
  expect(existsSync(join(bundle, "rootfs/etc/group"))).toBe(false);
  expect(readFileSync(join(bundle, "rootfs/hard")).equals(readFileSync("/bin/busybox"))).toBe(true);
  writeFileSync(join(bundle, "rootfs/by-umoci"), "repacked");
  rmSync(join(bundle, "rootfs/soft"));
  await must("umoci", "repack", "--image", `${layout}-umoci:changed`, bundle);
  const archive = fresh("a.tar");
  await copy(`oci:${layout}-umoci:changed`, `oci-archive:${archive}:interop/changed:1`);
  const changed = await configDigest(`oci:${layout}-umoci:changed`);
  await load(archive);
  expect(await daemon.ok(["inspect", "-f", "{{.Id}}", changed])).toBe(changed);
  const look = "cat /by-umoci; test ! -e /soft && test -e /hard && echo :ok";
  expect(await daemon.ok(["run", "--rm", "--network", "none", changed, "sh", "-c", look])).toBe(
    "repacked:ok",
  );
});
