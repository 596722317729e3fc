/** What `gantry build` alone has: progress on terminals and in files, secrets, agents, named contexts, metadata. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeContext } from "./support/context.ts";
import { executable, run, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-build-cli-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

const contextOf = (files: Record<string, string>) => makeContext(directory, files);

const build = (args: string[], env: Record<string, string> = {}) =>
  run([executable, "-H", daemon.host, "build", ...args], { env });
async function ok(args: string[], env?: Record<string, string>) {
  const result = await build(args, env);
  expect(result).toMatchObject({ code: 0 });
  return result;
}
const terminal = (steps: [string, string][], args: string[], env: Record<string, string> = {}) =>
  run(
    [
      "python3",
      join(import.meta.dir, "support/terminal.py"),
      JSON.stringify(steps),
      executable,
      "-H",
      daemon.host,
      ...args,
    ],
    { env },
  );

describe("progress", () => {
  const steps = () =>
    contextOf({ Dockerfile: `FROM busybox\nRUN echo ${Math.random()} && echo said\nCMD ["true"]` });

  test("in a file: BuildKit's plain lines on stderr, nothing on stdout", async () => {
    const context = steps();
    const { stdout, stderr } = await ok(["-t", "plain", context]);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /^#1 \[internal\] load build context\n#1 transferring context: \d+(\.\d+)?kB( \d+\.\ds)? done\n#1 DONE \d+\.\ds\n\n/,
    );
    expect(stderr).toMatch(
      /#(\d+) \[2\/2\] RUN echo .*\n#\1 \d+\.\d{3} .*\n#\1 \d+\.\d{3} said\n#\1 DONE \d+\.\ds\n\n/,
    );
    expect((await ok([context])).stderr).toMatch(/#(\d+) \[2\/2\] RUN echo .*\n#\1 CACHED\n/);
  });

  test("-q and --progress quiet", async () => {
    const context = steps();
    const { stdout, stderr } = await ok(["-q", context]);
    expect(stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    expect(stderr).toBe("");
    expect(await ok(["--progress", "quiet", context])).toMatchObject({ stdout: "", stderr: "" });
    expect((await build(["--progress", "loud", context])).stderr).toContain("invalid progress mode loud");
  });

  test("as BuildKit's JSON", async () => {
    const { stderr } = await ok(["--progress", "rawjson", steps()]);
    const all = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const names = all.flatMap(({ vertexes = [] }) => vertexes.map(({ name }: { name: string }) => name));
    expect(names).toContain("[1/2] FROM busybox");
    const logs = all.flatMap(({ logs = [] }) => logs.map(({ data }: { data: string }) => atob(data)));
    expect(logs.join("")).toContain("said\n");
  });

  test("on a terminal: drawn in place, coloured unless NO_COLOR, with a summary at the end", async () => {
    const context = contextOf({ Dockerfile: "FROM busybox\nRUN echo working; sleep 2" });
    const { code, stdout } = await terminal([], ["build", "--no-cache", context]);
    expect(code).toBe(0);
    expect(stdout).toContain(" => => # working");
    expect(stdout).toContain("\x1b[34m");
    const last = pictures(stdout).at(-1)!;
    expect(last).toMatch(
      /^\[\+\] Building \d+\.\ds \((\d+)\/\1\) FINISHED\r\n => \[internal\] load build context/,
    );
    expect(last).not.toContain("# working");
    expect(stdout.trimEnd()).toEndWith("\x1b[?25h");
    const plain = await terminal([], ["build", context], { NO_COLOR: "1" });
    expect(plain.stdout).not.toContain("\x1b[34m");
    expect(plain.stdout).toContain(" => CACHED [2/2] RUN echo working");
  });

  /** What each time was drawn, as text. */
  const pictures = (shown: string) =>
    Bun.stripANSI(shown)
      .split(/^(?=\[\+\] Building)/m)
      .slice(1);

  /** Progress over carriage returns, colours, a cursor that goes up and clears, a title, a bell, wide characters. */
  const wild = String.raw`RUN printf '\033[31mred\033[0m \033[2A\033[2J\033]0;title\007up\n' && \
    printf '  1%%\r 50%%\r100%%\n' && printf '${"漢字"}%.0s' $(seq 1 100) && echo && sleep 0.4`;

  test.each([
    ["0x0", 80, 24],
    ["12x20", 20, 12],
    ["50x200", 200, 50],
  ])("on a terminal of %s a step's output keeps to its place", async (size, columns, rows) => {
    const context = contextOf({ Dockerfile: `FROM busybox\n${wild}` });
    const { code, stdout } = await terminal([], ["build", "--no-cache", context], { TERMINAL_SIZE: size });
    expect(code).toBe(0);
    for (const wrong of ["\x07", "\x1b[2A\x1b[2J", "\x1b]0;", "# 50%"]) expect(stdout).not.toContain(wrong);
    const drawn = pictures(stdout).map((picture) => picture.trimEnd().split("\r\n"));
    expect(drawn.length).toBeGreaterThan(0);
    for (const line of drawn.flat()) expect(Bun.stringWidth(line)).toBeLessThan(columns);
    for (const picture of drawn.slice(0, -1)) expect(picture.length).toBeLessThan(rows);
    // A whole screen is never erased from its top: terminals keep that in their history.
    expect(stdout).not.toMatch(/A\r\x1b\[J/);
  });

  test("in a file a step's lines are text", async () => {
    const { stderr } = await ok(["--no-cache", contextOf({ Dockerfile: `FROM busybox\n${wild}` })]);
    expect(stderr).toMatch(/^#\d+ \d\.\d{3} red up$/m);
    expect(stderr).toMatch(/^#\d+ \d\.\d{3} 100%$/m);
    expect(stderr).not.toMatch(/(?!\n)\p{Cc}/u);
  });
});

test("secrets by file and variable stay out of the image", async () => {
  const context = contextOf({
    Dockerfile: [
      "FROM busybox",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's.
      "RUN --mount=type=secret,id=file --mount=type=secret,id=word,env=WORD wc -c < /run/secrets/file > /n && echo ${#WORD} >> /n",
    ].join("\n"),
    key: "hush-hush",
  });
  await ok(
    ["-t", "secrets", "--secret", `id=file,src=${join(context, "key")}`, "--secret", "id=word", context],
    {
      word: "mum",
    },
  );
  expect(await daemon.ok(["run", "--rm", "secrets", "cat", "/n"])).toBe("9\n3");
  const without = await build(["--no-cache", context]);
  expect(without.stderr).toContain("WORD");
  for (const [secret, said] of [
    ["src=x", "secret missing ID"],
    ["id=a,src=/nowhere", "no such file"],
    ["id=a,colour=red", "unexpected key 'colour'"],
  ]) {
    expect(await build(["--secret", secret!, context])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(said!),
    });
  }
});

