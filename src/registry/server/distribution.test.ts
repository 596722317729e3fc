/** OCI distribution-spec 1.1.1, row by row: each endpoint's answers, each error code, each rule about headers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Digest, digestOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { createRegistryClient } from "../client/client.ts";
import { pattern, pushImage, type TempDir, tempDir } from "../fixture.ts";
import type { RegistryServer, RegistrySettings } from "../types.ts";
import { errorCodes } from "./errors.ts";
import { serveRegistry } from "./index.ts";

let dir: TempDir;
/** One that does all, one that takes nothing in, one for users, one that is soon tired; on one image each. */
let open: RegistryServer;
let readOnly: RegistryServer;
let locked: RegistryServer;
let tired: RegistryServer;
const blob = pattern(5000);
const blobDigest = digestOf(blob);
const sha512 = `sha512:${new Bun.CryptoHasher("sha512").update(blob).digest("hex")}`;
const unknown = digestOf("unknown");
let manifest: Buffer;
let digest: Digest;

beforeAll(async () => {
  dir = await tempDir();
  const root = (name: string) => join(dir.path, name);
  const serve = (name: string, settings: RegistrySettings = {}) =>
    serveRegistry({ addr: "127.0.0.1:0", root: root(name), ...settings });
  const fill = async (server: RegistryServer) => {
    const repository = createRegistryClient({}).repository({ domain: server.address, path: "a/b" });
    manifest = await pushImage(repository, "v1", blob);
    digest = digestOf(manifest);
  };
  await using filled = await serve("read-only");
  await fill(filled);
  await filled[Symbol.asyncDispose]();
  readOnly = await serve("read-only", { "read-only": true });
  open = await serve("open");
  await fill(open);
  await Bun.write(root("users"), `u:${await Bun.password.hash("p", { algorithm: "bcrypt", cost: 4 })}\n`);
  locked = await serve("locked", {
    htpasswd: root("users"),
    access: [{ prefix: "", users: { u: ["pull"] } }],
  });
  tired = await serve("tired", { "limit-requests": "2/1h", warning: "this registry is tired" });
});
afterAll(async () => {
  for (const server of [open, readOnly, locked, tired]) await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

const send = (server: RegistryServer, method: string, path: string, init: RequestInit = {}) =>
  fetch(`http://${server.address}${path}`, { method, ...init });
const call = (method: string, path: string, init: RequestInit = {}) => send(open, method, path, init);
const header = (response: Response, name: string) => response.headers.get(name);
const isManifest = { "content-type": mediaTypes.ociManifest };
/** A path of an upload with `sent` bytes. */
async function upload(sent = 0): Promise<string> {
  const location = header(await call("POST", "/v2/a/b/blobs/uploads/"), "location")!;
  if (sent > 0) await call("PATCH", location, { body: blob.subarray(0, sent) });
  return location;
}
async function codeOf(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string; message: string }[] };
  expect(body.errors).toHaveLength(1);
  return body.errors[0]!.code;
}

