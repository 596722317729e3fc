/**
 * What the OCI distribution conformance suite asks (distribution-spec, "conformance"), by its four workflows, against
 * one server; each check says what the specification says.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { digestOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { pattern, tempDir } from "../fixture.ts";
import type { RegistryServer } from "../types.ts";
import { serveRegistry } from "./index.ts";

const stack = new AsyncDisposableStack();
let server: RegistryServer;
beforeAll(async () => {
  const dir = stack.use(await tempDir());
  server = stack.use(await serveRegistry({ addr: "127.0.0.1:0", root: dir.path }));
});
afterAll(() => stack.disposeAsync());

const send = (method: string, path: string, init: RequestInit = {}) =>
  fetch(new URL(path, `http://${server.address}`), { method, ...init });
const codeOf = async (response: Response) =>
  ((await response.json()) as { errors: { code: string }[] }).errors[0]!.code;
const withDigest = (location: string, digest: string) => {
  const url = new URL(location, `http://${server.address}`);
  url.searchParams.set("digest", digest);
  return url.href;
};
const begin = async (name: string) =>
  (await send("POST", `/v2/${name}/blobs/uploads/`)).headers.get("location")!;

async function putBlob(name: string, bytes: Buffer): Promise<string> {
  const digest = digestOf(bytes);
  const done = await send("PUT", withDigest(await begin(name), digest), { body: bytes });
  expect(done.status).toBe(201);
  return digest;
}

const config = Buffer.from("{}");
function manifestOf(layer: Uint8Array, more: object = {}): Buffer<ArrayBuffer> {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length },
      layers: [{ mediaType: mediaTypes.ociLayer, digest: digestOf(layer), size: layer.length }],
      ...more,
    }),
  );
}

const putManifest = (name: string, reference: string, body: Buffer<ArrayBuffer>) =>
  send("PUT", `/v2/${name}/manifests/${reference}`, {
    body,
    headers: { "content-type": mediaTypes.ociManifest },
  });

/** A repository with one image under `v1`. */
async function publish(name: string): Promise<{ layer: string; manifest: string; body: Buffer }> {
  const bytes = pattern(1000, name.length);
  await putBlob(name, config);
  const layer = await putBlob(name, bytes);
  const body = manifestOf(bytes);
  expect((await putManifest(name, "v1", body)).status).toBe(201);
  return { layer, manifest: digestOf(body), body };
}

const nothing = digestOf("nothing");

describe("pull", () => {
  test("blobs", async () => {
    const { layer } = await publish("pull/blobs");
    for (const method of ["HEAD", "GET"])
      expect((await send(method, `/v2/pull/blobs/blobs/${nothing}`)).status).toBe(404);
    const head = await send("HEAD", `/v2/pull/blobs/blobs/${layer}`);
    expect([
      head.status,
      head.headers.get("docker-content-digest"),
      head.headers.get("content-length"),
    ]).toEqual([200, layer, "1000"]);
    const got = await send("GET", `/v2/pull/blobs/blobs/${layer}`);
    expect(digestOf(await got.bytes())).toBe(layer as never);
  });

  test("manifests by tag and by digest; errors have codes of the list", async () => {
    const { manifest, body } = await publish("pull/manifests");
    for (const reference of ["v1", manifest]) {
      for (const method of ["HEAD", "GET"]) {
        const response = await send(method, `/v2/pull/manifests/manifests/${reference}`);
        expect([response.status, response.headers.get("docker-content-digest")]).toEqual([200, manifest]);
        expect(response.headers.get("content-type")).toBe(mediaTypes.ociManifest);
        if (method === "GET") expect(body.equals(Buffer.from(await response.arrayBuffer()))).toBe(true);
      }
    }
    for (const reference of [".INVALID", "none", nothing]) {
      expect((await send("HEAD", `/v2/pull/manifests/manifests/${reference}`)).status).toBe(404);
    }
    expect(await codeOf(await send("GET", "/v2/pull/manifests/manifests/none"))).toBe("MANIFEST_UNKNOWN");
    expect(await codeOf(await send("GET", `/v2/pull/manifests/blobs/${nothing}`))).toBe("BLOB_UNKNOWN");
  });
});

