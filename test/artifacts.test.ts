/** What is no image: artifacts are kept like images, and what refers to an image goes where it goes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debianRegistry } from "../src/registry/fixture.ts";
import type { RegistryServer } from "../src/registry/types.ts";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { type Descriptor, publishMultiPlatform, Repository } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

const emptyConfig = "application/vnd.oci.empty.v1+json";
const signature = "application/vnd.example.signature";

let daemon: TestDaemon;
let registry: TestRegistry;
/** It has no referrers API. */
let debian: RegistryServer;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "gt-artifacts-"));
  registry = await TestRegistry.start();
  debian = await debianRegistry();
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, debian, registry, scratch));

/** An artifact with one blob, about `subject` if that is given. */
async function publish(
  repository: string,
  tag: string | undefined,
  content: object,
  subject?: Descriptor,
): Promise<Descriptor & { blob: string }> {
  const target = new Repository(repository);
  const blob = await target.blob("application/vnd.example.thing", content);
  const manifest = await target.manifest(tag, {
    artifactType: signature,
    config: await target.blob(emptyConfig, {}),
    layers: [blob],
    annotations: { note: "kept" },
    ...(subject && { subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size } }),
  });
  return { ...manifest, blob: blob.digest };
}

const isHere = (digest: string) =>
  existsSync(join(daemon.dataRoot, "content/blobs", digest.replace(":", "/")));
const digestOfPush = (said: string) => /digest: (sha256:[0-9a-f]{64})/.exec(said)![1]!;

/** Digests of what a registry with the API says to refer to a manifest. */
async function referrers(repository: string, subject: string): Promise<string[]> {
  const [host, ...path] = repository.split("/");
  const answer = await fetch(`http://${host}/v2/${path.join("/")}/referrers/${subject}`);
  return ((await answer.json()) as { manifests: Descriptor[] }).manifests.map(({ digest }) => digest);
}

test("an artifact is pulled, tagged, pushed, saved and loaded as it is", async () => {
  const there = `${registry.address}/art/one`;
  const { digest, blob } = await publish(there, "1", { thing: 1 });
  expect(await daemon.ok(["pull", `${there}:1`])).toContain(`Digest: ${digest}`);
  expect(await daemon.ok(["pull", `${there}:1`])).toContain("Image is up to date");
  expect(await daemon.ok(["images", "--no-trunc", "--format", "{{.Tag}} {{.ID}}", there])).toBe(
    `1 ${digest}`,
  );
  for (const address of [registry.address, debian.address]) {
    await daemon.ok(["tag", `${there}:1`, `${address}/art/copy:1`]);
    expect(digestOfPush(await daemon.ok(["push", `${address}/art/copy:1`]))).toBe(digest);
    await daemon.ok(["rmi", `${address}/art/copy:1`]);
  }
  const archive = join(scratch, "artifact.tar");
  await daemon.ok(["save", "-o", archive, `${there}:1`]);
  await daemon.ok(["rmi", `${there}:1`]);
  expect(isHere(blob)).toBe(false);
  expect(await daemon.ok(["load", "-i", archive])).toBe(`Loaded image: ${there}:1`);
  expect(await daemon.ok(["inspect", "-f", "{{.Id}} {{.Descriptor.digest}}", `${there}:1`])).toBe(
    `${digest} ${digest}`,
  );
  expect(isHere(blob)).toBe(true);
  await daemon.ok(["rmi", `${there}:1`]);
});

test("an artifact can't be run, built on, mounted or weighed, and each says why", async () => {
  const there = `${registry.address}/art/two:1`;
  await publish(`${registry.address}/art/two`, "1", { thing: 2 });
  writeFileSync(join(scratch, "Dockerfile"), `FROM ${there}\nLABEL a=b\n`);
  const attempts = [
    ["run", "--rm", "--network", "none", there, "true"],
    [
      "run",
      "--rm",
      "--network",
      "none",
      "--mount",
      `type=image,source=${there},target=/a`,
      "busybox",
      "true",
    ],
    ["build", scratch],
    ["image", "mount", there],
    ["image", "why-big", there],
  ];
  await daemon.ok(["pull", "-q", there]);
  for (const attempt of attempts) {
    const { code, stderr } = await daemon.gantry(attempt);
    expect(code).not.toBe(0);
    expect(stderr).toContain(`${there} is an artifact (${signature}) and no image`);
  }
  await daemon.ok(["rmi", there]);
});

