/** `compose build` against a real daemon: everything that `build` of the Compose Specification can say. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-compose-build-"));
  daemon = await TestDaemon.start();
});
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

function project(files: Record<string, string>): string {
  const root = mkdtempSync(join(directory, "project-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const compose = (cwd: string, args: string[], env: Record<string, string> = {}) =>
  daemon.gantry(["compose", ...args], { cwd, env });

test("services are built side by side, with secrets, contexts and limits of their own", async () => {
  const root = project({
    ".env": "TOKEN=from the env file\n",
    "compose.yaml": `
name: built
services:
  web:
    image: built/web:1
    build:
      context: web
      additional_contexts:
        library: ./lib
        base: service:base
      args: { WHO: compose }
      secrets: [token, { source: file, target: renamed }]
      labels: { made: here }
      tags: ["built/web:also"]
      extra_hosts: ["other:10.1.2.3"]
      shm_size: 32m
      ulimits: { nofile: { soft: 100, hard: 200 } }
      network: none
      provenance: false
      cache_to: [type=inline]
    platform: linux/amd64
  base:
    build:
      dockerfile_inline: |
        FROM busybox
        RUN echo base > /base
  checked:
    build: { dockerfile_inline: "FROM busybox\\nRUN --security=insecure echo in > /in", privileged: true }
secrets:
  token: { environment: TOKEN }
  file: { file: ./secret.txt }
`,
    "web/Dockerfile": `FROM base
ARG WHO
COPY --from=library word /word
RUN --mount=type=secret,id=token --mount=type=secret,id=renamed cat /run/secrets/token /run/secrets/renamed > /secrets
RUN echo $WHO > /who; ulimit -n > /limit; grep other /etc/hosts > /hosts; ls /sys/class/net > /net; df -k /dev/shm | tail -1 > /shm
CMD ["sh", "-c", "cat /base /word /secrets /who /limit /hosts /net; grep -c 32768 /shm"]
`,
    "lib/word": "a word\n",
    "secret.txt": "\nfrom a file\n",
  });
  const built = await compose(root, ["build"]);
  expect(built).toMatchObject({ code: 0 });
  expect(built.stderr).toMatch(/^#\d+ \[base internal\] load build context/m);
  expect(built.stderr).toMatch(/^#\d+ \[web \d\/\d\] COPY --from=library/m);
  expect(built.stderr).toMatch(/^ web {2}Built$/m);
  const said = await daemon.ok(["run", "--rm", "built/web:also"]);
  expect(said.replace(/\s+/g, " ")).toBe(
    "base a word from the env file from a file compose 100 10.1.2.3 other lo 1",
  );
  const labels = JSON.parse(await daemon.ok(["inspect", "-f", "{{json .Config.Labels}}", "built/web:1"]));
  expect(labels).toMatchObject({ made: "here", "com.docker.compose.service": "web" });
  expect(await daemon.ok(["run", "--rm", "built-checked", "cat", "/in"])).toBe("in");

  const again = await compose(root, ["build", "-q", "--build-arg", "WHO=the caller", "web"]);
  expect(again).toMatchObject({ code: 0, stdout: "", stderr: "" });
  expect(await daemon.ok(["run", "--rm", "built/web:1", "cat", "/who"])).toBe("the caller");
});

test("a build that fails shows its place, has its step's status, and up starts nothing", async () => {
  const root = project({
    "compose.yaml": `
name: broken
services:
  good: { build: { dockerfile_inline: "FROM busybox" } }
  bad: { build: { dockerfile_inline: "FROM busybox\\nRUN exit 9" } }
`,
  });
  for (const words of [["build"], ["up", "-d"]]) {
    const result = await compose(root, words);
    expect(result.stderr).toContain(">>> RUN exit 9");
    expect(result.stderr).toContain("target bad: ");
    expect(result.code).toBe(1);
  }
  expect(await daemon.ok(["ps", "-aq", "--filter", "label=com.docker.compose.project=broken"])).toBe("");
});

test("--print shows the plan for bake, --check looks only", async () => {
  const root = project({
    "compose.yaml": `
name: looked
services:
  app:
    build: { context: ., platforms: [linux/amd64, linux/arm64], ssh: ["id=./agent"], entitlements: [network.host] }
  plain: { build: . }
`,
    Dockerfile: "from busybox\nRUN true\n",
  });
  const printed = await compose(root, ["build", "--print", "--sbom", "true", "--no-cache", "app"]);
  expect(JSON.parse(printed.stdout).target.app).toMatchObject({
    tags: ["looked-app"],
    platforms: ["linux/amd64", "linux/arm64"],
    ssh: [{ id: "id", paths: [join(root, "agent")] }],
    attest: [{ type: "sbom" }],
    entitlements: ["network.host"],
    "no-cache": true,
  });
  const checked = await compose(root, ["build", "--check", "plain"]);
  expect(checked.code).toBe(1);
  expect(checked.stdout).toContain("ConsistentInstructionCasing");
  expect(await daemon.ok(["images", "-q", "looked-plain"])).toBe("");
});

test("what is wrong with a build is told with its place", async () => {
  const root = project({
    "compose.yaml": `
services:
  app:
    platform: linux/amd64
    build:
      context: .
      additional_contexts: { base: "service:bas" }
      platforms: [linux/arm64]
  base:
    image: busybox
`,
  });
  const { code, stderr } = await compose(root, ["config", "-q"]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /compose\.yaml:7:\d+: .*takes the context base from service "bas", which builds nothing/,
  );
  expect(stderr).toMatch(/compose\.yaml:8:\d+: .*MUST include service\.platform "linux\/amd64"/);
});
