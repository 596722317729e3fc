import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { digestOf } from "../../lib/digest.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { createRegistryClient } from "../client/client.ts";
import { layerOf, ownRegistry, pattern, pushImage, streamOf, tempDir } from "../fixture.ts";
import { serveRegistry } from "./index.ts";

let registry: Awaited<ReturnType<typeof ownRegistry>>;
let base: string;
beforeAll(async () => {
  registry = await ownRegistry();
  base = `http://${registry.address}`;
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
});

const call = (method: string, path: string, init: RequestInit = {}) =>
  fetch(new URL(path, base), { method, redirect: "manual", ...init });
const repository = (path: string) => createRegistryClient({}).repository({ domain: registry.address, path });

async function code(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string }[] };
  return `${response.status} ${body.errors[0]?.code}`;
}

async function begin(name: string): Promise<string> {
  const response = await call("POST", `/v2/${name}/blobs/uploads/`);
  expect(response.status).toBe(202);
  expect(response.headers.get("range")).toBe("0-0");
  return response.headers.get("location")!;
}

async function push(name: string, bytes: Buffer): Promise<void> {
  await repository(name).pushBlob(layerOf(bytes), streamOf(bytes));
}

describe("base", () => {
  test("says what it is", async () => {
    const response = await call("GET", "/v2/");
    expect(response.status).toBe(200);
    expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
  });

  test.each([
    ["POST", "/v2/", "405 UNSUPPORTED"],
    ["GET", "/v2/a", "404 UNSUPPORTED"],
    ["PATCH", "/v2/a/manifests/x", "405 UNSUPPORTED"],
    ["GET", "/v2/Abc/tags/list", "400 NAME_INVALID"],
    ["GET", "/v2/nosuch/tags/list", "404 NAME_UNKNOWN"],
    ["GET", "/v2/nosuch/manifests/latest", "404 MANIFEST_UNKNOWN"],
    ["GET", "/v2/nosuch/manifests/.INVALID", "404 MANIFEST_UNKNOWN"],
    ["GET", "/v2/nosuch/manifests/sha256:12", "400 DIGEST_INVALID"],
    ["GET", `/v2/nosuch/blobs/${digestOf("x")}`, "404 BLOB_UNKNOWN"],
    ["GET", "/v2/nosuch/blobs/sha256:12", "400 DIGEST_INVALID"],
    ["DELETE", `/v2/nosuch/blobs/${digestOf("x")}`, "404 BLOB_UNKNOWN"],
    ["DELETE", "/v2/nosuch/manifests/latest", "404 MANIFEST_UNKNOWN"],
    ["PATCH", "/v2/a/blobs/uploads/nosuch", "404 BLOB_UPLOAD_UNKNOWN"],
    ["POST", "/v2/a/blobs/uploads/?digest=bad", "400 DIGEST_INVALID"],
    ["POST", `/v2/a/blobs/uploads/?mount=${digestOf("x")}&from=A`, "400 NAME_INVALID"],
    ["GET", "/v2/_catalog?n=-1", "400 UNSUPPORTED"],
    ["GET", "/v2/a/referrers/bad", "400 DIGEST_INVALID"],
    ["PUT", "/v2/a/manifests/bad%20tag", "400 MANIFEST_INVALID"],
  ])("%s %s is %s", async (method, path, expected) => {
    expect(await code(await call(method, path))).toBe(expected);
  });

  test("no request makes an internal error", async () => {
    const digest = digestOf("x");
    const segment = fc.constantFrom(
      ...["v2", "a", "A", "_catalog", "tags", "list", "blobs", "uploads", "manifests", "referrers"],
      ...[
        digest,
        "sha256:0",
        "latest",
        "%2e%2e",
        "%00",
        "%ff",
        "..",
        "",
        "x?mount=a&from=b",
        `x?digest=${digest}`,
      ],
      ...["list?n=zz", "list?n=1&last=%00"],
    );
    const request = fc.record({
      method: fc.constantFrom("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
      path: fc.array(segment, { maxLength: 7 }).map((parts) => `/v2/${parts.join("/")}`),
      headers: fc.dictionary(
        fc.constantFrom("range", "content-range", "if-none-match", "if-range", "content-type"),
        fc.stringMatching(/^[ -~]{0,30}$/),
      ),
      body: fc.string(),
    });
    await fc.assert(
      fc.asyncProperty(request, async ({ method, path, headers, body }) => {
        const hasBody = method !== "GET" && method !== "HEAD";
        const response = await call(method, path, { headers, body: hasBody ? body : undefined });
        await response.arrayBuffer();
        expect(response.status).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });
});

describe("blobs", () => {
  const bytes = pattern(200_000);
  const { digest } = layerOf(bytes);

  test("POST then PUT", async () => {
    const location = await begin("put/one");
    const response = await call("PUT", `${location}?digest=${digest}`, { body: bytes });
    expect(response.status).toBe(201);
    expect(response.headers.get("location")).toBe(`/v2/put/one/blobs/${digest}`);
    expect(response.headers.get("docker-content-digest")).toBe(digest);
    expect(await code(await call("GET", location))).toBe("404 BLOB_UPLOAD_UNKNOWN");
  });

  test("one POST", async () => {
    const response = await call("POST", `/v2/post/one/blobs/uploads/?digest=${digest}`, { body: bytes });
    expect(response.status).toBe(201);
    const head = await call("HEAD", `/v2/post/one/blobs/${digest}`);
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe("200000");
    expect(head.headers.get("docker-content-digest")).toBe(digest);
  });

  test("in chunks, out of order, asked and finished", async () => {
    const location = await begin("chunks");
    const send = (method: string, range: string | undefined, chunk: Buffer, query = "") =>
      call(method, location + query, { body: chunk, headers: range ? { "content-range": range } : {} });
    const first = await send("PATCH", "0-99999", bytes.subarray(0, 100_000));
    expect([first.status, first.headers.get("range")]).toEqual([202, "0-99999"]);
    const wrong = await send("PATCH", "150000-199999", bytes.subarray(150_000));
    expect([wrong.status, wrong.headers.get("range")]).toEqual([416, "0-99999"]);
    expect(await code(await send("PATCH", "100000-100009", bytes.subarray(100_000)))).toBe(
      "400 SIZE_INVALID",
    );
    expect(await code(await send("PATCH", "bytes 1-2/3", bytes))).toBe("400 BLOB_UPLOAD_INVALID");
    const status = await call("GET", location);
    expect([status.status, status.headers.get("range"), status.headers.get("location")]).toEqual([
      204,
      "0-99999",
      location,
    ]);
    const query = `?digest=${digest}`;
    expect((await send("PUT", "5-9", bytes.subarray(5, 10), query)).status).toBe(416);
    expect((await send("PUT", "100000-199999", bytes.subarray(100_000), query)).status).toBe(201);
    const got = await call("GET", `/v2/chunks/blobs/${digest}`);
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
  });

  test("a wrong digest is refused and the upload is over", async () => {
    const location = await begin("wrong");
    const response = await call("PUT", `${location}?digest=${digestOf("other")}`, { body: bytes });
    expect(await code(response)).toBe("400 DIGEST_INVALID");
    expect(await code(await call("GET", location))).toBe("404 BLOB_UPLOAD_UNKNOWN");
    expect(await code(await call("GET", `/v2/wrong/blobs/${digest}`))).toBe("404 BLOB_UNKNOWN");
  });

  test("an upload belongs to its repository, and can be cancelled", async () => {
    const location = await begin("cancel");
    expect(await code(await call("GET", location.replace("cancel", "other")))).toBe(
      "404 BLOB_UPLOAD_UNKNOWN",
    );
    expect((await call("DELETE", location)).status).toBe(204);
    expect(await code(await call("PATCH", location, { body: bytes }))).toBe("404 BLOB_UPLOAD_UNKNOWN");
  });

  test("a connection that breaks leaves what arrived, and the upload goes on", async () => {
    const location = await begin("broken");
    const [host, port] = registry.address.split(":");
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), host!, () => {
        socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n`);
        socket.write(bytes.subarray(0, 50_000), () => setTimeout(() => socket.destroy(), 50));
      });
      socket.on("close", () => resolve());
    });
    // What has been sent comes in its own time.
    while ((await call("GET", location)).headers.get("range") !== "0-49999") await Bun.sleep(10);
    const rest = await call("PUT", `${location}?digest=${digest}`, { body: bytes.subarray(50_000) });
    expect(rest.status).toBe(201);
  });

  test("ranges and conditions", async () => {
    await push("range", bytes);
    const get = (headers: Record<string, string>) => call("GET", `/v2/range/blobs/${digest}`, { headers });
    const part = await get({ range: "bytes=10-19" });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, "bytes 10-19/200000"]);
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(10, 20))).toBe(true);
    const several = await get({ range: "bytes=0-1,5-6" });
    expect([several.status, (await several.arrayBuffer()).byteLength]).toEqual([200, 200_000]);
    const beyond = await get({ range: "bytes=200000-" });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */200000"]);
    const etag = part.headers.get("etag")!;
    expect((await get({ "if-none-match": `"x", W/${etag}` })).status).toBe(304);
    expect((await get({ "if-none-match": '"x"' })).status).toBe(200);
    expect((await get({ range: "bytes=0-1", "if-range": etag })).status).toBe(206);
    const changed = await get({ range: "bytes=0-1", "if-range": '"x"' });
    expect([changed.status, (await changed.arrayBuffer()).byteLength]).toEqual([200, 200_000]);
  });

  test("a mount needs the blob in the other repository", async () => {
    const only = pattern(500, 7);
    await push("mount/from", only);
    const { digest } = layerOf(only);
    const mount = (from: string) => call("POST", `/v2/mount/to/blobs/uploads/?mount=${digest}&from=${from}`);
    expect((await mount("mount/other")).status).toBe(202);
    expect((await call("HEAD", `/v2/mount/to/blobs/${digest}`)).status).toBe(404);
    expect((await mount("mount/from")).status).toBe(201);
    expect((await call("HEAD", `/v2/mount/to/blobs/${digest}`)).status).toBe(200);
  });

  test("bytes go with the last repository that holds them", async () => {
    const only = pattern(600, 8);
    const { digest } = layerOf(only);
    await push("delete/a", only);
    await push("delete/b", only);
    const file = join(registry.root, "blobs", "sha256", digest.slice(7, 9), digest.slice(7));
    expect((await call("DELETE", `/v2/delete/a/blobs/${digest}`)).status).toBe(202);
    expect((await call("GET", `/v2/delete/a/blobs/${digest}`)).status).toBe(404);
    expect(await Bun.file(file).exists()).toBe(true);
    expect((await call("DELETE", `/v2/delete/b/blobs/${digest}`)).status).toBe(202);
    expect(await Bun.file(file).exists()).toBe(false);
  });

  test("twenty uploads of the same blob at once", async () => {
    const same = pattern(300_000, 9);
    const { digest } = layerOf(same);
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const location = await begin(`many/${i % 3}`);
        return (await call("PUT", `${location}?digest=${digest}`, { body: same })).status;
      }),
    );
    expect(new Set(statuses)).toEqual(new Set([201]));
    const got = await call("GET", `/v2/many/2/blobs/${digest}`);
    expect(digestOf(Buffer.from(await got.arrayBuffer()))).toBe(digest);
  });
});

describe("manifests", () => {
  const headers = { "content-type": mediaTypes.ociManifest };

  test("by tag and by digest, GET and HEAD", async () => {
    const bytes = await pushImage(repository("man/one"), "v1");
    const digest = digestOf(bytes);
    for (const reference of ["v1", digest]) {
      const got = await call("GET", `/v2/man/one/manifests/${reference}`);
      expect(got.headers.get("content-type")).toBe(mediaTypes.ociManifest);
      expect(got.headers.get("docker-content-digest")).toBe(digest);
      expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
      const head = await call("HEAD", `/v2/man/one/manifests/${reference}`);
      expect([head.status, head.headers.get("content-length")]).toEqual([200, String(bytes.length)]);
    }
    const unchanged = await call("GET", "/v2/man/one/manifests/v1", {
      headers: { "if-none-match": `"${digest}"` },
    });
    expect(unchanged.status).toBe(304);
  });

  test("what is missing, wrong or too large", async () => {
    const bytes = await pushImage(repository("man/two"), "v1");
    const put = (name: string, reference: string, body: Buffer) =>
      call("PUT", `/v2/${name}/manifests/${reference}`, { body, headers });
    expect(await code(await put("man/none", "v1", bytes))).toBe("404 MANIFEST_BLOB_UNKNOWN");
    expect(await code(await put("man/two", digestOf("x"), bytes))).toBe("400 DIGEST_INVALID");
    expect(await code(await put("man/two", "v1", Buffer.from("{")))).toBe("400 MANIFEST_INVALID");
    expect(await code(await put("man/two", "v1", Buffer.alloc(4 * 1024 * 1024 + 1, " ")))).toBe(
      "413 MANIFEST_INVALID",
    );
  });

  test("deleting a tag leaves the manifest; deleting the manifest takes its tags", async () => {
    const repo = repository("man/delete");
    const bytes = await pushImage(repo, "a");
    await repo.pushManifest("b", bytes, mediaTypes.ociManifest);
    const digest = digestOf(bytes);
    expect((await call("DELETE", "/v2/man/delete/manifests/a")).status).toBe(202);
    expect((await call("GET", "/v2/man/delete/manifests/a")).status).toBe(404);
    expect((await call("GET", `/v2/man/delete/manifests/${digest}`)).status).toBe(200);
    expect((await call("DELETE", `/v2/man/delete/manifests/${digest}`)).status).toBe(202);
    expect((await call("GET", "/v2/man/delete/manifests/b")).status).toBe(404);
  });

  test("tags come in pages", async () => {
    const repo = repository("man/tags");
    const bytes = await pushImage(repo, "b");
    for (const tag of ["a", "d", "c", "B"]) await repo.pushManifest(tag, bytes, mediaTypes.ociManifest);
    let path: string | undefined = "/v2/man/tags/tags/list?n=2";
    const pages: string[][] = [];
    while (path) {
      const response = await call("GET", path);
      pages.push(((await response.json()) as { tags: string[] }).tags);
      path = /^<(.+)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1];
    }
    expect(pages).toEqual([["B", "a"], ["b", "c"], ["d"]]);
    const none = await call("GET", "/v2/man/tags/tags/list?n=0");
    expect([await none.json(), none.headers.get("link")]).toEqual([{ name: "man/tags", tags: [] }, null]);
    const catalog = (await (await call("GET", "/v2/_catalog?last=man/t")).json()) as {
      repositories: string[];
    };
    expect(catalog.repositories[0]).toBe("man/tags");
  });

  test("referrers, with the filter", async () => {
    const repo = repository("man/refs");
    const subjectBytes = await pushImage(repo, "v1");
    const subject = {
      mediaType: mediaTypes.ociManifest,
      digest: digestOf(subjectBytes),
      size: subjectBytes.length,
    };
    const list = async (query = "") => {
      const response = await call("GET", `/v2/man/refs/referrers/${subject.digest}${query}`);
      expect(response.headers.get("content-type")).toBe(mediaTypes.ociIndex);
      const body = (await response.json()) as { manifests: { digest: string; annotations?: object }[] };
      return { manifests: body.manifests, applied: response.headers.get("oci-filters-applied") };
    };
    expect((await list()).manifests).toEqual([]);
    const extra = { subject, artifactType: "a/sbom", annotations: { k: "v" } };
    const sbom = await pushImage(repo, "sbom", pattern(10), extra);
    await pushImage(repo, "sig", pattern(11), { subject, artifactType: "a/sig" });
    expect((await list()).manifests).toHaveLength(2);
    const filtered = await list("?artifactType=a/sbom");
    expect(filtered.applied).toBe("artifactType");
    expect(filtered.manifests).toEqual([
      {
        mediaType: mediaTypes.ociManifest,
        digest: digestOf(sbom),
        size: sbom.length,
        artifactType: "a/sbom",
        annotations: { k: "v" },
      },
    ] as never);
    const put = await call("PUT", "/v2/man/refs/manifests/again", { body: sbom, headers });
    expect(put.headers.get("oci-subject")).toBe(subject.digest);
  });
});

describe("serving", () => {
  test("what was pushed is there after a restart, and unnamed bytes are not", async () => {
    await using dir = await tempDir();
    const bytes = pattern(1000);
    const orphan = digestOf("orphan");
    const orphanPath = join(dir.path, "blobs", "sha256", orphan.slice(7, 9), orphan.slice(7));
    {
      await using server = await serveRegistry({ addr: "127.0.0.1:0", root: dir.path });
      const repo = createRegistryClient({}).repository({ domain: server.address, path: "a" });
      await pushImage(repo, "v1", bytes);
      await Bun.write(orphanPath, "orphan");
    }
    await using server = await serveRegistry({ addr: "127.0.0.1:0", root: dir.path });
    const repo = createRegistryClient({}).repository({ domain: server.address, path: "a" });
    expect(await repo.hasBlob(digestOf(bytes))).toBe(1000);
    expect((await repo.manifest("v1")).descriptor.mediaType).toBe(mediaTypes.ociManifest);
    expect(await Bun.file(orphanPath).exists()).toBe(false);
  });

  test.each(["nonsense", "127.0.0.1", "127.0.0.1:99999"])("the address %s is refused", async (addr) => {
    await using dir = await tempDir();
    await expect(serveRegistry({ addr, root: dir.path })).rejects.toThrow("invalid address");
  });

  test("an address in use is said", async () => {
    await using dir = await tempDir();
    await expect(serveRegistry({ addr: registry.address, root: dir.path })).rejects.toThrow("listen tcp");
  });

  test("a root is served once", async () => {
    const again = serveRegistry({ addr: "127.0.0.1:0", root: registry.root });
    await expect(again).rejects.toThrow("is in use by another registry");
  });

  test("skopeo copies in and out", async () => {
    await using dir = await tempDir();
    await pushImage(repository("skopeo/a"), "v1", Bun.gzipSync(Buffer.alloc(10_240)) as Buffer);
    const skopeo = async (...args: string[]) => {
      const child = Bun.spawn(["skopeo", ...args], { stdout: "pipe", stderr: "pipe" });
      const [out, err, status] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      expect({ status, err: status === 0 ? "" : err }).toEqual({ status: 0, err: "" });
      return out;
    };
    const from = `docker://${registry.address}/skopeo/a:v1`;
    const to = `docker://${registry.address}/skopeo/b:v2`;
    await skopeo("copy", "--src-tls-verify=false", from, `oci:${dir.path}/image:x`);
    await skopeo("copy", "--dest-tls-verify=false", `oci:${dir.path}/image:x`, to);
    const inspected = await skopeo("inspect", "--raw", "--tls-verify=false", to);
    expect(JSON.parse(inspected).layers).toHaveLength(1);
    await skopeo("delete", "--tls-verify=false", to);
    expect((await call("GET", "/v2/skopeo/b/manifests/v2")).status).toBe(404);
  });
});