describe("endpoints", () => {
  type Case = [id: string, status: number, run: () => Promise<Response> | Response];
  const cases: Case[] = [
    ["end-1", 200, () => call("GET", "/v2/")],
    ["end-1", 401, () => send(locked, "GET", "/v2/")],
    ["end-2", 200, () => call("GET", `/v2/a/b/blobs/${blobDigest}`)],
    ["end-2", 200, () => call("HEAD", `/v2/a/b/blobs/${blobDigest}`)],
    ["end-2", 404, () => call("GET", `/v2/a/b/blobs/${unknown}`)],
    ["end-2", 404, () => call("HEAD", `/v2/a/b/blobs/${unknown}`)],
    ["end-3", 200, () => call("GET", "/v2/a/b/manifests/v1")],
    ["end-3", 200, () => call("HEAD", `/v2/a/b/manifests/${digest}`)],
    ["end-3", 404, () => call("GET", "/v2/a/b/manifests/v2")],
    ["end-3", 404, () => call("HEAD", "/v2/a/none/manifests/v1")],
    ["end-4a", 202, () => call("POST", "/v2/a/b/blobs/uploads/")],
    ["end-4a", 404, () => call("POST", "/v2/a/b/uploads/")],
    ["end-4b", 201, () => call("POST", `/v2/a/b/blobs/uploads/?digest=${blobDigest}`, { body: blob })],
    ["end-4b", 201, () => call("POST", `/v2/a/b/blobs/uploads/?digest=${sha512}`, { body: blob })],
    ["end-4b", 400, () => call("POST", `/v2/a/b/blobs/uploads/?digest=${unknown}`, { body: blob })],
    ["end-4c", 202, () => call("POST", "/v2/a/b/blobs/uploads/?digest-algorithm=sha512")],
    ["end-4c", 400, () => call("POST", "/v2/a/b/blobs/uploads/?digest-algorithm=md5")],
    ["end-5", 202, async () => call("PATCH", await upload(), { body: blob })],
    ["end-5", 404, () => call("PATCH", `/v2/a/b/blobs/uploads/${crypto.randomUUID()}`, { body: blob })],
    [
      "end-5",
      416,
      async () => call("PATCH", await upload(9), { body: "x", headers: { "content-range": "5-5" } }),
    ],
    ["end-6", 201, async () => call("PUT", `${await upload()}?digest=${blobDigest}`, { body: blob })],
    ["end-6", 201, async () => call("PUT", `${await upload(5000)}?digest=${blobDigest}`)],
    ["end-6", 404, () => call("PUT", `/v2/a/b/blobs/uploads/nosuch?digest=${blobDigest}`)],
    ["end-6", 400, async () => call("PUT", `${await upload(10)}?digest=${blobDigest}`)],
    ["end-6", 400, async () => call("PUT", await upload(10))],
    ["end-7", 201, () => call("PUT", "/v2/a/b/manifests/v2", { body: manifest, headers: isManifest })],
    ["end-7", 404, () => call("PUT", "/v2/a/none/manifests/v1", { body: manifest, headers: isManifest })],
    ["end-7", 413, () => call("PUT", "/v2/a/b/manifests/v1", { body: Buffer.alloc(4_194_305, " ") })],
    ["end-7b", 201, () => call("PUT", `/v2/a/b/manifests/${digest}?tag=x&tag=y`, { body: manifest })],
    ["end-7b", 400, () => call("PUT", `/v2/a/b/manifests/${digest}?tag=.x`, { body: manifest })],
    ["end-8a", 200, () => call("GET", "/v2/a/b/tags/list")],
    ["end-8a", 404, () => call("GET", "/v2/a/none/tags/list")],
    ["end-8b", 200, () => call("GET", "/v2/a/b/tags/list?n=1&last=a")],
    ["end-8b", 404, () => call("GET", "/v2/a/none/tags/list?n=1&last=a")],
    ["end-9", 202, () => call("DELETE", "/v2/a/b/manifests/v2")],
    ["end-9", 404, () => call("DELETE", `/v2/a/b/manifests/${unknown}`)],
    ["end-9", 404, () => call("DELETE", "/v2/a/none/manifests/v1")],
    ["end-9", 400, () => call("DELETE", "/v2/a/b/manifests/sha256:1")],
    ["end-9", 405, () => send(readOnly, "DELETE", "/v2/a/b/manifests/v1")],
    ["end-10", 202, () => call("DELETE", `/v2/a/b/blobs/${sha512}`)],
    ["end-10", 404, () => call("DELETE", `/v2/a/b/blobs/${unknown}`)],
    ["end-10", 400, () => call("DELETE", "/v2/a/b/blobs/sha256:1")],
    ["end-10", 405, () => send(readOnly, "DELETE", `/v2/a/b/blobs/${blobDigest}`)],
    ["end-11", 201, () => call("POST", `/v2/a/c/blobs/uploads/?mount=${blobDigest}&from=a/b`)],
    ["end-11", 202, () => call("POST", `/v2/a/c/blobs/uploads/?mount=${unknown}&from=a/b`)],
    ["end-12a", 200, () => call("GET", `/v2/a/b/referrers/${digest}`)],
    ["end-12a", 200, () => call("GET", `/v2/a/none/referrers/${unknown}`)],
    ["end-12a", 400, () => call("GET", "/v2/a/b/referrers/sha256:1")],
    ["end-12b", 200, () => call("GET", `/v2/a/b/referrers/${digest}?artifactType=x/y`)],
    ["end-12b", 400, () => call("GET", "/v2/a/b/referrers/v1?artifactType=x/y")],
    ["end-13", 204, async () => call("GET", await upload(5))],
    ["end-13", 404, () => call("GET", "/v2/a/b/blobs/uploads/nosuch")],
    ["end-14", 204, async () => call("DELETE", await upload(5))],
    ["end-14", 404, () => call("DELETE", "/v2/a/b/blobs/uploads/nosuch")],
  ];
  test.each(cases)("%s answers %i", async (_id, status, run) => {
    const response = await run();
    const text = await response.text();
    expect({ status: response.status, text: response.status === status ? "" : text }).toEqual({
      status,
      text: "",
    });
    if (status >= 400 && text !== "") {
      const [error] = (JSON.parse(text) as { errors: { code: string }[] }).errors;
      expect(Object.keys(errorCodes)).toContain(error!.code);
    }
  });
});

