/** Where files come from besides the context: repositories, named contexts, mounts; and `--parents`. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, relative } from "node:path";
import { freePort } from "../registry/fixture.ts";
import { DockerfileError } from "./index.ts";
import { BuildLab, nothingLeft } from "./testing.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => lab[Symbol.asyncDispose]());
afterEach(async () => expect(await lab.settled()).toEqual(nothingLeft));

/** Files below a directory, by path, with their text. */
function tree(root: string): Record<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((path) => [relative(root, path), readFileSync(path, "utf8")] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

describe("COPY --parents", () => {
  const files = { "x/a.txt": "a", "x/y/b.txt": "b", "x/y/c.md": "c", "z/d.txt": "d" };
  test.each<[string, string[]]>([
    ["x/a.txt x/y/b.txt /p/", ["x/a.txt", "x/y/b.txt"]],
    ["x/y /p/", ["x/y/b.txt", "x/y/c.md"]],
    ["./x/./y/b.txt /p/", ["y/b.txt"]],
    ["./x/./y/*.txt /p/", ["y/b.txt"]],
    ["**/*.txt /p/", ["x/a.txt", "x/y/b.txt", "z/d.txt"]],
    ["--exclude=**/b.txt x /p/", ["x/a.txt", "x/y/c.md"]],
    ["./x/./**/*.txt /p/", ["a.txt", "y/b.txt"]],
    ["*/a.txt /p/", ["x/a.txt"]],
  ])("%s", async (args, expected) => {
    const built = await lab.build({ Dockerfile: `FROM scratch\nCOPY --parents ${args}`, ...files });
    lab.look(built, (root) => expect(Object.keys(tree(join(root, "p")))).toEqual(expected));
  });
  test("a missing one is told", async () => {
    const Dockerfile = "FROM scratch\nCOPY --parents x/nothing /p/";
    await expect(lab.build({ Dockerfile, ...files })).rejects.toThrow("stat x/nothing: file does not exist");
  });
});

test("COPY --exclude also counts for files that are named", async () => {
  const Dockerfile = "FROM scratch\nCOPY --exclude=*.md --exclude=*.txt hom* /p/";
  const built = await lab.build({ Dockerfile, "home.c": "1", "home.md": "2", "home.txt": "3" });
  lab.look(built, (root) => expect(tree(join(root, "p"))).toEqual({ "home.c": "1" }));
});

describe("ADD of a repository", () => {
  let port: number;
  let server: ReturnType<typeof Bun.spawn>;
  let commits: string[];
  beforeAll(async () => {
    const root = join(lab.directory, "repositories");
    const work = join(root, "app.git");
    mkdirSync(join(work, "sub"), { recursive: true });
    const run = (...args: string[]) => {
      const identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
      const result = Bun.spawnSync(["git", "-C", work, ...identity, ...args]);
      if (result.exitCode !== 0) throw new Error(result.stderr.toString());
      return result.stdout.toString().trim();
    };
    run("init", "-q", "-b", "main");
    writeFileSync(join(work, "file"), "one");
    writeFileSync(join(work, "sub/inner"), "in");
    run("add", ".");
    run("commit", "-qm", "one");
    run("tag", "-a", "v1", "-m", "v1");
    const first = run("rev-parse", "HEAD");
    writeFileSync(join(work, "file"), "two");
    run("commit", "-qam", "two");
    commits = [first, run("rev-parse", "HEAD")];
    port = await freePort();
    server = Bun.spawn(
      [
        "git",
        "daemon",
        "--reuseaddr",
        "--export-all",
        "--listen=127.0.0.1",
        `--port=${port}`,
        `--base-path=${root}`,
        root,
      ],
      { stdout: "ignore", stderr: "ignore" },
    );
    for (let i = 0; i < 1000; i++) {
      const url = `git://127.0.0.1:${port}/app.git`;
      if (Bun.spawnSync(["git", "ls-remote", url]).exitCode === 0) return;
      await Bun.sleep(20);
    }
    throw new Error("git daemon did not start");
  });
  afterAll(async () => {
    server?.kill();
    await server?.exited;
  });
  const add = (rest: string, flags = "") => ({
    Dockerfile: `FROM scratch\nADD ${flags} git://127.0.0.1:${port}/app.git${rest} /src/`,
  });

  test.each<[string, string, Record<string, string>]>([
    ["", "", { file: "two", "sub/inner": "in" }],
    ["#v1", "", { file: "one", "sub/inner": "in" }],
    ["#main:sub", "", { inner: "in" }],
    ["?tag=v1&subdir=sub", "", { inner: "in" }],
  ])("%s", async (rest, flags, expected) => {
    const built = await lab.build(add(rest, flags));
    lab.look(built, (root) => {
      expect(tree(join(root, "src"))).toEqual(expected);
      expect(statSync(join(root, "src")).uid).toBe(0);
    });
    expect((await lab.build(add(rest, flags))).cached).toHaveLength(1);
  });

  test("a commit, its checksum, and the repository itself", async () => {
    const built = await lab.build(add(`#${commits[0]}`, `--checksum=${commits[0]!.slice(0, 12)}`));
    lab.look(built, (root) => expect(tree(join(root, "src")).file).toBe("one"));
    const kept = await lab.build(add("", "--keep-git-dir=true"));
    lab.look(kept, (root) => expect(readdirSync(join(root, "src"))).toContain(".git"));
    await expect(lab.build(add("", `--checksum=${commits[0]}`))).rejects.toThrow(
      `expected checksum to match ${commits[0]}, got ${commits[1]}`,
    );
    await expect(lab.build(add("#nowhere"))).rejects.toThrow("does not contain ref nowhere");
    await expect(lab.build(add("#--upload-pack=x"))).rejects.toThrow("invalid Git reference");
  });
});

describe("named contexts", () => {
  test("a directory stands for an image, a stage and a source", async () => {
    const directory = lab.context({ f: "named", out: "ignored", ".dockerignore": "out" });
    const Dockerfile = [
      "FROM base",
      "FROM busybox AS builder",
      "RUN echo never > /f",
      "FROM scratch",
      "COPY --from=0 /f /base",
      "COPY --from=builder /f /stage",
      "COPY --from=extra . /extra/",
    ].join("\n");
    const contexts = { base: { directory }, builder: { directory }, extra: { directory } };
    const built = await lab.build({ Dockerfile }, { contexts });
    lab.look(built, (root) => {
      const { base, stage, ...extra } = tree(root);
      expect([base, stage]).toEqual(["named", "named"]);
      expect(Object.keys(extra)).toEqual(["extra/.dockerignore", "extra/f"]);
    });
  });
  test("an image stands for another", async () => {
    const contexts = { "docker.io/library/other:latest": { image: "busybox" } };
    const built = await lab.build({ Dockerfile: "FROM other\nRUN echo hi" }, { contexts });
    expect(built.output).toBe("hi\n");
  });
  test("mounted, and changed without a trace", async () => {
    const directory = lab.context({ f: "named" });
    const Dockerfile = [
      "FROM busybox",
      "RUN --mount=from=extra,target=/m cat /m/f > /read",
      "RUN --mount=target=/m,rw echo more >> /m/own && cat /m/own > /written",
    ].join("\n");
    const built = await lab.build({ Dockerfile, own: "own " }, { contexts: { extra: { directory } } });
    lab.look(built, (root) => {
      expect(readFileSync(join(root, "read"), "utf8")).toBe("named");
      expect(readFileSync(join(root, "written"), "utf8")).toBe("own more\n");
    });
  });
});

describe("RUN", () => {
  test("a cache begins with files of a stage", async () => {
    const Dockerfile = [
      "FROM busybox AS seed",
      "RUN mkdir -p /s/d && echo seed > /s/d/f",
      "FROM busybox",
      "RUN --mount=type=cache,target=/c,from=seed,source=/s/d cat /c/f && echo x > /c/g",
    ].join("\n");
    expect((await lab.build({ Dockerfile })).output).toBe("seed\n");
    const again = Dockerfile.replace("echo x > /c/g", "ls /c");
    expect((await lab.build({ Dockerfile: again })).output).toBe("seed\nf\ng\n");
  });

  test("the client's SSH agent", async () => {
    const socket = join(lab.directory, "agent.sock");
    const server = createServer((client) => client.end());
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      let closed = 0;
      const ssh = async (id: string) =>
        id === "default" ? { socket, [Symbol.asyncDispose]: async () => void closed++ } : undefined;
      const Dockerfile =
        'FROM busybox\nRUN --mount=type=ssh,uid=1000 echo $SSH_AUTH_SOCK && test -S "$SSH_AUTH_SOCK" && stat -c %u:%a $SSH_AUTH_SOCK';
      const built = await lab.build({ Dockerfile }, { ssh });
      expect(built.output).toBe("/run/buildkit/ssh_agent.0\n1000:600\n");
      expect(closed).toBe(1);
      lab.look(built, (root) => expect(readdirSync(root)).not.toContain("run"));
      const missing = "FROM busybox\nRUN --mount=type=ssh,id=other,required echo";
      await expect(lab.build({ Dockerfile: missing }, { ssh })).rejects.toBeInstanceOf(DockerfileError);
    } finally {
      server.close();
    }
  });

  test("--security=insecure has all that the engine has", async () => {
    const Dockerfile =
      "FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status > /c\nRUN grep CapEff /proc/self/status > /d";
    const built = await lab.build({ Dockerfile }, { entitlements: ["security.insecure"] });
    lab.look(built, (root) => {
      const [all, some] = ["c", "d"].map((name) => readFileSync(join(root, name), "utf8"));
      expect(all).not.toBe(some);
    });
  });

  test("--device needs its right, and a description", async () => {
    const Dockerfile = "FROM busybox\nRUN --device=vendor.example/none=x,required true";
    await expect(lab.build({ Dockerfile })).rejects.toThrow("device is not allowed");
    await expect(lab.build({ Dockerfile }, { entitlements: ["device"] })).rejects.toThrow(
      "unresolvable CDI devices vendor.example/none=x",
    );
    const optional = Dockerfile.replace(",required", "");
    await lab.build({ Dockerfile: optional }, { entitlements: ["device"] });
  });
});

test("a trigger brings files of a stage that nothing else names, and no circle", async () => {
  await lab.build({ Dockerfile: "FROM busybox\nONBUILD COPY --from=extra /f /f" }, { tags: ["trigger"] });
  const built = await lab.build({ Dockerfile: "FROM busybox AS extra\nRUN echo t > /f\nFROM trigger" });
  lab.look(built, (root) => expect(readFileSync(join(root, "f"), "utf8")).toBe("t\n"));
  await expect(lab.build({ Dockerfile: "FROM trigger AS extra" })).rejects.toThrow(
    "circular dependency detected on stage: extra",
  );
});
