/** `bake` against a real daemon: targets that need one another, a matrix, Compose files, and what fails. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { executable, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-bake-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

function project(files: Record<string, string>): string {
  const root = mkdtempSync(join(directory, "project-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const bake = (cwd: string, args: string[]) => daemon.gantry(["bake", ...args], { cwd });
const run = async (image: string) => (await daemon.gantry(["run", "--rm", image])).stdout.trim();

test("a matrix, a group and an inline Dockerfile are built side by side, each step with its target", async () => {
  const root = project({
    "docker-bake.hcl": `
variable "GREETING" { default = "hello" }
group "default" { targets = ["greet", "inline"] }
target "greet" {
  name = "greet-\${who}"
  matrix = { who = ["ann", "bob"] }
  context = "app"
  args = { TEXT = "\${GREETING} \${who}" }
  tags = ["greet:\${who}"]
}
target "inline" {
  dockerfile-inline = <<EOT
FROM busybox
COPY docker-bake.hcl /
RUN echo inline > /text
CMD ["cat", "/text"]
EOT
  tags = ["inline"]
}
`,
    "app/Dockerfile": 'FROM busybox\nARG TEXT\nRUN echo "$TEXT" > /text\nCMD ["cat", "/text"]\n',
  });
  const result = await bake(root, ["--metadata-file", join(root, "made.json"), "--set", "inline.labels.a=b"]);
  expect(result).toMatchObject({ code: 0 });
  expect(result.stderr).toMatch(/^#\d+ \[greet-ann 2\/2\] RUN echo/m);
  expect(result.stderr).toMatch(/^#\d+ \[inline internal\] load build context/m);
  expect(await Promise.all(["greet:ann", "greet:bob", "inline"].map(run))).toEqual([
    "hello ann",
    "hello bob",
    "inline",
  ]);
  const made = JSON.parse(readFileSync(join(root, "made.json"), "utf8"));
  const id = (await daemon.gantry(["inspect", "-f", "{{.Id}} {{.Config.Labels.a}}", "inline"])).stdout.trim();
  expect(`${made.inline["containerimage.config.digest"]} b`).toBe(id);
});

test("a target takes files and its base from others, which are built before it", async () => {
  const root = project({
    "docker-bake.hcl": `
target "base" { dockerfile-inline = "FROM busybox\\nRUN echo base > /base" }
target "files" {
  dockerfile-inline = "FROM busybox\\nRUN echo files > /made"
  contexts = { base = "target:base" }
}
target "app" {
  context = "app"
  contexts = {
    base = "target:base"
    files = "target:files"
  }
  tags = ["linked"]
}
`,
    "app/Dockerfile": 'FROM base\nCOPY --from=files /made /\nCMD ["cat", "/base", "/made"]\n',
  });
  expect(await bake(root, ["app"])).toMatchObject({ code: 0 });
  expect(await run("linked")).toBe("base\nfiles");
});

test("services of Compose files are targets, and a Bake file goes over them", async () => {
  const root = project({
    "compose.yaml":
      "services:\n  web:\n    image: web:compose\n    build:\n      context: ./web\n      args: { WHO: compose }\n  db: { image: redis }\n",
    "docker-bake.hcl": 'target "web" {\n  args = { WHO = "bake" }\n}\n',
    "web/Dockerfile": 'FROM busybox\nARG WHO\nRUN echo $WHO > /who\nCMD ["cat", "/who"]\n',
  });
  expect(await bake(root, [])).toMatchObject({ code: 0 });
  expect(await run("web:compose")).toBe("bake");
});

test("what a Compose file says of a build is in the plan, also what compose itself can't do", async () => {
  const root = project({
    "compose.yaml": `
services:
  web:
    build:
      context: ./web
      additional_contexts: { base: "docker-image://busybox", api: "service:my.api" }
      secrets: [token]
      x-bake: { tags: web, platforms: [linux/amd64] }
  my.api: { build: ./api }
secrets: { token: { environment: TOKEN } }
`,
  });
  const { group, target } = JSON.parse((await bake(root, ["--print"])).stdout);
  expect(group.default.targets).toEqual(["my_api", "web"]);
  expect(target.web).toEqual({
    context: "web",
    contexts: { api: "target:my_api", base: "docker-image://busybox" },
    dockerfile: "Dockerfile",
    secret: [{ id: "token", env: "TOKEN" }],
    tags: ["web"],
    platforms: ["linux/amd64"],
  });
});

test("a definition comes from standard input in any of its forms", async () => {
  const root = project({});
  const plans = await Promise.all(
    [
      'target "a" { tags = ["x"] }',
      '{"target": {"a": {"tags": ["x"]}}}',
      "services: { a: { image: x, build: . } }",
    ].map((stdin) => daemon.gantry(["bake", "-f", "-", "--print", "a"], { cwd: root, stdin })),
  );
  const target = { context: ".", dockerfile: "Dockerfile", tags: ["x"] };
  for (const { stdout } of plans) expect(JSON.parse(stdout).target).toEqual({ a: target });
});

test("Ctrl-C ends all builds and leaves nothing", async () => {
  const inline = "FROM busybox\nRUN sleep 600";
  const root = project({
    "docker-bake.json": JSON.stringify({
      target: { a: { "dockerfile-inline": inline }, b: { "dockerfile-inline": `${inline}1` } },
    }),
  });
  const child = Bun.spawn([executable, "bake", "a", "b"], {
    cwd: root,
    env: { ...process.env, GANTRY_HOST: daemon.host, TMPDIR: root },
    stdout: "ignore",
    stderr: "pipe",
  });
  let seen = "";
  let told = false;
  for await (const chunk of child.stderr) {
    seen += new TextDecoder().decode(chunk);
    if (told || !/\[a .*RUN sleep/.test(seen) || !/\[b .*RUN sleep/.test(seen)) continue;
    told = true;
    child.kill("SIGINT");
  }
  expect(await child.exited).toBe(130);
  expect(readdirSync(root)).toEqual(["docker-bake.json"]);
});

test("a target that fails ends the others, with the status of its step", async () => {
  const root = project({
    "docker-bake.json": JSON.stringify({
      group: { default: { targets: ["slow", "broken"] } },
      target: {
        slow: { "dockerfile-inline": "FROM busybox\nRUN sleep 1000" },
        broken: { "dockerfile-inline": "FROM busybox\nRUN exit 7" },
      },
    }),
  });
  const result = await bake(root, []);
  expect(result.code).toBe(7);
  expect(result.stderr).toContain("ERROR: target broken: ");
  expect(result.stderr).toContain(">>> RUN exit 7");
});

test("what is asked about targets is answered for each, and nothing is built", async () => {
  const root = project({
    Dockerfile: "FROM none/there AS first\nARG WORD=one\nFROM first AS last\n",
    "docker-bake.hcl":
      'group "default" { targets = ["a", "b"] }\ntarget "a" { target = "first" }\ntarget "b" { call = "targets" }\n',
  });
  const outline = await bake(root, ["--call", "outline", "a"]);
  expect(outline.code).toBe(0);
  expect(outline.stdout).toMatch(/TARGET: +first[\s\S]*WORD +one/);
  const targets = await bake(root, ["--call=targets,format=json"]);
  expect(targets.code).toBe(0);
  const [, first] = /^a\n([\s\S]*)\nb\n/.exec(targets.stdout) ?? [];
  expect(JSON.parse(first!).targets).toMatchObject([{ name: "first" }, { name: "last", default: true }]);
  expect((await bake(root, ["b"])).stdout).toContain("last (default)");
  expect((await bake(root, ["--call", "nonsense"])).stderr).toContain("--call=nonsense is not supported");
});

test("checks run for every target, and rights need the user's word", async () => {
  const root = project({
    "docker-bake.hcl":
      'target "a" { dockerfile-inline = "from busybox\\nRUN true" }\ntarget "b" { entitlements = ["security.insecure"] }\n',
  });
  const check = await bake(root, ["--check", "a"]);
  expect(check.code).toBe(1);
  expect(check.stdout).toContain("ConsistentInstructionCasing");
  const refused = await bake(root, ["b"]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    "target b asks for security.insecure: agree with --allow security.insecure",
  );
});
