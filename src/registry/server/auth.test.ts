/** Who may do what: htpasswd, rules, tokens of ours and of others. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { exportJWK, SignJWT } from "jose";
import { digestOf } from "../../lib/digest.ts";
import { createRegistryClient } from "../client/client.ts";
import { pattern, pushImage, type TempDir, tempDir } from "../fixture.ts";
import type { RegistryServer, RegistrySettings } from "../types.ts";
import { serveRegistry } from "./index.ts";

let dir: TempDir;
let users: string;
beforeAll(async () => {
  dir = await tempDir();
  users = join(dir.path, "users");
  const lines = await Promise.all(
    ["alice", "bob"].map(async (user) => {
      const hash = await Bun.password.hash(`${user}-pw`, { algorithm: "bcrypt", cost: 4 });
      return `${user}:${hash.replace("$2b$", "$2y$")}`;
    }),
  );
  await Bun.write(users, `# people\n${lines.join("\n")}\n`);
});
afterAll(() => dir[Symbol.asyncDispose]());

let roots = 0;
const serve = (settings: RegistrySettings) =>
  serveRegistry({
    addr: "127.0.0.1:0",
    root: join(dir.path, `root${roots++}`),
    htpasswd: users,
    ...settings,
  });
const basic = (user: string, password = `${user}-pw`) => ({
  authorization: `Basic ${btoa(`${user}:${password}`)}`,
});
const repository = (server: RegistryServer, path: string, user?: string) =>
  createRegistryClient({}).repository(
    { domain: server.address, path },
    user === undefined ? {} : { username: user, password: `${user}-pw` },
  );
const get = (server: RegistryServer, path: string, headers: Record<string, string> = {}, method = "GET") =>
  fetch(`http://${server.address}${path}`, { method, headers });

async function code(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string }[] };
  return `${response.status} ${body.errors[0]?.code}`;
}

const access: NonNullable<RegistrySettings["access"]> = [
  { prefix: "team", users: { alice: ["pull", "push"], "*": ["pull"] } },
  { prefix: "team/public/", users: { bob: ["push"] }, anonymous: ["pull"] },
];

describe.each([
  ["htpasswd", false],
  ["tokens", true],
])("access with %s", (_name, token) => {
  test("signing in, being nobody and being wrong", async () => {
    await using server = await serve({ token });
    const nobody = await get(server, "/v2/");
    expect(nobody.headers.get("www-authenticate")).toStartWith(token ? "Bearer realm=" : "Basic realm=");
    expect(await code(nobody)).toBe("401 UNAUTHORIZED");
    const client = createRegistryClient({});
    await client.login(server.address, { username: "alice", password: "alice-pw" });
    await expect(client.login(server.address, { username: "alice", password: "no" })).rejects.toThrow();
    await expect(client.login(server.address, { username: "eve", password: "alice-pw" })).rejects.toThrow();
    await pushImage(repository(server, "a/b", "alice"), "v1");
    expect((await repository(server, "a/b", "bob").manifest("v1")).bytes.length).toBeGreaterThan(0);
    await expect(repository(server, "a/b").manifest("v1")).rejects.toThrow();
    expect(await code(await get(server, "/v2/_catalog"))).toBe("401 UNAUTHORIZED");
    expect((await get(server, "/healthz")).status).toBe(200);
    expect((await get(server, "/metrics")).status).toBe(404);
  });

  test("anyone may pull where it is said, and no more", async () => {
    await using server = await serve({ token, "anonymous-pull": true });
    await pushImage(repository(server, "a/b", "alice"), "v1");
    expect((await repository(server, "a/b").manifest("v1")).bytes.length).toBeGreaterThan(0);
    await expect(pushImage(repository(server, "a/b"), "v2")).rejects.toThrow();
  });

  test("rules by prefix", async () => {
    await using server = await serve({ token, access });
    await pushImage(repository(server, "team/app", "alice"), "v1");
    await repository(server, "team/app", "bob").manifest("v1");
    await expect(pushImage(repository(server, "team/app", "bob"), "v2")).rejects.toThrow();
    await expect(repository(server, "team/app").manifest("v1")).rejects.toThrow();
    await pushImage(repository(server, "team/public/app", "bob"), "v1");
    await repository(server, "team/public/app").manifest("v1");
    await expect(pushImage(repository(server, "team/public/app", "alice"), "v2")).rejects.toThrow();
    // Where no rule is, users may do all.
    await pushImage(repository(server, "teams/app", "bob"), "v1");
  });
});

describe.each([
  ["htpasswd", false],
  ["tokens", true],
])("hostile credentials with %s", (_name, token) => {
  const text = fc.stringMatching(/^[ -~]{0,40}$/);
  const base64 = fc.string().map((string) => Buffer.from(string).toString("base64"));
  const pair = fc.tuple(fc.constantFrom("alice", "eve", ""), fc.constantFrom("", "x", "\0", "ü".repeat(100)));
  const header = fc.oneof(
    text,
    fc
      .tuple(fc.constantFrom("Basic", "basic ", "Bearer"), fc.oneof(text, base64))
      .map((parts) => parts.join(" ")),
    pair.map(([user, password]) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`),
    base64.map((part) => `Bearer ${part}.${part}.${part}`),
  );

  test("are refused, and make no error", async () => {
    await using server = await serve({ token });
    const path = fc.constantFrom(
      "/v2/",
      "/v2/a/manifests/x",
      "/v2/_catalog",
      ...["", "&scope=repository:a:pull", "&scope=::", "&scope=repository:%00:*"].map(
        (scope) => `/token?service=gantry-registry${scope}`,
      ),
    );
    await fc.assert(
      fc.asyncProperty(path, header, async (path, authorization) => {
        const response = await get(server, path, { authorization });
        const isNobodysToken = path.startsWith("/token") && response.status === 200;
        expect([401, 404].includes(response.status) || isNobodysToken).toBe(true);
        await response.arrayBuffer();
      }),
      { numRuns: 150 },
    );
  });
});

test("what a user may not pull can't be mounted", async () => {
  const secret = pattern(2000, 5);
  await using server = await serve({
    access: [{ prefix: "private", users: { alice: ["pull", "push"] } }],
  });
  await pushImage(repository(server, "private/app", "alice"), "v1", secret);
  const mount = `/v2/open/app/blobs/uploads/?mount=${digestOf(secret)}&from=private/app`;
  expect((await get(server, mount, basic("bob"), "POST")).status).toBe(202);
  expect((await get(server, mount, basic("alice"), "POST")).status).toBe(201);
  expect(await code(await get(server, "/v2/private/app/tags/list", basic("bob")))).toBe("403 DENIED");
  const names = async (user: string) =>
    ((await (await get(server, "/v2/_catalog", basic(user))).json()) as { repositories: string[] })
      .repositories;
  expect(await names("alice")).toEqual(["private/app"]);
  expect(await names("bob")).toEqual([]);
});

test("a changed file of users counts", async () => {
  const path = join(dir.path, "changing");
  await Bun.write(path, await Bun.file(users).text());
  await using server = await serve({ htpasswd: path });
  expect((await get(server, "/v2/", basic("bob"))).status).toBe(200);
  await Bun.write(path, (await Bun.file(users).text()).replace(/^bob:.*$/m, ""));
  await Bun.sleep(1100);
  expect((await get(server, "/v2/", basic("bob"))).status).toBe(401);
  expect((await get(server, "/v2/", basic("alice"))).status).toBe(200);
});

describe("tokens of ours", () => {
  const tokenOf = async (response: Response) => ((await response.json()) as { token: string }).token;
  const scope = "repository:a/b:pull,push";

  test("are good for what they say, and for nothing else", async () => {
    await using server = await serve({ token: true });
    const challenge = await get(server, "/v2/a/b/manifests/x");
    expect(challenge.headers.get("www-authenticate")).toBe(
      `Bearer realm="http://${server.address}/token",service="gantry-registry",scope="repository:a/b:pull"`,
    );
    const path = `/token?service=gantry-registry&scope=${scope}`;
    const token = await tokenOf(await get(server, path, basic("alice")));
    const bearer = { authorization: `Bearer ${token}` };
    expect((await get(server, "/v2/", bearer)).status).toBe(200);
    expect(await code(await get(server, "/v2/a/b/manifests/x", bearer))).toBe("404 MANIFEST_UNKNOWN");
    expect(await code(await get(server, "/v2/a/c/manifests/x", bearer))).toBe("401 UNAUTHORIZED");
    expect(await code(await get(server, "/v2/a/b/manifests/x", bearer, "DELETE"))).toBe("401 UNAUTHORIZED");
    const forged = { authorization: `Bearer ${token.slice(0, -4)}AAAA` };
    expect(await code(await get(server, "/v2/", forged))).toBe("401 UNAUTHORIZED");
    expect(await code(await get(server, path, basic("alice", "no")))).toBe("401 UNAUTHORIZED");
    expect((await get(server, "/token?service=other", basic("alice"))).status).toBe(400);
    const root = join(dir.path, `root${roots - 1}`);
    expect((await stat(join(root, "token-key.pem"))).mode & 0o777).toBe(0o600);
  });

  test("list what their user may pull", async () => {
    await using server = await serve({
      token: true,
      access: [...access, { prefix: "own", users: { bob: ["pull"] } }],
    });
    await pushImage(repository(server, "team/app", "alice"), "v1");
    await pushImage(repository(server, "other", "alice"), "v1");
    await using hidden = await serve({
      token: true,
      access: [{ prefix: "", users: { alice: ["pull", "push"] } }],
    });
    await pushImage(repository(hidden, "app", "alice"), "v1");
    const list = async (from: RegistryServer, user: string) => {
      const path = "/token?service=gantry-registry&scope=registry:catalog:*";
      const bearer = { authorization: `Bearer ${await tokenOf(await get(from, path, basic(user)))}` };
      return ((await (await get(from, "/v2/_catalog", bearer)).json()) as { repositories: string[] })
        .repositories;
    };
    expect(await list(server, "bob")).toEqual(["other", "team/app"]);
    expect(await list(hidden, "alice")).toEqual(["app"]);
    expect(await list(hidden, "bob")).toEqual([]);
  });

  test("are what docker's CLI asks for", async () => {
    await using server = await serve({ token: true });
    await pushImage(repository(server, "team/app", "alice"), "v1");
    const config = join(dir.path, "docker");
    const auths = { [server.address]: { auth: btoa("alice:alice-pw") } };
    await Bun.write(join(config, "config.json"), JSON.stringify({ auths }));
    const inspect = async (DOCKER_CONFIG: string) => {
      const image = `${server.address}/team/app:v1`;
      const child = Bun.spawn(["docker", "manifest", "inspect", "--insecure", image], {
        env: { ...process.env, DOCKER_CONFIG },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, error] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      return (await child.exited) === 0 ? JSON.parse(out).schemaVersion : error;
    };
    expect(await inspect(config)).toBe(2);
    expect(await inspect(join(dir.path, "nobody"))).toContain("unauthorized");
  });

  test("come by OAuth2's password grant too", async () => {
    await using server = await serve({ token: true });
    const ask = (form: Record<string, string>) =>
      fetch(`http://${server.address}/token`, {
        method: "POST",
        body: new URLSearchParams({ service: "gantry-registry", scope, ...form }),
      });
    const given = await ask({ grant_type: "password", username: "bob", password: "bob-pw" });
    const bearer = { authorization: `Bearer ${await tokenOf(given)}` };
    expect((await get(server, "/v2/a/b/blobs/uploads/", bearer, "POST")).status).toBe(202);
    expect((await ask({ grant_type: "password", username: "bob", password: "x" })).status).toBe(401);
    expect((await ask({ grant_type: "refresh_token" })).status).toBe(400);
  });
});

test("tokens of another issuer", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwks = join(dir.path, "jwks.json");
  await Bun.write(
    jwks,
    JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "1", alg: "RS256" }] }),
  );
  const pem = join(dir.path, "public.pem");
  await Bun.write(pem, publicKey.export({ type: "spki", format: "pem" }));
  const sign = (audience: string, expires = "1m") =>
    new SignJWT({ access: [{ type: "repository", name: "a/b", actions: ["pull"] }] })
      .setProtectedHeader({ alg: "RS256", kid: "1" })
      .setIssuer("them")
      .setAudience(audience)
      .setSubject("carol")
      .setExpirationTime(expires)
      .sign(privateKey);
  for (const keys of [jwks, pem]) {
    await using server = await serve({
      htpasswd: undefined,
      token: { realm: "https://auth.example/token", service: "us", issuer: "them", keys },
    });
    const ask = async (token: string, path = "/v2/a/b/manifests/x") =>
      await code(await get(server, path, { authorization: `Bearer ${token}` }));
    expect(await ask(await sign("us"))).toBe("404 MANIFEST_UNKNOWN");
    expect(await ask(await sign("us"), "/v2/a/c/manifests/x")).toBe("401 UNAUTHORIZED");
    expect(await ask(await sign("others"))).toBe("401 UNAUTHORIZED");
    expect(await ask(await sign("us", "-1m"))).toBe("401 UNAUTHORIZED");
    const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${(await sign("us")).split(".")[1]}.`;
    expect(await ask(none)).toBe("401 UNAUTHORIZED");
    expect((await get(server, "/token?service=us")).status).toBe(404);
  }
});

test.each([
  [{ htpasswd: "/nonexistent" }, "can't read /nonexistent"],
  [{ htpasswd: undefined, token: true }, "needs htpasswd or keys"],
  [{ htpasswd: undefined, access }, "access rules need"],
  [{ htpasswd: undefined, token: { keys: "x" } }, "realm and issuer"],
] as [RegistrySettings, string][])("%j is refused", async (settings, message) => {
  await expect(serve(settings)).rejects.toThrow(message);
});

test("a hash that is not bcrypt's is refused with its line", async () => {
  const path = join(dir.path, "md5");
  await Bun.write(path, "alice:$apr1$aaa$bbb\n");
  await expect(serve({ htpasswd: path })).rejects.toThrow("line 1 is not a user and a bcrypt hash");
});
