/** Both clients draw bars from the engine's progress on a terminal; ours tells speed and time left too. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CuttingProxy } from "./support/cutting-proxy.ts";
import { executable, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";
import { digestOf, Repository } from "./support/multi-platform.ts";
import { TestRegistry } from "./support/registry.ts";

let daemon: TestDaemon;
let registry: TestRegistry;
let proxy: CuttingProxy;
beforeAll(async () => {
  registry = await TestRegistry.start();
  proxy = new CuttingProxy(registry.address);
  daemon = await TestDaemon.start({ images: false });
  const repository = new Repository(`${registry.address}/bars`);
  const tar = Buffer.from(
    Bun.spawnSync(["sh", "-c", "d=$(mktemp -d) && cat > $d/f && tar -C $d -cf - f && rm -r $d"], {
      stdin: randomBytes(3 << 20),
    }).stdout,
  );
  const layers = [await repository.blob("application/vnd.oci.image.layer.v1.tar", tar)];
  const config = await repository.blob("application/vnd.oci.image.config.v1+json", {
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
  });
  await repository.manifest("1", { config, layers });
});
afterAll(() => disposeAll(daemon, proxy, registry));

const docker = Bun.which("docker") ?? "docker";
test.each([
  [
    "gantry",
    [executable],
    /Downloading +\[=*>? *\] +[\d.]+[kM]?B\/3\.\d+MB [\d.]+[kM]?B\/s \d+s left/,
    /\[1A\r\S+2K\w+: Pull complete/,
  ],
  ["docker", [docker], /Downloading +\[=*>? *\] +[\d.]+[kM]?B\/3\.\d+MB/, /\[1A\S+2K\r+\w+: Pull complete/],
] as const)("%s", async (_, client, bar, inPlace) => {
  proxy.delay = 40;
  const image = `${proxy.address}/bars:1`;
  const { stdout, code } = await run(
    [
      "python3",
      join(import.meta.dir, "support/terminal.py"),
      "[]",
      ...["sh", "-c", 'stty cols 140; exec "$@"', "sh"],
      ...[...client, "pull", image],
    ],
    { env: { GANTRY_HOST: daemon.host, DOCKER_HOST: daemon.host, TERM: "xterm" } },
  );
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(bar) });
  expect(stdout).toMatch(inPlace);
  await daemon.ok(["rmi", image]);
});
