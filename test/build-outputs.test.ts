/** What a build gives: images in the store, in registries and in archives, files, for one platform or several. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOutputs, inArchive } from "./support/build-output.ts";
import { makeContext } from "./support/context.ts";
import { leftMounts, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-outputs-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, registry, directory));

const contextOf = (files: Record<string, string>) => makeContext(directory, files);

const buildx = (args: string[]) =>
  run(["docker", "buildx", "build", "--progress", "plain", ...args], {
    env: { DOCKER_HOST: daemon.host, BUILDX_NO_DEFAULT_ATTESTATIONS: "1" },
  });

/** A manifest or index in the test's registry. */
async function manifestOf(name: string, reference: string) {
  const answer = await fetch(`http://${registry.address}/v2/${name}/manifests/${reference}`, {
    headers: {
      accept:
        "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
    },
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as {
    mediaType: string;
    manifests: { digest: string; platform: { architecture: string }; annotations?: Record<string, string> }[];
    layers: { mediaType: string; digest: string }[];
    config: { digest: string };
    annotations?: Record<string, string>;
  };
}

const simple = {
  Dockerfile: "FROM busybox\nCOPY file /made/file\nRUN echo ran > /made/ran",
  file: "content",
};

describe("outputs by the classic endpoint", () => {
  test("an image in the store, with what is known of it", async () => {
    const built = await buildOutputs(daemon, contextOf(simple), { t: "plain-image" });
    expect(built.metadata).toMatchObject({
      "containerimage.config.digest": built.id,
      "containerimage.descriptor": { mediaType: "application/vnd.oci.image.manifest.v1+json" },
      "image.name": "docker.io/library/plain-image:latest",
    });
    expect(await daemon.ok(["run", "--rm", "plain-image", "cat", "/made/ran"])).toBe("ran");
  });

  test("several at once: files, archives that load, and nothing in the store", async () => {
    const before = await daemon.ok(["images", "-aq"]);
    const { archives, error } = await buildOutputs(daemon, contextOf(simple), {}, [
      { Type: "local" },
      { Type: "oci", Attrs: { name: "some/oci:1", compression: "zstd" } },
      { Type: "docker", Attrs: { name: "some/docker:1" } },
      { Type: "cacheonly" },
    ]);
    expect(error).toBeUndefined();
    expect(archives).toHaveLength(3);
    expect(await inArchive(archives[0]!, "made/file")).toBe("content");
    const index = JSON.parse(await inArchive(archives[1]!, "index.json"));
    const blob = (digest: string) => inArchive(archives[1]!, `blobs/sha256/${digest.slice(7)}`);
    const { layers } = JSON.parse(await blob(index.manifests[0].digest));
    expect(layers.at(-1).mediaType).toBe("application/vnd.oci.image.layer.v1.tar+zstd");
    // Base layers stay as they are unless they are forced.
    expect(layers[0].mediaType).not.toContain("zstd");
    expect(await daemon.ok(["images", "-aq"])).toBe(before);
    for (const [i, name] of [
      [1, "some/oci:1"],
      [2, "some/docker:1"],
    ] as const) {
      expect(await daemon.ok(["load", "-q"], { stdin: new Blob([archives[i]!]) })).toContain(name);
      expect(await daemon.ok(["run", "--rm", name, "cat", "/made/file", "/made/ran"])).toBe("contentran");
      await daemon.ok(["rmi", name]);
    }
  });

  test("an output is there once, and gone with its build", async () => {
    expect((await daemon.request("/build/output/0123")).status).toBe(404);
    const abort = new AbortController();
    const tar = Bun.spawnSync(["tar", "-C", contextOf(simple), "-c", "."]).stdout;
    const answer = await daemon.request(`/build?outputs=${encodeURIComponent('[{"Type":"tar"}]')}`, {
      method: "POST",
      body: tar,
      signal: abort.signal,
    });
    let text = "";
    for await (const chunk of answer.body!) {
      text += new TextDecoder().decode(chunk);
      if (text.includes('"Output"')) break;
    }
    abort.abort();
    const id = /"Id":"([0-9a-f]+)"/.exec(text)![1];
    await until(
      async () => (await daemon.request(`/build/output/${id}`)).status === 404,
      "the end of the output",
    );
    await until(() => leftMounts(daemon.execRoot).length === 0, "the end of its mounts");
  });

  test.each([
    [[{ Type: "tarr" }], /unknown output type "tarr" \(did you mean tar\?\)/],
    [
      [{ Type: "image", Attrs: { compresion: "gzip" } }],
      /unknown attribute compresion .*did you mean compression/,
    ],
    [[{ Type: "image", Attrs: { compression: "estargz" } }], /compression=estargz is not supported/],
    [[{ Type: "image", Attrs: { "compression-level": "99" } }], /invalid compression-level "99": 0 to 9/],
    [[{ Type: "registry" }], /pushed by its name/],
  ])("%j is refused", async (outputs, message) => {
    const { error } = await buildOutputs(daemon, contextOf(simple), {}, outputs as { Type: string }[]);
    expect(error).toMatch(message);
  });

  test("pushes by tag and by digest, compressed as asked, with annotations", async () => {
    const name = `${registry.address}/pushed/app`;
    const attributes = {
      name: `${name}:1`,
      compression: "zstd",
      "compression-level": "5",
      "force-compression": "true",
      "annotation.org.example.a": "manifest",
      "annotation-index.org.example.b": "index",
      "annotation-manifest-descriptor.org.example.c": "descriptor",
    };
    const tagged = await buildOutputs(daemon, contextOf(simple), {}, [
      { Type: "registry", Attrs: attributes },
    ]);
    expect(tagged.error).toBeUndefined();
    const index = await manifestOf("pushed/app", "1");
    expect(index.annotations).toEqual({ "org.example.b": "index" });
    expect(index.manifests[0]!.annotations).toEqual({ "org.example.c": "descriptor" });
    const manifest = await manifestOf("pushed/app", index.manifests[0]!.digest);
    expect(manifest.annotations).toEqual({ "org.example.a": "manifest" });
    expect(manifest.layers.map(({ mediaType }) => mediaType.split("+")[1])).toEqual(["zstd", "zstd", "zstd"]);
    expect(await daemon.ok(["run", "--rm", "--pull", "always", `${name}:1`, "cat", "/made/ran"])).toContain(
      "ran",
    );
    const nameless = await buildOutputs(daemon, contextOf(simple), {}, [
      { Type: "image", Attrs: { name: `${registry.address}/pushed/digest`, "push-by-digest": "true" } },
    ]);
    const digest = String(nameless.metadata!["containerimage.digest"]);
    expect(await manifestOf("pushed/digest", digest)).toBeObject();
    const tags = await fetch(`http://${registry.address}/v2/pushed/digest/tags/list`);
    expect(((await tags.json()) as { tags?: string[] }).tags ?? []).toEqual([]);
  });
});

describe("several platforms", () => {
  const cross = {
    Dockerfile: [
      "FROM --platform=$BUILDPLATFORM busybox AS make",
      "ARG TARGETARCH",
      "RUN echo made for $TARGETARCH > /for",
      "FROM scratch",
      "COPY --from=make /for /for",
    ].join("\n"),
  };
  const platform = "linux/amd64,linux/arm64,linux/riscv64";

  test("are one index, in the store and wherever it goes", async () => {
    const name = `${registry.address}/cross/app:1`;
    const built = await buildOutputs(daemon, contextOf(cross), { platform }, [
      { Type: "image", Attrs: { name, push: "true" } },
      { Type: "oci" },
      { Type: "local" },
    ]);
    expect(built.error).toBeUndefined();
    const index = await manifestOf("cross/app", "1");
    expect(index.mediaType).toBe("application/vnd.oci.image.index.v1+json");
    expect(index.manifests.map((one) => one.platform.architecture)).toEqual(["amd64", "arm64", "riscv64"]);
    const answer = await daemon.request("/images/json?manifests=1");
    const images = (await answer.json()) as {
      RepoTags: string[];
      Manifests: object[];
      Descriptor: { digest: string };
    }[];
    const kept = images.find(({ RepoTags }) => RepoTags.includes(name))!;
    expect(kept.Manifests).toHaveLength(3);
    expect(kept.Descriptor.digest).toBe(String(built.metadata!["containerimage.digest"]));
    expect(await inArchive(built.archives[1]!, "linux_arm64/for")).toBe("made for arm64\n");
    const oci = join(directory, "cross.tar");
    writeFileSync(oci, built.archives[0]!);
    const inspected = await run(["skopeo", "inspect", "--raw", `oci-archive:${oci}`]);
    expect(JSON.parse(inspected.stdout).manifests).toHaveLength(3);
  });

  test("a step that can't run here says what is missing", async () => {
    const context = contextOf({
      Dockerfile: "FROM --platform=linux/s390x scratch\nCOPY sh /bin/sh\nRUN true",
      sh: "",
    });
    const { error } = await buildOutputs(daemon, context, { platform: "linux/s390x" });
    expect(error).toMatch(/linux\/s390x does not run on this machine.*qemu-s390x/);
    // One platform that fails ends the build of the others, and nothing stays behind.
    const both = contextOf({
      Dockerfile: "FROM --platform=$TARGETPLATFORM scratch\nCOPY sh /bin/sh\nRUN true",
      sh: "",
    });
    const failed = await buildOutputs(daemon, both, { platform: "linux/s390x,linux/ppc64le", t: "half" });
    expect(failed.error).toMatch(/does not run on this machine/);
    expect((await daemon.gantry(["inspect", "half"])).code).toBe(1);
    expect(leftMounts(daemon.execRoot)).toEqual([]);
  });
});

describe("SOURCE_DATE_EPOCH", () => {
  test("two daemons, two times, one digest", async () => {
    const other = await TestDaemon.start();
    await using _ = other;
    const files = {
      Dockerfile: [
        "FROM busybox",
        "ARG SOURCE_DATE_EPOCH",
        "COPY . /src",
        "RUN mkdir -p /out/a && date > /dev/null && echo $SOURCE_DATE_EPOCH > /out/a/b && ln /out/a/b /out/c",
        "LABEL a=b",
      ].join("\n"),
      one: "1",
      "d/two": "2",
    };
    const query = {
      buildargs: JSON.stringify({ SOURCE_DATE_EPOCH: "1700000000" }),
      nocache: "1",
      t: "epoch",
    };
    const first = await buildOutputs(daemon, contextOf(files), query);
    await Bun.sleep(1100);
    const second = await buildOutputs(other, contextOf(files), query);
    expect(first.error).toBeUndefined();
    expect(first.metadata).toEqual(second.metadata!);
    const config = JSON.parse(await daemon.ok(["inspect", "epoch"]))[0];
    expect(config.Created).toBe("2023-11-14T22:13:20.000Z");
    expect(await daemon.ok(["run", "--rm", "epoch", "stat", "-c", "%Y", "/out/a/b", "/src/one"])).toBe(
      "1700000000\n1700000000",
    );
    const [bad] = [
      await buildOutputs(daemon, contextOf(files), { buildargs: '{"SOURCE_DATE_EPOCH":"now"}' }),
    ];
    expect(bad!.error).toMatch(/invalid SOURCE_DATE_EPOCH "now"/);
  });
});

describe.skipIf(!withBuildx)("docker buildx", () => {
  test("writes several outputs at once, of several platforms", async () => {
    const context = contextOf({ Dockerfile: "FROM scratch\nCOPY file /file", file: "x" });
    const metadata = join(directory, "metadata.json");
    const built = await buildx([
      "--platform",
      "linux/amd64,linux/arm64",
      "-t",
      `${registry.address}/buildx/app:1`,
      "-o",
      `type=local,dest=${join(directory, "local")}`,
      "-o",
      `type=oci,dest=${join(directory, "out.tar")}`,
      "-o",
      "type=registry",
      "--metadata-file",
      metadata,
      context,
    ]);
    expect(built).toMatchObject({ code: 0 });
    expect(readdirSync(join(directory, "local")).sort()).toEqual(["linux_amd64", "linux_arm64"]);
    expect(readFileSync(join(directory, "local/linux_arm64/file"), "utf8")).toBe("x");
    const index = await manifestOf("buildx/app", "1");
    expect(index.manifests).toHaveLength(2);
    expect(JSON.parse(readFileSync(metadata, "utf8"))).toMatchObject({
      "containerimage.descriptor": { mediaType: "application/vnd.oci.image.index.v1+json" },
      "image.name": `${registry.address}/buildx/app:1`,
    });
    expect(await inArchive(readFileSync(join(directory, "out.tar")))).toContain("index.json");
  });

  test("keeps an image in a directory that OCI tools read (tar=false)", async () => {
    const context = contextOf({ Dockerfile: "FROM scratch\nCOPY file /file", file: "in a layout" });
    const layout = join(directory, "layout");
    const output = `type=oci,tar=false,dest=${layout}`;
    expect(
      await buildx(["--platform", "linux/amd64,linux/arm64", "-t", "layout:1", "-o", output, context]),
    ).toMatchObject({
      code: 0,
    });
    const inspected = await run(["skopeo", "inspect", "--override-arch", "arm64", `oci:${layout}`]);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ Architecture: "arm64" });
  });
});
