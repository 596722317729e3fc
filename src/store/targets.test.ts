/** Names of indexes: what of them is here, which image stands for them, and what goes with their last name. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type Descriptor, mediaTypes, type Platform } from "../lib/oci.ts";
import { StoreLab, tarOf } from "./testing.ts";
import type { ImageRecord } from "./types.ts";

let lab: StoreLab;
beforeAll(async () => {
  lab = await StoreLab.open();
});
afterEach(async () => {
  const { images } = lab.store;
  for (const { id } of images.list()) images.remove(id);
  // A blob counts as on its way for one turn more.
  await new Promise(setImmediate);
  await images.collect();
  expect([...lab.store.content.list()]).toEqual([]);
  expect(lab.leftovers()).toEqual([]);
});
afterAll(() => lab[Symbol.asyncDispose]());

const name = "docker.io/library/multi:1";

async function imageFor(architecture: string): Promise<ImageRecord> {
  return lab.image([await tarOf([{ name: "file", content: architecture }])], { architecture });
}

async function indexOf(manifests: Descriptor[]): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
  return { mediaType: mediaTypes.ociIndex, digest: await lab.store.content.put(bytes), size: bytes.length };
}

const manifestOf = (record: ImageRecord, platform: Platform = record.platform): Descriptor => ({
  mediaType: record.manifestMediaType,
  digest: record.manifest,
  size: lab.store.content.size(record.manifest),
  platform,
});

const missing: Descriptor = {
  mediaType: mediaTypes.ociManifest,
  digest: `sha256:${"1".repeat(64)}`,
  size: 100,
  platform: { os: "linux", architecture: "s390x" },
};

test("the host's platform stands for an index, others are beside it, and all of it outlives a restart", async () => {
  const [amd64, arm64] = [await imageFor("amd64"), await imageFor("arm64")];
  const index = await indexOf([manifestOf(arm64), missing, manifestOf(amd64)]);
  const { target, image } = await lab.store.images.registerIndex(index);
  expect(image.id).toBe(amd64.id);
  lab.store.images.tag(name, image.id, index.digest);
  const expected = [
    { kind: "image", image: arm64.id, blobs: [arm64.id, arm64.layers[0]!.descriptor.digest] },
    { descriptor: missing, kind: "image" },
    { kind: "image", image: amd64.id },
  ];
  expect(target.manifests).toMatchObject(expected);
  await lab.reopen();
  const { images, content } = lab.store;
  expect(images.target(index.digest)?.manifests).toMatchObject(expected);
  expect(images.members()).toEqual(new Set([arm64.id]));
  expect(images.orphans()).toEqual([]);
  await images.collect();
  expect(content.has(index.digest)).toBe(true);
});

test("names of an index follow to a platform that suits better", async () => {
  const arm64 = await imageFor("arm64");
  const amd64 = await imageFor("amd64");
  const later = manifestOf(amd64);
  const index = await indexOf([later, manifestOf(arm64)]);
  const { images, content } = lab.store;
  const bytes = await content.bytes(later.digest);
  content.remove(later.digest);
  const first = await images.registerIndex(index);
  expect(first.image.id).toBe(arm64.id);
  images.tag(name, arm64.id, index.digest);
  await content.put(bytes);
  await images.registerIndex(index);
  expect(images.byName(name)?.id).toBe(amd64.id);
  expect(images.namesOf(arm64.id)).toEqual([]);
});

test("without its last name an index leaves orphans, and an index goes on without an image that was removed", async () => {
  const [amd64, arm64] = [await imageFor("amd64"), await imageFor("arm64")];
  const index = await indexOf([manifestOf(amd64), manifestOf(arm64)]);
  const { images, content } = lab.store;
  await images.registerIndex(index);
  images.tag(name, amd64.id, index.digest);
  images.tag("docker.io/library/alone:1", amd64.id);
  images.untag(name);
  expect(images.orphans().map(({ id }) => id)).toEqual([arm64.id]);
  images.tag(name, amd64.id, index.digest);
  images.remove(arm64.id);
  await images.collect();
  expect(content.has(arm64.manifest)).toBe(false);
  expect(images.target(index.digest)?.manifests.map(({ image }) => image)).toEqual([amd64.id, undefined]);
  images.untag(name);
  await images.collect();
  expect(images.target(index.digest)).toBeUndefined();
  expect(images.byName("docker.io/library/alone:1")?.id).toBe(amd64.id);
});

test("attestations and artifacts are kept with the index, and are no images", async () => {
  const amd64 = await imageFor("amd64");
  const { images, content } = lab.store;
  const put = async (mediaType: string, value: object): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(value));
    return { mediaType, digest: await content.put(bytes), size: bytes.length };
  };
  const config = await put("application/vnd.example+json", {});
  const layer = await put("application/vnd.in-toto+json", { predicateType: "p" });
  const artifact = await put(mediaTypes.ociManifest, { schemaVersion: 2, config, layers: [layer] });
  const attestation = {
    ...(await put(mediaTypes.ociManifest, {
      schemaVersion: 2,
      config,
      layers: [layer],
      annotations: { a: "b" },
    })),
    annotations: { "vnd.docker.reference.type": "attestation-manifest" },
  };
  const index = await indexOf([manifestOf(amd64), artifact, attestation]);
  const { target } = await images.registerIndex(index);
  expect(target.manifests.map(({ kind, blobs }) => [kind, blobs?.length])).toEqual([
    ["image", 2],
    ["unknown", 2],
    ["attestation", 2],
  ]);
  images.tag(name, amd64.id, index.digest);
  await images.collect();
  expect(content.has(attestation.digest) && content.has(layer.digest)).toBe(true);
});

test("one image under two manifests: each name keeps its own", async () => {
  const { images, content } = lab.store;
  const amd64 = await imageFor("amd64");
  images.tag(name, amd64.id);
  const manifest = JSON.parse(Buffer.from(await content.bytes(amd64.manifest)).toString());
  const bytes = Buffer.from(JSON.stringify({ ...manifest, annotations: { other: "yes" } }));
  const other = { mediaType: mediaTypes.ociManifest, digest: await content.put(bytes), size: bytes.length };
  expect((await images.register(other)).id).toBe(amd64.id);
  images.tag("docker.io/library/other:1", amd64.id, other.digest);
  await images.collect();
  expect(images.nameOf(name)?.target).toBe(amd64.manifest);
  expect(images.target(other.digest)?.manifests).toMatchObject([{ image: amd64.id }]);
  expect(content.has(other.digest)).toBe(true);
});
