/** Whole command lines against a stand-in for the engine. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endOfArchive, formatHeader, plainEntry } from "../lib/tar/index.ts";

let root: string;
let server: ReturnType<typeof Bun.serve>;
let requests: { method: string; path: string; query: URLSearchParams; headers: Headers; body: Uint8Array }[] =
  [];
const image = `sha256:${"a".repeat(64)}`;

/** Answers by method and path, without the API's version. */
const answers: Record<string, (url: URL) => Response> = {
  "GET /_ping": () => new Response("OK", { headers: { "api-version": "1.51" } }),
  "GET /version": () =>
    Response.json({ Version: "9.9", ApiVersion: "1.45", MinAPIVersion: "1.24", Os: "linux", Arch: "amd64" }),
  "POST /auth": () => Response.json({ Status: "Login Succeeded" }),
  "POST /build": (url) => {
    const failed = url.searchParams.get("target") === "broken";
    const last = failed
      ? {
          errorDetail: { code: 3, message: "returned a non-zero code: 3" },
          error: "returned a non-zero code: 3",
        }
      : { aux: { ID: image } };
    const [started, completed] = ["2030-01-01T00:00:00Z", "2030-01-01T00:00:01.5Z"];
    const step = { progress: { vertexes: [{ digest: "a", name: "FROM scratch", started, completed }] } };
    return new Response(`${JSON.stringify(step)}\n${JSON.stringify(last)}\n`);
  },
  // It never ends.
  "GET /images/get": () =>
    new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(100_000)) })),
  "GET /events": () =>
    new Response(
      '{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"name":"web","image":"app"}},"time":1700000000,"timeNano":1700000000123456789}\n',
    ),
  "GET /containers/web/archive": () => {
    const entry = formatHeader(plainEntry({ path: "hosts", size: 4 }));
    const stat = Buffer.from(JSON.stringify({ name: "hosts", mode: 0o644, linkTarget: "" })).toString(
      "base64",
    );
    const body = Buffer.concat([entry, Buffer.from("text"), Buffer.alloc(508), endOfArchive]);
    return new Response(body, { headers: { "x-docker-container-path-stat": stat } });
  },
  "GET /system/df": () =>
    Response.json({
      LayersSize: 1000,
      Images: [
        {
          Id: image,
          RepoTags: ["a:1"],
          RepoDigests: [],
          Created: 0,
          Size: 600,
          SharedSize: 0,
          Containers: 1,
        },
        {
          Id: image,
          RepoTags: ["b:1"],
          RepoDigests: [],
          Created: 0,
          Size: 400,
          SharedSize: 0,
          Containers: 0,
        },
      ],
      Containers: [],
      Volumes: null,
      BuildCache: null,
    }),
};

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-cli-"));
  server = Bun.serve({
    unix: join(root, "engine.sock"),
    async fetch(request) {
      const url = new URL(request.url);
      const path = url.pathname.replace(/^\/v[\d.]+/, "");
      const body = new Uint8Array(await request.arrayBuffer());
      requests.push({
        method: request.method,
        path,
        query: url.searchParams,
        headers: request.headers,
        body,
      });
      const answer = answers[`${request.method} ${path}`];
      return answer ? answer(url) : Response.json({ message: `no ${path}` }, { status: 404 });
    },
  });
});
afterAll(async () => {
  await server?.stop(true);
  rmSync(root, { recursive: true, force: true });
});

const entry = join(import.meta.dir, "..", "..", "src", "cli", "index.ts");

