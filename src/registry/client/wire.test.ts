/** The client against small servers that do what real ones do rarely: challenges, redirects, failures. */
import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../../lib/digest.ts";
import { Forbidden, Internal, NotFound, Unauthorized, Unavailable } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { collect, layerOf, pattern, streamOf, tempDir } from "../fixture.ts";
import type { Credentials } from "../types.ts";
import { createRegistryClient } from "./client.ts";

const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest }));
const ok = () => new Response(manifest, { headers: { "content-type": mediaTypes.ociManifest } });
const blob = pattern(200_000);

interface Seen {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Headers;
  body: Buffer;
}
type Handler = (seen: Seen, count: number) => Response | Promise<Response>;

/** A server that remembers what it was asked. */
function fake(handler: Handler, tls?: { cert: string; key: string }) {
  const seen: Seen[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls,
    async fetch(request) {
      const url = new URL(request.url);
      const entry = {
        method: request.method,
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: Buffer.from(await request.arrayBuffer()),
      };
      seen.push(entry);
      return await handler(entry, seen.length);
    },
  });
  return {
    seen,
    host: `127.0.0.1:${server.port}`,
    url: `${tls ? "https" : "http"}://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

const repository = (host: string, auth?: Credentials) =>
  createRegistryClient({}).repository({ domain: host, path: "a/b" }, auth);

describe("authentication", () => {
  /** A registry that wants a token of `auth`, and a token server that gives it to those it knows. */
  function tokenPair(grant: (seen: Seen) => object | undefined) {
    const auth = fake((seen) => {
      const body = grant(seen);
      return body
        ? Response.json(body)
        : Response.json({ details: "incorrect username or password" }, { status: 401 });
    });
    const registry = fake((seen) => {
      if (seen.headers.get("authorization") === "Bearer good")
        return seen.path === "/v2/" ? Response.json({}) : ok();
      const scope = seen.path === "/v2/" ? "" : ',scope="repository:a/b:pull"';
      const error = seen.headers.has("authorization") ? ',error="insufficient_scope"' : "";
      const challenge = `Bearer realm="${auth.url}/token",service="reg"${scope}${error}`;
      return new Response(null, { status: 401, headers: { "www-authenticate": challenge } });
    });
    return {
      auth,
      registry,
      async [Symbol.asyncDispose]() {
        await auth[Symbol.asyncDispose]();
        await registry[Symbol.asyncDispose]();
      },
    };
  }

  test("an anonymous token is asked for once", async () => {
    await using pair = tokenPair(() => ({ token: "good", expires_in: 300 }));
    const repo = repository(pair.registry.host);
    await repo.manifest("v1");
    await repo.manifest("v1");
    expect(pair.auth.seen).toHaveLength(1);
    const { query, headers } = pair.auth.seen[0]!;
    expect([query.get("service"), query.getAll("scope")]).toEqual(["reg", ["repository:a/b:pull"]]);
    expect(headers.get("authorization")).toBeNull();
    expect(pair.registry.seen).toHaveLength(3);
  });

  test("name and password go to the token server only", async () => {
    await using pair = tokenPair((seen) =>
      seen.headers.get("authorization") === `Basic ${btoa("me:secret")}`
        ? { access_token: "good" }
        : undefined,
    );
    await repository(pair.registry.host, { username: "me", password: "secret" }).manifest("v1");
    expect(pair.auth.seen[0]!.query.get("account")).toBe("me");
    expect(pair.registry.seen.map((seen) => seen.headers.get("authorization"))).toEqual([
      null,
      "Bearer good",
    ]);
    const wrong = repository(pair.registry.host, { username: "me", password: "wrong" }).manifest("v1");
    await expect(wrong).rejects.toThrow(new Unauthorized("unauthorized: incorrect username or password"));
  });

  test("an identity token is exchanged", async () => {
    await using pair = tokenPair((seen) => {
      const form = new URLSearchParams(seen.body.toString());
      return form.get("grant_type") === "refresh_token" && form.get("refresh_token") === "refresh"
        ? { access_token: "good" }
        : undefined;
    });
    await repository(pair.registry.host, { identityToken: "refresh" }).manifest("v1");
    expect(pair.auth.seen[0]!.method).toBe("POST");
  });

  test("a registry token is used as it is", async () => {
    await using pair = tokenPair(() => undefined);
    await repository(pair.registry.host, { registryToken: "good" }).manifest("v1");
    expect(pair.auth.seen).toHaveLength(0);
  });

  test("a token that is not enough is Docker's pull access denied", async () => {
    await using pair = tokenPair(() => ({ token: "poor" }));
    await expect(repository(pair.registry.host).manifest("v1")).rejects.toThrow(
      new NotFound(
        `pull access denied for ${pair.registry.host}/a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
      ),
    );
  });

  test("a push that is not allowed is Forbidden", async () => {
    await using pair = tokenPair(() => ({ token: "poor" }));
    await expect(
      repository(pair.registry.host).pushManifest("v1", manifest, mediaTypes.ociManifest),
    ).rejects.toThrow(new Forbidden("denied: requested access to the resource is denied"));
  });

  test("login gives the identity token", async () => {
    await using pair = tokenPair((seen) =>
      seen.headers.get("authorization") === `Basic ${btoa("me:secret")}`
        ? { token: "good", refresh_token: seen.query.get("offline_token") === "true" ? "keep" : undefined }
        : undefined,
    );
    const client = createRegistryClient({});
    expect(await client.login(pair.registry.host, { username: "me", password: "secret" })).toEqual({
      status: "Login Succeeded",
      identityToken: "keep",
    });
    await expect(client.login(pair.registry.host, { username: "me", password: "x" })).rejects.toBeInstanceOf(
      Unauthorized,
    );
  });

  test("basic", async () => {
    await using registry = fake((seen) =>
      seen.headers.get("authorization") === `Basic ${btoa("me:secret")}`
        ? ok()
        : new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } }),
    );
    const client = createRegistryClient({});
    await repository(registry.host, { username: "me", password: "secret" }).manifest("v1");
    expect((await client.login(registry.host, { username: "me", password: "secret" })).status).toBe(
      "Login Succeeded",
    );
    await expect(client.login(registry.host, { username: "me", password: "x" })).rejects.toThrow(
      new Unauthorized(`login attempt to ${registry.url}/v2/ failed with status: 401 Unauthorized`),
    );
    await expect(repository(registry.host).manifest("v1")).rejects.toThrow("no basic auth credentials");
  });
});