describe("push", () => {
  const bytes = pattern(3000, 7);
  const digest = digestOf(bytes);
  const isThere = async (name: string) => (await send("GET", `/v2/${name}/blobs/${digest}`)).status === 200;

  test("streamed: PATCH without a length, then PUT", async () => {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes);
        controller.close();
      },
    });
    const sent = await send("PATCH", await begin("push/stream"), {
      body: stream,
      headers: { "content-type": "application/octet-stream" },
    });
    expect(sent.status).toBe(202);
    const done = await send("PUT", withDigest(sent.headers.get("location")!, digest));
    expect([done.status, await isThere("push/stream")]).toEqual([201, true]);
  });

  test("monolithic: POST with the digest, and POST then PUT", async () => {
    const one = await send("POST", `/v2/push/one/blobs/uploads/?digest=${digest}`, { body: bytes });
    expect([201, 202]).toContain(one.status);
    await putBlob("push/two", bytes);
    expect(await isThere("push/two")).toBe(true);
    const wrong = await send("PUT", withDigest(await begin("push/two"), nothing), { body: bytes });
    expect([wrong.status, await codeOf(wrong)]).toEqual([400, "DIGEST_INVALID"]);
  });

  test("chunked: in order only, and asked how far it is", async () => {
    const chunk = (at: string, from: number, to: number) =>
      send("PATCH", at, {
        body: bytes.subarray(from, to),
        headers: { "content-type": "application/octet-stream", "content-range": `${from}-${to - 1}` },
      });
    let place = await begin("push/chunks");
    expect((await chunk(place, 1000, 3000)).status).toBe(416);
    const first = await chunk(place, 0, 1000);
    expect([first.status, first.headers.get("range")]).toEqual([202, "0-999"]);
    place = first.headers.get("location")!;
    expect((await chunk(place, 0, 1000)).status).toBe(416);
    const asked = await send("GET", place);
    expect([asked.status, asked.headers.get("range")]).toEqual([204, "0-999"]);
    const done = await send("PUT", withDigest(asked.headers.get("location") ?? place, digest), {
      body: bytes.subarray(1000),
      headers: { "content-range": "1000-2999" },
    });
    expect([done.status, await isThere("push/chunks")]).toEqual([201, true]);
  });

  test("mounts, from somewhere, from nowhere and from anywhere", async () => {
    await putBlob("push/source", bytes);
    const mount = (query: string) => send("POST", `/v2/push/target/blobs/uploads/?mount=${query}`);
    const done = await mount(`${digest}&from=push/source`);
    expect([done.status, await isThere("push/target")]).toEqual([201, true]);
    expect((await mount(`${nothing}&from=push/source`)).status).toBe(202);
    expect([201, 202]).toContain((await mount(digest)).status);
  });

  test("manifests: what they name must be there, and the subject is told", async () => {
    const { manifest } = await publish("push/manifests");
    const lost = await putManifest("push/manifests", "lost", manifestOf(pattern(5)));
    expect([lost.status, await codeOf(lost)]).toEqual([404, "MANIFEST_BLOB_UNKNOWN"]);
    const subject = { mediaType: mediaTypes.ociManifest, digest: manifest, size: 1 };
    const about = manifestOf(config, { subject });
    const done = await putManifest("push/manifests", digestOf(about), about);
    expect([done.status, done.headers.get("oci-subject")]).toEqual([201, manifest]);
    expect(done.headers.get("location")).toContain("/manifests/");
    const bare = manifestOf(config, { layers: [] });
    expect((await putManifest("push/manifests", "bare", bare)).status).toBe(201);
  });
});

describe("content discovery", () => {
  test("tags, whole and in pages", async () => {
    const { body } = await publish("find/tags");
    for (const tag of ["d", "b", "a", "c"])
      expect((await putManifest("find/tags", tag, Buffer.from(body))).status).toBe(201);
    const tags = async (query = "") =>
      ((await (await send("GET", `/v2/find/tags/tags/list${query}`)).json()) as { tags: string[] }).tags;
    expect(await tags()).toEqual(["a", "b", "c", "d", "v1"]);
    expect(await tags("?n=2")).toEqual(["a", "b"]);
    expect(await tags("?n=2&last=b")).toEqual(["c", "d"]);
    expect(await tags("?n=0")).toEqual([]);
  });

  test("referrers: none, all, by type, and of what is not there", async () => {
    const { manifest } = await publish("find/referrers");
    const subject = { mediaType: mediaTypes.ociManifest, digest: manifest, size: 1 };
    for (const artifactType of ["application/one", "application/two"]) {
      const about = manifestOf(config, {
        artifactType,
        subject,
        layers: [],
        annotations: { of: artifactType },
      });
      expect((await putManifest("find/referrers", digestOf(about), about)).status).toBe(201);
    }
    const ask = async (digest: string, query = "") => {
      const response = await send("GET", `/v2/find/referrers/referrers/${digest}${query}`);
      expect([response.status, response.headers.get("content-type")]).toEqual([200, mediaTypes.ociIndex]);
      const { manifests } = (await response.json()) as {
        manifests: { artifactType: string; annotations: object }[];
      };
      return { manifests, applied: response.headers.get("oci-filters-applied") };
    };
    expect((await ask(nothing)).manifests).toEqual([]);
    expect((await ask(manifest)).manifests).toHaveLength(2);
    const { manifests, applied } = await ask(manifest, "?artifactType=application/one");
    expect(manifests).toMatchObject([
      { artifactType: "application/one", annotations: { of: "application/one" } },
    ]);
    expect(applied).toBe("artifactType");
    expect((await send("GET", "/v2/find/referrers/referrers/wrong")).status).toBeWithin(400, 405);
  });
});

test("content management: tags, manifests and blobs are deleted, once", async () => {
  const { layer, manifest } = await publish("gone/all");
  const path = (kind: string, reference: string) => `/v2/gone/all/${kind}/${reference}`;
  expect((await send("DELETE", path("manifests", "v1"))).status).toBe(202);
  expect((await send("GET", path("manifests", "v1"))).status).toBe(404);
  for (const [kind, digest] of [
    ["manifests", manifest],
    ["blobs", layer],
  ] as const) {
    expect((await send("GET", path(kind, digest))).status).toBe(200);
    expect((await send("DELETE", path(kind, digest))).status).toBe(202);
    expect((await send("GET", path(kind, digest))).status).toBe(404);
    expect((await send("DELETE", path(kind, digest))).status).toBe(404);
  }
  const tags = (await (await send("GET", "/v2/gone/all/tags/list")).json()) as { tags?: string[] };
  expect(tags.tags ?? []).toEqual([]);
});