function spawn(args: string[], stdin = "", env: Record<string, string> = {}) {
  const program = `import { main } from ${JSON.stringify(entry)}; process.exit(await main(process.argv.slice(1), process.env));`;
  return Bun.spawn([process.execPath, "-e", program, "--", ...args], {
    cwd: root,
    env: {
      PATH: process.env.PATH!,
      TZ: "UTC",
      GANTRY_HOST: `unix://${root}/engine.sock`,
      DOCKER_CONFIG: join(root, "config"),
      ...env,
    },
    stdin: Buffer.from(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function gantry(args: string[], stdin = "", env: Record<string, string> = {}) {
  requests = [];
  const child = spawn(args, stdin, env);
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, code };
}

describe("build", () => {
  test("sends what the flags say", async () => {
    writeFileSync(join(root, "Dockerfile"), "FROM scratch");
    const flags =
      "-t app:1 -t app:2 --build-arg V=1 --label a=b --target end --no-cache --pull --network none".split(
        " ",
      );
    const result = await gantry(["build", ...flags, "--iidfile", "id", "."]);
    expect(result).toMatchObject({ code: 0, stdout: "" });
    expect(result.stderr).toEndWith("FROM scratch\n#2 DONE 1.5s\n\n");
    expect(readFileSync(join(root, "id"), "utf8")).toBe(image);
    const { query, headers } = requests.find(({ path }) => path === "/build")!;
    expect(query.getAll("t")).toEqual(["app:1", "app:2"]);
    const { t: _, ...rest } = Object.fromEntries(query);
    expect(rest).toMatchObject({
      dockerfile: "Dockerfile",
      buildargs: '{"V":"1"}',
      labels: '{"a":"b"}',
      target: "end",
      nocache: "1",
      pull: "1",
      networkmode: "none",
    });
    expect(headers.get("x-registry-config")).not.toBeNull();
  });
  test("-q prints the ID alone", async () => {
    expect(await gantry(["build", "-q", "-"], "FROM scratch")).toEqual({
      code: 0,
      stdout: `${image}\n`,
      stderr: "",
    });
  });
  test("a failed step's exit status is ours", async () => {
    const result = await gantry(["build", "-q", "--target", "broken", "-"], "FROM scratch");
    expect(result).toEqual({
      code: 3,
      stdout: "",
      stderr: "ERROR: returned a non-zero code: 3\n",
    });
  });
});

test("login keeps the credentials where only the user reads them, logout removes them", async () => {
  mkdirSync(join(root, "config"), { recursive: true });
  const file = join(root, "config", "config.json");
  writeFileSync(file, '{"psFormat":"x"}');
  const result = await gantry(
    ["login", "-u", "me", "--password-stdin", "https://reg.example/v2/"],
    "secret\n",
  );
  expect(result.stdout).toBe("Login Succeeded\n");
  expect(JSON.parse(Buffer.from(requests[0]!.body).toString())).toEqual({
    username: "me",
    password: "secret",
    serveraddress: "reg.example",
  });
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
    psFormat: "x",
    auths: { "reg.example": { auth: Buffer.from("me:secret").toString("base64") } },
  });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect((await gantry(["logout", "reg.example"])).stdout).toBe(
    "Removing login credentials for reg.example\n",
  );
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({ psFormat: "x", auths: {} });
  expect((await gantry(["logout", "reg.example"])).stdout).toBe(
    "Removing login credentials for reg.example\n",
  );
});

describe("credential helpers", () => {
  /** A helper that keeps credentials in a directory; `fail` makes it break. */
  const helper = `#!/bin/sh
cd ${"$"}STORE; read -r line
case $1 in
get) [ -f fail ] && { echo locked; exit 2; }; [ -f "$line" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$line" ;;
store) echo "$line" > "$(echo "$line" | sed 's/.*ServerURL":"\\([^"]*\\)".*/\\1/')" ;;
erase) rm "$line" ;;
list) echo "{"; for f in *; do echo "\\"$f\\": \\"\\","; done | sed '$ s/,$//'; echo "}" ;;
esac
`;
  let store: string;
  let config: string;
  const env = () => ({ PATH: `${root}/bin:${process.env.PATH}`, STORE: store, DOCKER_CONFIG: config });
  const configure = (value: object) => {
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, "config.json"), JSON.stringify(value));
  };
  const kept = () => JSON.parse(readFileSync(join(config, "config.json"), "utf8")) as object;
  const sent = (header: string) => {
    const value = requests.map(({ headers }) => headers.get(header)).find((found) => found);
    return JSON.parse(Buffer.from(value!, "base64url").toString()) as object;
  };
  beforeAll(() => {
    mkdirSync(join(root, "bin"), { recursive: true });
    writeFileSync(join(root, "bin", "docker-credential-dir"), helper, { mode: 0o755 });
  });
  beforeEach(() => {
    store = mkdtempSync(join(root, "store-"));
    config = mkdtempSync(join(root, "config-"));
  });

  test.each([
    ["for all registries", { credsStore: "dir" }],
    ["for one", { credHelpers: { "reg.example": "dir" } }],
  ])("%s: login, use and logout", async (_, value) => {
    configure(value);
    const login = await gantry(["login", "-u", "me", "--password-stdin", "reg.example"], "secret\n", env());
    expect(login).toEqual({ code: 0, stdout: "Login Succeeded\n", stderr: "" });
    expect(kept()).toEqual({ ...value, auths: { "reg.example": {} } });
    await gantry(["pull", "-q", "reg.example/app"], "", env());
    const known = { username: "me", password: "secret", serveraddress: "reg.example" };
    expect(sent("x-registry-auth")).toEqual(known);
    await gantry(["build", "-q", "-"], "FROM scratch", env());
    expect(sent("x-registry-config")).toEqual({ "reg.example": known });
    // It is not asked about others, or has nothing for them.
    await gantry(["pull", "-q", "other.example/app"], "", env());
    expect(sent("x-registry-auth")).toEqual({ serveraddress: "other.example" });
    expect((await gantry(["logout", "reg.example"], "", env())).code).toBe(0);
    expect(kept()).toEqual({ ...value, auths: {} });
    await gantry(["pull", "-q", "reg.example/app"], "", env());
    expect(sent("x-registry-auth")).toEqual({ serveraddress: "reg.example" });
  });

  test("a build is given what others have put there, and an identity token is one", async () => {
    configure({ credsStore: "dir" });
    writeFileSync(
      join(store, "reg.example"),
      '{"ServerURL":"reg.example","Username":"<token>","Secret":"refresh"}',
    );
    await gantry(["build", "-q", "-"], "FROM scratch", env());
    expect(sent("x-registry-config")).toEqual({
      "reg.example": { identitytoken: "refresh", serveraddress: "reg.example" },
    });
  });

  test("one that is not there or fails is told, and no reason not to pull", async () => {
    configure({ credsStore: "none" });
    const missing = 'credentials - err: exec: "docker-credential-none": executable file not found in $PATH';
    const pulled = await gantry(["pull", "-q", "reg.example/app"], "", env());
    expect(pulled.stderr).toContain(`WARNING: error getting ${missing}`);
    expect(sent("x-registry-auth")).toEqual({ serveraddress: "reg.example" });
    const login = await gantry(["login", "-u", "me", "--password-stdin", "reg.example"], "secret\n", env());
    expect(login).toMatchObject({ code: 1, stderr: expect.stringContaining(`error storing ${missing}`) });
    expect((await gantry(["logout", "reg.example"], "", env())).code).toBe(0);
    configure({ credsStore: "dir" });
    writeFileSync(join(store, "fail"), "");
    expect((await gantry(["pull", "-q", "reg.example/app"], "", env())).stderr).toContain(
      "WARNING: error getting credentials - err: exit status 2, out: `locked`",
    );
  });
});