describe("redirects and retries", () => {
  test("the Authorization does not go to another host", async () => {
    await using bucket = fake(() => new Response(blob));
    await using registry = fake((seen) =>
      seen.headers.get("authorization") === "Bearer t"
        ? Response.redirect(`${bucket.url}/elsewhere`, 307)
        : new Response(null, { status: 401 }),
    );
    const repo = repository(registry.host, { registryToken: "t" });
    expect((await collect(await repo.blob(layerOf(blob)))).equals(blob)).toBe(true);
    expect(bucket.seen[0]!.headers.get("authorization")).toBeNull();
  });

  test("the Authorization stays on the same host", async () => {
    await using registry = fake((seen) =>
      seen.path === "/there"
        ? new Response(blob)
        : new Response(null, { status: 302, headers: { location: "/there" } }),
    );
    await collect(await repository(registry.host, { registryToken: "t" }).blob(layerOf(blob)));
    expect(registry.seen.map((seen) => seen.headers.get("authorization"))).toEqual(["Bearer t", "Bearer t"]);
  });

  test("redirects in a circle end", async () => {
    await using registry = fake((seen) => Response.redirect(`${seen.path}?again`, 302));
    await expect(repository(registry.host).manifest("v1")).rejects.toThrow("stopped after 10 redirects");
  });

  test.each([429, 503])("%p is tried again", async (status) => {
    await using registry = fake((_, count) => (count < 3 ? new Response("later", { status }) : ok()));
    await repository(registry.host).manifest("v1");
    expect(registry.seen).toHaveLength(3);
  });

  test("what does not get better is said", async () => {
    await using registry = fake(() => new Response("broken", { status: 502 }));
    await expect(repository(registry.host).manifest("v1")).rejects.toThrow(
      new Unavailable("received unexpected HTTP status: 502 Bad Gateway"),
    );
    expect(registry.seen).toHaveLength(4);
  });
});

describe("what a registry must not do", () => {
  test("give another manifest than the digest asked for", async () => {
    await using registry = fake(ok);
    const digest = digestOf("another");
    await expect(repository(registry.host).manifest(digest)).rejects.toThrow(
      new Internal(`manifest verification failed for digest ${digest}`),
    );
  });

  test("name another type than the manifest does", async () => {
    await using registry = fake(
      () => new Response(manifest, { headers: { "content-type": mediaTypes.ociIndex } }),
    );
    await expect(repository(registry.host).manifest("v1")).rejects.toBeInstanceOf(Internal);
  });

  test("send a manifest without end", async () => {
    await using registry = fake(() => new Response(Buffer.alloc(5 * 1024 * 1024)));
    await expect(repository(registry.host).manifest("v1")).rejects.toThrow("larger than");
  });

  test("send a blob that is too long, too short or from elsewhere", async () => {
    await using long = fake(() => new Response(Buffer.concat([blob, blob])));
    await expect(repository(long.host).blob(layerOf(blob)).then(collect)).rejects.toThrow("longer than");
    await using short = fake(() => new Response(blob.subarray(1)));
    await expect(repository(short.host).blob(layerOf(blob)).then(collect)).rejects.toThrow("unexpected EOF");
    const headers = { "content-range": "bytes 20-29/200000" };
    await using other = fake(() => new Response(blob.subarray(20, 30), { status: 206, headers }));
    await expect(repository(other.host).blob(layerOf(blob), 10)).rejects.toThrow("other ones");
  });

  test("a server that ignores Range is read from the offset on", async () => {
    await using registry = fake(() => new Response(blob));
    const rest = await collect(await repository(registry.host).blob(layerOf(blob), 150_000));
    expect(rest.equals(blob.subarray(150_000))).toBe(true);
  });
});