test("what refers to an image comes with it, goes with it to another repository, and ends with it", async () => {
  const from = `${registry.address}/referred/from`;
  await daemon.ok(["tag", "busybox", `${from}:1`]);
  const digest = digestOfPush(await daemon.ok(["push", `${from}:1`]));
  const image = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 400 };
  const signed = await publish(from, undefined, { signed: "image" }, image);
  // A signature of the signature.
  const countersigned = await publish(from, undefined, { signed: "signature" }, signed);
  await daemon.ok(["rmi", "-f", `${from}:1`, "busybox"]);
  await daemon.ok(["pull", `${from}:1`]);
  expect([signed, countersigned].map(({ blob }) => isHere(blob))).toEqual([true, true]);
  // They are no images.
  expect(await daemon.ok(["images", "-q", "--no-trunc"])).toBe(
    await daemon.ok(["inspect", "-f", "{{.Id}}", `${from}:1`]),
  );
  await daemon.crash();
  await daemon.boot();
  const to = `${registry.address}/referred/to`;
  await daemon.ok(["tag", `${from}:1`, `${to}:2`]);
  expect(digestOfPush(await daemon.ok(["push", `${to}:2`]))).toBe(digest);
  expect(await referrers(to, digest)).toEqual([signed.digest]);
  expect(await referrers(to, signed.digest)).toEqual([countersigned.digest]);
  expect(await new Repository(to).digest(countersigned.digest)).toBe(countersigned.digest);

  // A registry without the API has them under a tag of the subject's digest.
  const old = `${debian.address}/referred/old`;
  await daemon.ok(["tag", `${from}:1`, `${old}:1`]);
  expect(digestOfPush(await daemon.ok(["push", `${old}:1`]))).toBe(digest);
  const listed = await fetch(
    `http://${debian.address}/v2/referred/old/manifests/${digest.replace(":", "-")}`,
    { headers: { accept: "application/vnd.oci.image.index.v1+json" } },
  );
  expect(await listed.json()).toMatchObject({
    manifests: [{ digest: signed.digest, artifactType: signature, annotations: { note: "kept" } }],
  });
  // Pushed again nothing is listed twice.
  await daemon.ok(["push", `${old}:1`]);

  await daemon.ok(["rmi", `${from}:1`, `${to}:2`, `${old}:1`]);
  expect([signed, countersigned].map(({ blob }) => isHere(blob))).toEqual([false, false]);
  await daemon.ok(["pull", `${old}:1`]);
  expect([signed, countersigned].map(({ blob }) => isHere(blob))).toEqual([true, true]);
  await daemon.ok(["tag", `${old}:1`, "busybox"]);
  await daemon.ok(["rmi", `${old}:1`]);
});

test("of an image for several platforms: referrers of the index, and of the platform that came", async () => {
  const from = `${registry.address}/referred/multi`;
  const { index, amd64, arm64 } = await publishMultiPlatform(from, "1", "referred");
  const ofIndex = await publish(from, undefined, { signed: "index" }, index);
  const ofAmd64 = await publish(from, undefined, { signed: "amd64" }, amd64);
  const ofArm64 = await publish(from, undefined, { signed: "arm64" }, arm64);
  await daemon.ok(["pull", "-q", `${from}:1`]);
  const here = () => [ofIndex, ofAmd64, ofArm64].map(({ blob }) => isHere(blob));
  expect(here()).toEqual([true, true, false]);
  const to = `${registry.address}/referred/one-platform`;
  await daemon.ok(["tag", `${from}:1`, `${to}:1`]);
  await daemon.ok(["push", "-q", "--platform", "linux/amd64", `${to}:1`]);
  expect(await referrers(to, amd64.digest)).toEqual([ofAmd64.digest]);
  expect(await new Repository(to).digest(ofIndex.digest)).toBeUndefined();
  // The other platform joins, and what was there stays.
  await daemon.ok(["pull", "-q", "--platform", "linux/arm64", `${from}:1`]);
  expect(here()).toEqual([true, true, true]);
  const all = `${registry.address}/referred/all`;
  await daemon.ok(["tag", `${from}:1`, `${all}:1`]);
  await daemon.ok(["push", "-q", `${all}:1`]);
  for (const [subject, referrer] of [
    [index, ofIndex],
    [amd64, ofAmd64],
    [arm64, ofArm64],
  ] as const)
    expect(await referrers(all, subject.digest)).toEqual([referrer.digest]);
  await daemon.ok(["rmi", `${from}:1`, `${to}:1`, `${all}:1`]);
  expect(here()).toEqual([false, false, false]);
});

