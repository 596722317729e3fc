/** The client against small servers that do what real ones do rarely: challenges, redirects, failures. */

import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { digestOf } from "../../lib/digest.ts";
import { Forbidden, Internal, NotFound, Unauthorized, Unavailable } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { takeProxies } from "../../lib/outgoing.ts";
import { collect, layerOf, pattern, streamOf, tempDir } from "../fixture.ts";
import type { Credentials } from "../types.ts";
import { createRegistryClient } from "./client.ts";

type TLSOptions = NonNullable<Bun.Serve.Options<undefined>["tls"]>;

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
function fake(handler: Handler, tls?: TLSOptions) {
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

  test("nor to the same host over another scheme, nor back from elsewhere", async () => {
    await using dir = await tempDir();
    let again = "";
    await using plain = fake(() => Response.redirect(again, 307));
    await using registry = fake(
      (seen) => (seen.path === "/back" ? new Response(blob) : Response.redirect(`${plain.url}/x`, 307)),
      await makeCertificate(dir.path),
    );
    again = `${registry.url}/back`;
    const repo = repository(registry.host, { registryToken: "t" });
    await collect(await repo.blob(layerOf(blob)));
    expect(plain.seen.map((seen) => seen.headers.get("authorization"))).toEqual([null]);
    expect(registry.seen.map((seen) => [seen.path, seen.headers.get("authorization")])).toEqual([
      [`/v2/a/b/blobs/${digestOf(blob)}`, "Bearer t"],
      ["/back", null],
    ]);
  });

  test("Retry-After is waited for", async () => {
    const headers = { "retry-after": "1" };
    await using registry = fake((_, count) =>
      count === 1 ? new Response("", { status: 429, headers }) : ok(),
    );
    const from = performance.now();
    await repository(registry.host).manifest("v1");
    expect(performance.now() - from).toBeGreaterThan(700);
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

describe("referrers", () => {
  const subject = digestOf("subject");
  const entry = (text: string) => ({
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(text),
    size: text.length,
  });
  const index = (manifests: object[]) => ({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
  const answer = (manifests: object[], headers: Record<string, string> = {}) =>
    Response.json(index(manifests), { headers: { "content-type": mediaTypes.ociIndex, ...headers } });
  const fallback = `/v2/a/b/manifests/${subject.replace(":", "-")}`;

  test("are read page by page", async () => {
    await using server = fake(({ path, query }) =>
      query.has("last")
        ? answer([entry("two")])
        : answer([entry("one")], { link: `<${path}?last=1>; rel="next"` }),
    );
    const found = await repository(server.host).referrers(subject);
    expect(found.map(({ digest }) => digest)).toEqual([digestOf("one"), digestOf("two")]);
    expect(server.seen.map(({ path }) => path)).toEqual(Array(2).fill(`/v2/a/b/referrers/${subject}`));
  });

  test.each([
    ["knows no such path", () => new Response("404 page not found", { status: 404 })],
    ["has a page for everything", () => new Response("<html>")],
    [
      "takes it for something else",
      () => Response.json({ errors: [{ code: "UNSUPPORTED" }] }, { status: 405 }),
    ],
  ])("are under the subject's tag where the registry %s", async (_, refuse) => {
    await using server = fake(({ path }) => (path === fallback ? answer([entry("one")]) : refuse()));
    expect((await repository(server.host).referrers(subject)).map(({ digest }) => digest)).toEqual([
      digestOf("one"),
    ]);
    await using none = fake(({ path }) =>
      path === fallback ? new Response(null, { status: 404 }) : refuse(),
    );
    expect(await repository(none.host).referrers(subject)).toEqual([]);
  });

  test("what is no list, and a registry that is out of order, are said", async () => {
    await using wrong = fake(() => Response.json([], { headers: { "content-type": mediaTypes.ociIndex } }));
    await expect(repository(wrong.host).referrers(subject)).rejects.toThrow("invalid image index");
    await using broken = fake(() => new Response(null, { status: 503 }));
    await expect(repository(broken.host).referrers(subject)).rejects.toThrow(Unavailable);
    // Asked once: they are not worth waiting for.
    expect(broken.seen.length).toBe(1);
  });

  test("that are pushed are listed by the registry, or else by us, beside those that are there", async () => {
    const referrer = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: { ...entry("{}"), mediaType: "application/vnd.example.kind" },
        layers: [],
        subject: entry("subject"),
        annotations: { by: "us" },
      }),
    );
    const digest = digestOf(referrer);
    const push = (host: string) => repository(host).pushManifest(digest, referrer, mediaTypes.ociManifest);
    await using modern = fake(() => new Response(null, { status: 201, headers: { "oci-subject": subject } }));
    await push(modern.host);
    expect(modern.seen.map(({ method }) => method)).toEqual(["PUT"]);
    let listed: object[] = [entry("other")];
    await using old = fake(({ method, path, body }) => {
      if (path !== fallback) return new Response(null, { status: 201 });
      if (method === "GET") return answer(listed);
      listed = (JSON.parse(body.toString()) as { manifests: object[] }).manifests;
      return new Response(null, { status: 201 });
    });
    await push(old.host);
    await push(old.host);
    const known = { mediaType: mediaTypes.ociManifest, digest, size: referrer.length };
    expect(listed).toEqual([
      entry("other"),
      { ...known, artifactType: "application/vnd.example.kind", annotations: { by: "us" } },
    ]);
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

/** One for 127.0.0.1, which is its own authority; also a client's. */
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

describe("TLS", () => {
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

  test("a client's certificate from certs.d", async () => {
    await using dir = await tempDir();
    const server = await makeCertificate(dir.path);
    const client = await makeCertificate(dir.path);
    await using registry = fake(ok, {
      ...server,
      ca: client.cert,
      requestCert: true,
      rejectUnauthorized: true,
    });
    const certDirs = [join(dir.path, "certs.d")];
    const manifestOf = () =>
      createRegistryClient({ certDirs }).repository({ domain: registry.host, path: "a/b" }).manifest("v1");
    await expect(manifestOf()).rejects.toBeInstanceOf(Unavailable);
    const place = join(certDirs[0]!, registry.host);
    await mkdir(place, { recursive: true });
    await writeFile(join(place, "ca.crt"), server.cert);
    await writeFile(join(place, "client.cert"), client.cert);
    await writeFile(join(place, "client.key"), client.key);
    await manifestOf();
  });

  test("a host that is not insecure must have a certificate that is trusted", async () => {
    await using dir = await tempDir();
    await using registry = fake(ok, await makeCertificate(dir.path));
    // The mirror is named by an address that no rule makes insecure.
    const port = new URL(registry.url).port;
    const options = { mirrors: [`https://[::ffff:127.0.0.1]:${port}`], certDirs: [] };
    const hub = createRegistryClient(options).repository({ domain: "registry.invalid", path: "a/b" });
    await expect(hub.manifest("v1")).rejects.toBeInstanceOf(Unavailable);
    expect(registry.seen).toEqual([]);
  });
});

test("a mirror behind a path", async () => {
  await using mirror = fake(ok);
  const client = createRegistryClient({ mirrors: [`${mirror.url}/proxy/hub/`] });
  const hub = client.repository({ domain: "docker.io", path: "library/x" });
  await hub.manifest("v1");
  expect(mirror.seen[0]!.path).toBe("/proxy/hub/v2/library/x/manifests/v1");
});

test("a token that ends in the middle of a push is renewed, and the push goes on", async () => {
  let valid = 0;
  await using auth = fake(() => Response.json({ token: `t${++valid}`, expires_in: 300 }));
  let refused = 0;
  await using registry = fake((seen) => {
    // With the body of the upload on its way the first token is no longer good.
    if (seen.method === "PUT" && valid === 1) valid = 1.5;
    if (seen.headers.get("authorization") !== `Bearer t${valid}`) {
      refused++;
      if (valid === 1.5) valid = 1;
      const challenge = `Bearer realm="${auth.url}/token",service="reg"`;
      return new Response(null, { status: 401, headers: { "www-authenticate": challenge } });
    }
    if (seen.method === "HEAD") return new Response(null, { status: 404 });
    if (seen.method === "POST")
      return new Response(null, { status: 202, headers: { location: "/v2/a/b/blobs/uploads/1" } });
    return new Response(null, { status: seen.body.equals(blob) ? 201 : 400 });
  });
  expect(await repository(registry.host).pushBlob(layerOf(blob), streamOf(blob))).toBe("pushed");
  expect([auth.seen.length, refused]).toEqual([2, 2]);
});

test("requests go through the proxy of the environment, in the clear and by CONNECT", async () => {
  await using dir = await tempDir();
  await using plain = fake(ok);
  await using secure = fake(ok, await makeCertificate(dir.path));
  const asked: string[] = [];
  // What it is asked for it answers itself, whatever the host is called.
  const proxy = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (head) => {
      const [method, target] = head.toString("latin1").split(" ");
      asked.push(`${method} ${target}`);
      const to = Bun.connect({
        hostname: "127.0.0.1",
        port: Number(new URL(method === "CONNECT" ? secure.url : plain.url).port),
        socket: {
          open(upstream) {
            if (method === "CONNECT") socket.write("HTTP/1.1 200 OK\r\n\r\n");
            else upstream.write(head.toString("latin1").replace(/http:\/\/[^/]+/, ""));
            socket.on("data", (bytes) => upstream.write(bytes));
          },
          data: (_, bytes) => void socket.write(bytes),
          close: () => void socket.end(),
        },
      });
      to.catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as { port: number };
  const address = `http://127.0.0.1:${port}`;
  takeProxies({ http: address, https: address }, {});
  try {
    const client = createRegistryClient({ insecure: ["reg.invalid:5000", "tls.invalid:5000"] });
    const hub = createRegistryClient({ mirrors: ["http://reg.invalid:5000"] });
    await hub.repository({ domain: "docker.io", path: "a/b" }).manifest("v1");
    await client.repository({ domain: "tls.invalid:5000", path: "a/b" }).manifest("v1");
    await repository(plain.host).manifest("direct");
  } finally {
    takeProxies({}, {});
    proxy.close();
  }
  expect(asked).toEqual(["GET http://reg.invalid:5000/v2/a/b/manifests/v1", "CONNECT tls.invalid:5000"]);
  expect(plain.seen.map(({ path }) => path)).toEqual(["/v2/a/b/manifests/v1", "/v2/a/b/manifests/direct"]);
});