test("save replaces no device", async () => {
  const device = join(root, "null");
  expect(Bun.spawnSync(["mknod", device, "c", "1", "3"]).exitCode).toBe(0);
  const { code, stderr } = await gantry(["save", "-o", device, "app"]);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: "failed to save image: cannot write to a character device file\n",
  });
  expect(statSync(device).isCharacterDevice()).toBe(true);
});

test.each(["SIGINT", "SIGTERM"] as const)("save ended by %s leaves no file", async (signal) => {
  const directory = mkdtempSync(join(root, "saved-"));
  const child = spawn(["save", "-o", join(directory, "a.tar"), "app"]);
  const sizes = () => readdirSync(directory).map((name) => statSync(join(directory, name)).size);
  while (!sizes().some((size) => size > 0)) await Bun.sleep(5);
  child.kill(signal);
  await child.exited;
  expect(child.signalCode).toBe(signal);
  expect(readdirSync(directory)).toEqual([]);
});

test("contexts: create, list, use, inspect, remove", async () => {
  const env = { GANTRY_HOST: "" };
  expect((await gantry(["context", "create", "far", "--docker", "host=tcp://far:2375"], "", env)).code).toBe(
    0,
  );
  expect((await gantry(["context", "use", "far"], "", env)).stdout).toBe("far\n");
  expect((await gantry(["context", "show"], "", env)).stdout).toBe("far\n");
  expect(
    (await gantry(["context", "ls", "--format", "{{.Name}} {{.Current}} {{.DockerEndpoint}}"], "", env))
      .stdout,
  ).toBe("default false unix:///run/gantry/gantry.sock\nfar true tcp://far:2375\n");
  expect(
    (await gantry(["context", "inspect", "-f", "{{.Endpoints.docker.Host}}", "far"], "", env)).stdout,
  ).toBe("tcp://far:2375\n");
  expect((await gantry(["context", "rm", "far"], "", env)).stderr).toContain(
    "is in use, set -f flag to force remove",
  );
  expect((await gantry(["context", "rm", "-f", "far"], "", env)).code).toBe(0);
  expect((await gantry(["context", "show"], "", env)).stdout).toBe("default\n");
});