test("an index of artifacts says how one of them is pulled", async () => {
  const from = `${registry.address}/art/index`;
  const { digest, size, mediaType } = await publish(from, undefined, { thing: "of an index" });
  await new Repository(from).manifest("1", {
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ digest, size, mediaType, platform: { os: "linux", architecture: "amd64" } }],
  });
  const { code, stderr } = await daemon.gantry(["pull", `${from}:1`]);
  expect(code).toBe(1);
  expect(stderr).toContain(`not of images: pull one of them as ${from}@${digest}`);
  expect(await daemon.ok(["pull", `${from}@${digest}`])).toContain("Downloaded newer image");
  await daemon.ok(["rmi", `${from}@${digest}`]);
});

test("system check reads what refers to an image too, and mends it", async () => {
  const from = `${registry.address}/referred/checked`;
  await daemon.ok(["tag", "busybox", `${from}:1`]);
  const digest = digestOfPush(await daemon.ok(["push", `${from}:1`]));
  const image = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: 400 };
  const { blob } = await publish(from, undefined, { signed: "checked" }, image);
  await daemon.ok(["pull", "-q", `${from}:1`]);
  writeFileSync(join(daemon.dataRoot, "content/blobs", blob.replace(":", "/")), "spoilt");
  const { code, stdout } = await daemon.gantry(["system", "check"]);
  expect(code).toBe(1);
  expect(stdout).toContain(blob);
  await daemon.ok(["system", "check", "--repair"]);
  expect(await daemon.ok(["system", "check"])).toContain("0 problems");
  await daemon.ok(["rmi", `${from}:1`]);
});

/** The registry behind a door where somebody answers some requests himself. */
const behind = (answer: (path: string) => Response | Promise<Response> | undefined) =>
  Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      return answer(pathname) ?? fetch(`http://${registry.address}${pathname}${search}`, request);
    },
  });

test("a pull that fails does not wait for referrers", async () => {
  await using front = behind((path) => {
    if (path.includes("/referrers/")) return new Promise<Response>(() => {});
    return path.includes("/blobs/") ? new Response(null, { status: 404 }) : undefined;
  });
  const from = `${registry.address}/referred/failing:1`;
  await daemon.ok(["tag", "busybox", from]);
  await daemon.ok(["push", "-q", from]);
  await daemon.ok(["rmi", "-f", from, "busybox"]);
  const { code, stderr } = await daemon.gantry(["pull", `127.0.0.1:${front.port}/referred/failing:1`]);
  expect(code).toBe(1);
  expect(stderr).not.toContain("Referrers");
  await daemon.ok(["pull", "-q", from]);
  await daemon.ok(["tag", from, "busybox"]);
});

test("a pull does not fail for referrers that can't be had", async () => {
  await using front = behind((path) =>
    path.includes("/referrers/") ? new Response("out of order", { status: 503 }) : undefined,
  );
  const from = `${registry.address}/referred/broken:1`;
  await daemon.ok(["tag", "busybox", from]);
  await daemon.ok(["push", "-q", from]);
  const pulled = await daemon.ok(["pull", `127.0.0.1:${front.port}/referred/broken:1`]);
  expect(pulled).toContain("Referrers left out: received unexpected HTTP status: 503");
  expect(pulled).toContain("Status: Downloaded newer image");
});