test("a step reaches the agent that --ssh names", async () => {
  // It ends when the agent was reached; by a number that no other run of this test has.
  const step = `sleep ${400_000 + process.pid}`;
  const agent = join(mkdtempSync(join(directory, "agent-")), "s");
  const server = createServer((socket) => socket.on("data", (data) => socket.write(`agent got ${data}`)));
  await new Promise<void>((resolve) => server.listen(agent, resolve));
  const context = contextOf({
    Dockerfile: `FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && { ${step}; true; }`,
  });
  try {
    const building = ok(["--ssh", `default=${agent}`, context]);
    const sockets = () => [
      ...new Bun.Glob("b/ssh-*/agent").scanSync({ cwd: daemon.execRoot, onlyFiles: false }),
    ];
    await until(() => sockets().length > 0, "the step has a socket");
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(join(daemon.execRoot, sockets()[0]!));
      socket.once("error", reject).once("data", (data) => resolve(data.toString()));
      socket.write("a question");
      building.catch(reject);
    });
    expect(answer).toBe("agent got a question");
    await until(async () => (await run(["pkill", "-f", `^${step}`])).code === 0, "the end of the sleep");
    await building;
  } finally {
    server.close();
  }
  const { stderr } = await build(["--ssh", `default=${executable}`, context]);
  expect(stderr).toContain("is no agent's socket");
  expect((await build(["--ssh", "default", context], { SSH_AUTH_SOCK: "" })).stderr).toContain(
    "SSH_AUTH_SOCK",
  );
});

test("named contexts: directories with their ignore files, and images", async () => {
  const lib = contextOf({ "a/file": "from lib", skipped: "", ".dockerignore": "skipped\n" });
  const context = contextOf({
    Dockerfile:
      "FROM base\nCOPY --from=lib . /lib\nCOPY --from=tools /bin/busybox /tools\nRUN ls /lib > /list",
  });
  await ok([
    "-t",
    "named",
    "--build-context",
    `lib=${lib}`,
    "--build-context",
    "base=docker-image://busybox",
    "--build-context",
    "tools=docker-image://busybox",
    context,
  ]);
  expect(await daemon.ok(["run", "--rm", "named", "cat", "/list", "/lib/a/file"])).toBe("a\nfrom lib");
  for (const [value, said] of [
    ["lib", "expected key=value"],
    ["lib=/nowhere", "is not a directory"],
    ["lib=oci-layout://x", "no image latest in the OCI layout x"],
  ])
    expect((await build(["--build-context", value!, context])).stderr).toContain(said!);
});

test("a Dockerfile elsewhere brings its ignore file", async () => {
  const other = contextOf({ Other: "FROM busybox\nCOPY . /all", "Other.dockerignore": "*.log\n" });
  const context = contextOf({ kept: "", "left.log": "" });
  await ok(["-t", "elsewhere", "-f", join(other, "Other"), context]);
  expect(await daemon.ok(["run", "--rm", "elsewhere", "ls", "/all"])).toBe("kept");
});