describe("error codes", () => {
  const u = { authorization: `Basic ${btoa("u:p")}` };
  const put = (body: string | Buffer, headers: Record<string, string> = isManifest) =>
    call("PUT", "/v2/a/b/manifests/e", { body, headers });
  const cases: [keyof typeof errorCodes, () => Promise<Response>][] = [
    ["BLOB_UNKNOWN", () => call("GET", `/v2/a/b/blobs/${unknown}`)],
    [
      "BLOB_UPLOAD_INVALID",
      async () => call("PATCH", await upload(), { body: "x", headers: { "content-range": "?" } }),
    ],
    ["BLOB_UPLOAD_UNKNOWN", () => call("GET", "/v2/a/b/blobs/uploads/nosuch")],
    ["DIGEST_INVALID", async () => call("PUT", `${await upload(10)}?digest=${unknown}`)],
    ["MANIFEST_BLOB_UNKNOWN", () => put(manifest.toString().replaceAll(blobDigest, unknown))],
    ["MANIFEST_INVALID", () => put("{}")],
    ["MANIFEST_INVALID", () => put(manifest, { "content-type": mediaTypes.ociIndex })],
    ["MANIFEST_UNKNOWN", () => call("GET", "/v2/a/b/manifests/nosuch")],
    ["NAME_INVALID", () => call("GET", "/v2/A/manifests/v1")],
    ["NAME_UNKNOWN", () => call("GET", "/v2/a/none/tags/list")],
    [
      "SIZE_INVALID",
      async () => call("PATCH", await upload(), { body: "xyz", headers: { "content-range": "0-5" } }),
    ],
    ["UNAUTHORIZED", () => send(locked, "GET", "/v2/a/b/tags/list")],
    ["DENIED", () => send(locked, "POST", "/v2/a/b/blobs/uploads/", { headers: u })],
    ["UNSUPPORTED", () => send(readOnly, "POST", "/v2/a/b/blobs/uploads/")],
    [
      "TOOMANYREQUESTS",
      async () => {
        for (let i = 0; i < 2; i++) await (await send(tired, "GET", "/v2/")).text();
        return await send(tired, "GET", "/v2/");
      },
    ],
  ];
  test.each(cases)("%s", async (code, run) => {
    const response = await run();
    expect(header(response, "content-type")).toStartWith("application/json");
    expect(await codeOf(response)).toBe(code);
  });
});

describe("headers", () => {
  test("pulls tell digest, size and type, and neither is read again when it is known", async () => {
    for (const [path, known, type, size] of [
      ["/v2/a/b/manifests/v1", digest, mediaTypes.ociManifest, manifest.length],
      [`/v2/a/b/blobs/${blobDigest}`, blobDigest, "application/octet-stream", blob.length],
    ] as const) {
      for (const method of ["GET", "HEAD"]) {
        const response = await call(method, path);
        expect((await response.arrayBuffer()).byteLength).toBe(method === "GET" ? size : 0);
        expect([
          header(response, "docker-content-digest"),
          header(response, "content-type"),
          header(response, "content-length"),
          header(response, "etag"),
        ]).toEqual([known, type, String(size), `"${known}"`]);
      }
      const again = await call("GET", path, { headers: { "if-none-match": `"${known}"` } });
      expect([again.status, (await again.arrayBuffer()).byteLength]).toEqual([304, 0]);
    }
  });

  test("parameters of the type are taken off", async () => {
    const headers = { "content-type": `${mediaTypes.ociManifest}; charset=utf-8` };
    await call("PUT", "/v2/a/b/manifests/typed", { body: manifest, headers });
    expect(header(await call("HEAD", "/v2/a/b/manifests/typed"), "content-type")).toBe(
      mediaTypes.ociManifest,
    );
  });

  test("pushes tell where things are", async () => {
    const location = await upload(10);
    expect(location).toMatch(/^\/v2\/a\/b\/blobs\/uploads\/[0-9a-f-]{36}$/);
    const status = await call("GET", location);
    expect([header(status, "range"), header(status, "location")]).toEqual(["0-9", location]);
    const done = await call("PUT", `${location}?digest=${blobDigest}`, { body: blob.subarray(10) });
    expect(header(done, "location")).toBe(`/v2/a/b/blobs/${blobDigest}`);
    const mounted = await call("POST", `/v2/a/d/blobs/uploads/?mount=${blobDigest}&from=a/b`);
    expect(header(mounted, "location")).toBe(`/v2/a/d/blobs/${blobDigest}`);
    const put = await call("PUT", `/v2/a/b/manifests/${digest}?tag=p&tag=q`, { body: manifest });
    expect([header(put, "location"), header(put, "oci-tag")]).toEqual([
      `/v2/a/b/manifests/${digest}`,
      "p, q",
    ]);
    expect(digestOf(Buffer.from(await (await call("GET", "/v2/a/b/manifests/q")).arrayBuffer()))).toBe(
      digest,
    );
  });

  test("a manifest by sha512 is what it says", async () => {
    const reference = `sha512:${new Bun.CryptoHasher("sha512").update(manifest).digest("hex")}`;
    const put = await call("PUT", `/v2/a/b/manifests/${reference}`, { body: manifest, headers: isManifest });
    expect([put.status, header(put, "docker-content-digest")]).toEqual([201, reference]);
    expect(header(await call("GET", `/v2/a/b/manifests/${reference}`), "docker-content-digest")).toBe(
      reference,
    );
  });

  test("a limit tells itself and when to come again; a warning is on every answer", async () => {
    let response: Response;
    do response = await send(tired, "GET", "/v2/");
    while (response.status === 200);
    expect([
      response.status,
      header(response, "ratelimit-limit"),
      header(response, "ratelimit-remaining"),
    ]).toEqual([429, "2;w=3600", "0;w=3600"]);
    expect(header(response, "docker-ratelimit-source")).toBe("127.0.0.1");
    expect(Number(header(response, "retry-after"))).toBeWithin(3500, 3601);
    expect(header(response, "warning")).toBe('299 - "this registry is tired"');
  });
});

