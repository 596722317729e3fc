/** `manifest`: lists put together by our client and the docker CLI come out the same, and either reads the other's. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { recentDocker } from "./support/docker-cli.ts";
import { type MultiPlatform, publishMultiPlatform, Repository } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let config: string;
let image: string;
let fixture: MultiPlatform;
beforeAll(async () => {
  config = mkdtempSync(join(tmpdir(), "gt-manifests-"));
  registry = await TestRegistry.start();
  daemon = await TestDaemon.start({ images: false });
  image = `${registry.address}/multi`;
  fixture = await publishMultiPlatform(image, "1", "manifests");
});
afterAll(() => disposeAll(daemon, registry, config));

const clients = {
  gantry: (...args: string[]) => daemon.gantry(["manifest", ...args], { env: { DOCKER_CONFIG: config } }),
  docker: (verb: string, ...args: string[]) =>
    daemon.docker(
      ["manifest", verb, ...(verb === "annotate" || verb === "rm" ? [] : ["--insecure"]), ...args],
      {
        env: { DOCKER_CONFIG: config },
      },
    ),
};
type Client = (typeof clients)["gantry"];

async function ok(client: Client, ...args: string[]): Promise<string> {
  const result = await client(...args);
  expect(result).toMatchObject({ code: 0 });
  return result.stdout.trim();
}

test.skipIf(!recentDocker)("a list has the same words, documents and digest from both", async () => {
  const seen = [];
  for (const client of [clients.gantry, clients.docker] as Client[]) {
    const list = `${image}:list`;
    const [amd64, arm64] = [`${image}@${fixture.amd64.digest}`, `${image}@${fixture.arm64.digest}`];
    const steps = [
      await client("create", list, amd64, arm64),
      await client("create", list, amd64),
      await client("create", "--amend", list, amd64),
      await client("annotate", "--variant", "v8", "--os-features", "a,b", list, arm64),
      await client("annotate", list, `${image}:none`),
      await client("inspect", list),
      await client("inspect", "-v", list),
      await client("inspect", list, arm64),
      await client("push", "--purge", list),
      await client("inspect", amd64),
      await client("inspect", "-v", amd64),
      await client("inspect", list),
      await client("inspect", `${image}:none`),
      await client("create", `${image}:other`, `${image}:1`),
      await client("push", `${image}:other`),
      await client("rm", `${image}:other`),
    ];
    seen.push(
      steps.map(({ code, stdout, stderr }) => ({ code, stdout: stdout.trim(), stderr: stderr.trim() })),
    );
  }
  expect(seen[0]).toEqual(seen[1]!);
});

test.skipIf(!recentDocker)(
  "a list begun by one is ended by the other, and images of other repositories come along",
  async () => {
    const target = `${registry.address}/else/where`;
    await ok(clients.docker, "create", `${target}:1`, `${image}@${fixture.amd64.digest}`);
    await ok(clients.gantry, "create", "-a", `${target}:1`, `${image}@${fixture.arm64.digest}`);
    const pushed = await ok(clients.gantry, "push", "-p", `${target}:1`);
    expect(await new Repository(target).digest("1")).toBe(pushed.split("\n").at(-1)!);
    expect(await daemon.ok(["pull", "-q", `${target}:1`])).toBe(`${target}:1`);
    await daemon.ok(["rmi", `${target}:1`]);
    expect((await clients.docker("rm", `${target}:1`)).stderr).toContain("No such manifest");
  },
);

test("the registry tells what it has", async () => {
  const answer = await (await daemon.request(`/v1.51/distribution/${image}:1/json`)).json();
  expect(answer).toEqual({
    Descriptor: {
      mediaType: fixture.index.mediaType,
      digest: fixture.index.digest,
      size: fixture.index.size,
    },
    Platforms: [
      { os: "linux", architecture: "arm64" },
      { os: "linux", architecture: "amd64" },
      { os: "unknown", architecture: "unknown" },
    ],
  });
});