describe("uploads", () => {
  /** Takes uploads as the spec says; `interfere` may answer first. */
  function uploadServer(interfere: (seen: Seen, received: Buffer) => Response | undefined) {
    let received: Buffer = Buffer.alloc(0);
    const server = fake((seen) => {
      const special = interfere(seen, received);
      if (special) return special;
      const headers = {
        location: "/v2/a/b/blobs/uploads/1?state=x",
        range: `0-${Math.max(received.length - 1, 0)}`,
      };
      switch (seen.method) {
        case "HEAD":
          return new Response(null, { status: 404 });
        case "POST":
          received = Buffer.alloc(0);
          return new Response(null, { status: 202, headers });
        case "GET":
          return new Response(null, { status: 204, headers });
        case "PATCH": {
          received = Buffer.concat([received, seen.body]);
          return new Response(null, { status: 202, headers });
        }
        default: {
          received = Buffer.concat([received, seen.body]);
          const right = seen.query.get("digest") === digestOf(received) && seen.query.get("state") === "x";
          return new Response(null, { status: right ? 201 : 400 });
        }
      }
    });
    return { ...server, take: (bytes: Buffer) => (received = bytes) };
  }

  test("in one request, with its length", async () => {
    await using server = uploadServer(() => undefined);
    await repository(server.host).pushBlob(layerOf(blob), streamOf(blob));
    expect(server.seen.map((seen) => seen.method)).toEqual(["HEAD", "POST", "PUT"]);
    expect(server.seen[2]!.headers.get("content-length")).toBe("200000");
  });

  test("goes on where a broken one stopped", async () => {
    let broken = false;
    await using server = uploadServer((seen) => {
      if (seen.method !== "PUT" || broken) return undefined;
      broken = true;
      server.take(seen.body.subarray(0, 77_777));
      return new Response(null, { status: 502 });
    });
    await repository(server.host).pushBlob(layerOf(blob), streamOf(blob));
    const methods = server.seen.map((seen) => seen.method);
    expect(methods).toEqual(["HEAD", "POST", "PUT", "GET", "PATCH", "PUT"]);
    expect(server.seen[4]!.headers.get("content-range")).toBe("77777-199999");
  });

  test("in chunks where one piece is too large", async () => {
    await using server = uploadServer((seen) =>
      seen.method === "PUT" && seen.body.length > 100 ? new Response(null, { status: 413 }) : undefined,
    );
    await repository(server.host).pushBlob(layerOf(blob), streamOf(blob));
    expect(server.seen.map((seen) => seen.method)).toEqual(["HEAD", "POST", "PUT", "POST", "PATCH", "PUT"]);
  });

  test("is given up when it breaks again and again", async () => {
    await using server = uploadServer((seen) =>
      seen.method === "PUT" ? new Response(null, { status: 503 }) : undefined,
    );
    await expect(repository(server.host).pushBlob(layerOf(blob), streamOf(blob))).rejects.toBeInstanceOf(
      Unavailable,
    );
  });
});

describe("TLS", () => {
  async function makeCertificate(dir: string): Promise<{ cert: string; key: string }> {
    const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
    const child = Bun.spawn(
      [
        ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ...["-keyout", key, "-out", cert, "-subj", "/CN=gantry", "-days", "2"],
        ...["-addext", "subjectAltName=IP:127.0.0.1"],
      ],
      { stdout: "ignore", stderr: "ignore" },
    );
    expect(await child.exited).toBe(0);
    return { cert: await Bun.file(cert).text(), key: await Bun.file(key).text() };
  }

  test("an insecure host is spoken to by TLS when it speaks TLS", async () => {
    await using dir = await tempDir();
    await using registry = fake(ok, await makeCertificate(dir.path));
    const repo = repository(registry.host);
    await repo.manifest("v1");
    expect(repo.endpoint).toBe(registry.url);
  });

  test("a mirror with its own authority", async () => {
    await using dir = await tempDir();
    const certificate = await makeCertificate(dir.path);
    await using registry = fake(ok, certificate);
    await mkdir(join(dir.path, "certs.d", registry.host), { recursive: true });
    await writeFile(join(dir.path, "certs.d", registry.host, "ca.crt"), certificate.cert);
    const options = { mirrors: [registry.url], certDirs: [join(dir.path, "certs.d")] };
    const hub = createRegistryClient(options).repository({ domain: "docker.io", path: "a/b" });
    await hub.manifest("v1");
    expect(hub.endpoint).toBe(registry.url);
  });
});