describe("referrers", () => {
  const descriptor = () => ({ mediaType: mediaTypes.ociManifest, digest, size: manifest.length });
  async function all(query: string): Promise<{ digests: string[]; pages: number }> {
    const digests: string[] = [];
    let pages = 0;
    for (let path: string | undefined = `/v2/a/b/referrers/${digest}${query}`; path; pages++) {
      const response: Response = await call("GET", path);
      const body = (await response.json()) as { manifests: { digest: string }[] };
      digests.push(...body.manifests.map((item) => item.digest));
      path = /^<(.+)>; rel="next"$/.exec(header(response, "link") ?? "")?.[1];
    }
    return { digests, pages };
  }

  test("come in pages, filtered ones too, and those of the fallback tag as well", async () => {
    const repository = createRegistryClient({}).repository({ domain: open.address, path: "a/b" });
    const pushed: string[] = [];
    for (let i = 0; i < 5; i++) {
      const bytes = await pushImage(repository, `r${i}`, pattern(10, i), {
        subject: descriptor(),
        artifactType: i < 3 ? "x/sbom" : "x/sig",
      });
      pushed.push(digestOf(bytes));
    }
    pushed.sort();
    expect(await all("?n=2")).toEqual({ digests: pushed, pages: 3 });
    expect(await all("")).toEqual({ digests: pushed, pages: 1 });
    expect((await all("?n=2&artifactType=x/sbom")).digests).toHaveLength(3);
    expect((await all("?n=2&artifactType=x/sbom")).pages).toBe(2);
    // A client that knows no subject lists what refers under a tag.
    const old = await pushImage(repository, "old", pattern(10, 77));
    const listed = { mediaType: mediaTypes.ociManifest, digest: digestOf(old), size: old.length };
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [listed] };
    const fallback = await call("PUT", `/v2/a/b/manifests/${digest.replace(":", "-")}`, {
      body: JSON.stringify(index),
      headers: { "content-type": mediaTypes.ociIndex },
    });
    expect(fallback.status).toBe(201);
    expect((await all("?n=4")).digests).toEqual([...pushed, digestOf(old)].sort());
  });

  test("a page is no larger than an index may be", async () => {
    const repository = createRegistryClient({}).repository({ domain: open.address, path: "a/b" });
    const subject = { ...descriptor(), digest: digestOf("many") };
    for (let i = 0; i < 3; i++) {
      const annotations = { text: "x".repeat(2_000_000), i: String(i) };
      await pushImage(repository, `big${i}`, pattern(10, i), { subject, annotations });
    }
    const response = await call("GET", `/v2/a/b/referrers/${subject.digest}`);
    expect(header(response, "link")).not.toBeNull();
    expect((await response.arrayBuffer()).byteLength).toBeLessThan(4_194_304);
  });
});