test("--no-cache-filter, --metadata-file and --iidfile", async () => {
  const context = contextOf({
    Dockerfile:
      "FROM busybox AS one\nRUN date +%N > /one\nFROM busybox AS two\nRUN date +%N > /two\nFROM two\nCOPY --from=one /one /one",
  });
  const [metadata, iid] = [join(context, "metadata"), join(context, "iid")];
  await ok(["-t", "meta", context]);
  const { stderr } = await ok([
    "--no-cache-filter",
    "TWO",
    "--metadata-file",
    metadata,
    "--iidfile",
    iid,
    "-t",
    "meta",
    context,
  ]);
  expect(stderr).toMatch(/\[one 2\/2\] RUN .*\n#\d+ CACHED/);
  expect(stderr).toMatch(/\[two 2\/2\] RUN .*\n#\d+ DONE/);
  const written = JSON.parse(readFileSync(metadata, "utf8"));
  expect(written).toMatchObject({
    "containerimage.config.digest": readFileSync(iid, "utf8"),
    "containerimage.digest": expect.stringMatching(/^sha256:/),
    "image.name": "docker.io/library/meta:latest",
  });
});

test("outputs: a directory, archives in files and on stdout, an image with annotations", async () => {
  const context = contextOf({
    Dockerfile: "FROM scratch\nCOPY . /",
    "d/file": "made",
    ".dockerignore": "Dockerfile\n",
  });
  const target = join(context, "..", "output");
  await ok(["-o", join(target, "local"), context]);
  expect(readFileSync(join(target, "local/d/file"), "utf8")).toBe("made");
  const list = (archive: string) => run(["tar", "-tf", archive]);
  await ok(["-o", `type=tar,dest=${target}.tar`, "-o", `type=oci,dest=${target}.oci`, "-t", "out", context]);
  expect((await list(`${target}.tar`)).stdout).toContain("d/file\n");
  expect((await list(`${target}.oci`)).stdout).toContain("oci-layout\n");
  await ok(["-o", `type=oci,tar=false,dest=${target}.layout`, context]);
  expect(readFileSync(`${target}.layout/oci-layout`, "utf8")).toContain("imageLayoutVersion");
  const piped = await run(["sh", "-c", `${executable} -H ${daemon.host} build -o - ${context} | tar -tf -`]);
  expect(piped.stdout).toContain("d/file\n");
  await ok(["--annotation", "org.example.a=b", "-o", `type=oci,dest=${target}.annotated`, context]);
  expect((await run(["tar", "-xOf", `${target}.annotated`])).stdout).toContain('"org.example.a":"b"');
  expect((await daemon.gantry(["images", "-q", "out"])).stdout).toBe("");
  await ok(["--load", "-t", "out", context]);
  expect((await daemon.gantry(["images", "-q", "out"])).stdout).not.toBe("");
  for (const [output, said] of [
    ["dest=x", "type is required"],
    ["type=local", "dest is required for local output"],
    ["type=image,dest=x", "dest is not supported"],
    ["type=cake", "unknown output type"],
  ])
    expect((await build(["-o", output!, context])).stderr).toContain(said!);
});

test("proxies of config.json are arguments of the build, and stay out of the image", async () => {
  const config = contextOf({
    "config.json": JSON.stringify({ proxies: { default: { httpProxy: "http://proxy:1" } } }),
  });
  const context = contextOf({ Dockerfile: "FROM busybox\nRUN echo $http_proxy > /proxy" });
  await ok(["-t", "proxied", context], { DOCKER_CONFIG: config });
  expect(await daemon.ok(["run", "--rm", "proxied", "cat", "/proxy"])).toBe("http://proxy:1");
  expect(await daemon.ok(["inspect", "-f", "{{.Config.Env}}", "proxied"])).not.toContain("proxy");
});

test("what is not there is refused in words", async () => {
  const context = contextOf({ Dockerfile: "FROM busybox" });
  for (const [flags, said] of [
    [["--call", "nonsense"], 'invalid call "nonsense"'],
    [["--allow", "everything"], "invalid entitlement: everything"],
    [["--policy", "x"], "--policy is not supported"],
    [["--resource", "x"], "--resource is not supported"],
    [["--security-opt", "x"], "--security-opt is not supported"],
    [["--isolation", "hyperv"], "invalid isolation"],
    [["--squash"], "squash is not supported"],
    [["--builder", "nobody"], 'no builder "nobody" found'],
  ] as const)
    expect(await build([...flags, context])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(said),
    });
});

test("--debug-shell opens a shell in the state before the failed step, and leaves nothing", async () => {
  const context = contextOf({
    Dockerfile:
      "FROM busybox AS one\nRUN echo before > /made\nWORKDIR /w\nRUN echo after > /made && exit 5\nRUN true\nFROM one",
  });
  const images = await daemon.ok(["images", "-aq"]);
  const { code, stdout } = await terminal(
    [["# ", "echo in $PWD: $(cat /made)\nexit\n"]],
    ["build", "--debug-shell", "-t", "failed", context],
  );
  expect(code).toBe(5);
  expect(stdout).toContain("in /w: before");
  expect(await daemon.ok(["images", "-aq"])).toBe(images);
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
  expect((await build(["--debug-shell", context])).stderr).toContain("--debug-shell needs a terminal");
});
