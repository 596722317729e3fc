/** What a build states about its images: provenance and a list of packages, beside them wherever they go. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildOutputs } from "./support/build-output.ts";
import { run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { TestRegistry } from "./support/registry.ts";

const withBuildx = (await run(["docker", "buildx", "version"])).code === 0;

let daemon: TestDaemon;
let registry: TestRegistry;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-attest-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start();
  writeFileSync(
    join(directory, "Dockerfile"),
    [
      "FROM busybox",
      "ARG WORD",
      "RUN --mount=type=secret,id=key wc -c /run/secrets/key > /size 2>&1 || true",
      'RUN mkdir -p /node_modules/left && echo \'{"name":"left","version":"1.2.3"}\' > /node_modules/left/package.json',
    ].join("\n"),
  );
  writeFileSync(join(directory, "key"), "very-secret-value");
});
afterAll(() => disposeAll(daemon, registry, directory));

interface Attestation {
  PredicateType: string;
  Statement: { subject: { name: string }[]; predicate: object };
}
async function attestations(name: string): Promise<Record<string, Attestation["Statement"]>> {
  const answer = await daemon.request(`/images/${encodeURIComponent(name)}/attestations?statement=1`);
  expect(answer.status).toBe(200);
  const found = (await answer.json()) as Attestation[];
  return Object.fromEntries(found.map(({ PredicateType, Statement }) => [PredicateType, Statement]));
}

const buildargs = JSON.stringify({ WORD: "told" });

test("an image has its provenance and its packages beside it, in the store and in the registry", async () => {
  const name = `${registry.address}/attested/app:1`;
  const attests = JSON.stringify({ provenance: "mode=max", sbom: "" });
  const built = await buildOutputs(daemon, directory, { attests, buildargs }, [
    { Type: "registry", Attrs: { name } },
  ]);
  expect(built.error).toBeUndefined();
  const stated = await attestations(name);
  expect(stated["https://slsa.dev/provenance/v0.2"]).toMatchObject({
    subject: [{ name: `pkg:docker/${registry.address}/attested/app@1?platform=linux%2Famd64` }],
    predicate: {
      buildType: "https://mobyproject.org/buildkit@v1",
      materials: [{ uri: "pkg:docker/busybox@latest?platform=linux%2Famd64" }],
      invocation: {
        configSource: { entryPoint: "Dockerfile" },
        parameters: { args: { "build-arg:WORD": "told" }, secrets: [{ id: "key", optional: true }] },
      },
    },
  });
  expect(stated["https://spdx.dev/Document"]!.predicate).toMatchObject({
    spdxVersion: "SPDX-2.3",
    packages: [{ name: "left", versionInfo: "1.2.3" }],
  });
  expect(built.metadata!["buildx.build.provenance"]).toEqual(
    stated["https://slsa.dev/provenance/v0.2"]!.predicate,
  );
  const raw = await run(["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${name}`]);
  const [image, about] = JSON.parse(raw.stdout).manifests;
  expect(about).toMatchObject({
    platform: { architecture: "unknown", os: "unknown" },
    annotations: {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": image.digest,
    },
  });
  // It runs as any other.
  expect(
    await daemon.ok(["run", "--rm", "--pull", "always", name, "cat", "/node_modules/left/package.json"]),
  ).toContain("left");
});

test("version 1, in short, says nothing of arguments", async () => {
  const attests = JSON.stringify({ provenance: "version=v1" });
  await buildOutputs(daemon, directory, { attests, buildargs, t: "short" });
  const { predicate } = (await attestations("short"))["https://slsa.dev/provenance/v1"]!;
  expect(predicate).toMatchObject({
    buildDefinition: { internalParameters: { builderPlatform: "linux/amd64" } },
  });
  expect(JSON.stringify(predicate)).not.toContain("told");
});

test("with an epoch statements are the same each time", async () => {
  const query = {
    attests: JSON.stringify({ provenance: "mode=max", sbom: "" }),
    buildargs: JSON.stringify({ SOURCE_DATE_EPOCH: "1700000000" }),
    nocache: "1",
  };
  const digests = [];
  for (let i = 0; i < 2; i++)
    digests.push((await buildOutputs(daemon, directory, query)).metadata?.["containerimage.digest"]);
  expect(digests[0]).toBeString();
  expect(digests[1]).toBe(digests[0]!);
});

test.skipIf(!withBuildx)("docker buildx: --provenance and --sbom, and secrets stay secret", async () => {
  const name = `${registry.address}/attested/buildx:1`;
  const built = await run(
    [
      ...["docker", "buildx", "build", "--progress", "plain", "--provenance", "mode=max", "--sbom", "true"],
      ...["--secret", `id=key,src=${join(directory, "key")}`, "--push", "-t", name],
      ...["--metadata-file", join(directory, "metadata.json"), directory],
    ],
    { env: { DOCKER_HOST: daemon.host } },
  );
  expect(built).toMatchObject({ code: 0 });
  const stated = JSON.stringify(await attestations(name));
  expect(stated).toContain('"id":"key"');
  expect(stated).not.toContain("very-secret-value");
  expect(JSON.parse(readFileSync(join(directory, "metadata.json"), "utf8"))).toMatchObject({
    "containerimage.descriptor": { mediaType: "application/vnd.oci.image.index.v1+json" },
  });
});

const clients: [string, (args: string[]) => Promise<{ code: number }>][] = [
  ["gantry", (args) => daemon.gantry(["build", ...args])],
];
if (withBuildx)
  clients.push([
    "buildx",
    (args) => run(["docker", "buildx", "build", ...args], { env: { DOCKER_HOST: daemon.host } }),
  ]);

test.each(clients)("%s: files have their statements beside them", async (name, build) => {
  const target = join(directory, `files-${name}`);
  const asked = ["--provenance", "mode=max", "--sbom", "true"];
  const output = `type=local,dest=${target},attestation-prefix=about-`;
  expect(await build([...asked, "-o", output, directory])).toMatchObject({ code: 0 });
  const read = (path: string) => JSON.parse(readFileSync(join(target, path), "utf8"));
  const provenance = read("about-provenance.json");
  expect(provenance.predicateType).toStartWith("https://slsa.dev/provenance/");
  const digest = new Bun.CryptoHasher("sha256").update(readFileSync(join(target, "size"))).digest("hex");
  expect(provenance.subject).toContainEqual({ name: "size", digest: { sha256: digest } });
  const { predicate } = read("about-sbom.spdx.json");
  expect(predicate.packages.map((one: { name: string }) => one.name)).toContain("left");
  // Those of several platforms are told apart, in a directory of each or by their names.
  const context = mkdtempSync(join(directory, "cross-"));
  writeFileSync(join(context, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /file");
  const platforms = ["--platform", "linux/amd64,linux/arm64", "--provenance", "true"];
  const several = async (dest: string, more = "") => {
    expect(await build([...platforms, "-o", `type=local,dest=${dest}${more}`, context])).toMatchObject({
      code: 0,
    });
    return readdirSync(dest, { recursive: true }).sort();
  };
  expect(await several(join(context, "split"))).toEqual([
    "linux_amd64",
    "linux_amd64/file",
    "linux_amd64/provenance.json",
    "linux_arm64",
    "linux_arm64/file",
    "linux_arm64/provenance.json",
  ]);
  expect(await several(join(context, "flat"), ",platform-split=false")).toEqual([
    "file",
    "provenance.linux_amd64.json",
    "provenance.linux_arm64.json",
  ]);
  expect(readdirSync(join(daemon.execRoot, "b")).filter((one) => one.startsWith("statements"))).toEqual([]);
});