test("cp from a container to a directory, a file and stdout", async () => {
  mkdirSync(join(root, "into"), { recursive: true });
  expect(await gantry(["cp", "web:/etc/hosts", "into"])).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(readFileSync(join(root, "into", "hosts"), "utf8")).toBe("text");
  await gantry(["cp", "web:/etc/hosts", "into/other"]);
  expect(readFileSync(join(root, "into", "other"), "utf8")).toBe("text");
  expect((await gantry(["cp", "web:/etc/hosts", "-"])).stdout.startsWith("hosts\0")).toBe(true);
  expect((await gantry(["cp", "a", "b"])).stderr).toBe("must specify at least one container source\n");
});

test("version, events and system df", async () => {
  const version = await gantry([
    "version",
    "-f",
    "{{.Server.Version}} {{.Client.APIVersion}} {{.Server.APIVersion}}",
  ]);
  expect(version).toEqual({ code: 0, stdout: "9.9 1.45 1.45\n", stderr: "" });
  expect((await gantry(["events", "--until", "0"])).stdout).toBe(
    "2023-11-14T22:13:20.123456789Z container start c1 (image=app, name=web)\n",
  );
  expect((await gantry(["system", "df"])).stdout.split("\n").slice(0, 3)).toEqual([
    "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE",
    "Images          2         1         1kB       400B (40%)",
    "Containers      0         0         0B        0B",
  ]);
});

test("events through a template, where some lack an attribute", async () => {
  const format = "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.signal}} {{.TimeNano}}";
  expect((await gantry(["events", "--format", format])).stdout).toBe(
    "start web <no value> 1700000000123456789\n",
  );
});

test("without an engine, version and info show the client and fail", async () => {
  const env = { GANTRY_HOST: "unix:///nowhere.sock" };
  for (const word of ["version", "info"]) {
    const result = await gantry([word], "", env);
    expect(result.code).toBe(1);
    expect(result.stdout).toContain("Client:");
    expect(result.stderr).toContain("Cannot connect");
  }
});
