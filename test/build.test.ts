/** `build`, by our CLI and by the real docker CLI's classic builder. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeContext } from "./support/context.ts";
import { type Result, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-build-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

const contextOf = (files: Record<string, string>) => makeContext(directory, files);

type Client = (args: string[], options?: { stdin?: string }) => Promise<Result>;
const clients: [string, Client][] = [
  ["gantry", (args, options) => daemon.gantry(args, options)],
  ["docker", (args, options) => daemon.docker(args, options)],
];

describe.each(clients)("%s", (name, client) => {
  const ok = async (args: string[], options?: { stdin?: string }) => {
    const result = await client(args, options);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout.trim();
  };

  test("takes each step from the cache the second time, up to what has changed", async () => {
    const context = contextOf({
      Dockerfile: `FROM busybox\nRUN echo ${name} > /made\nCOPY ./app /app\nWORKDIR /app\nCMD ["cat", "page"]`,
      "app/page": "a page",
    });
    const cached = async () => {
      const { code, stdout, stderr } = await client(["build", "-t", `${name}-app`, context]);
      expect(code).toBe(0);
      return (stdout + stderr).match(/Using cache|^#\d+ CACHED$/gm) ?? [];
    };
    expect(await cached()).toHaveLength(0);
    expect(await cached()).toHaveLength(4);
    expect(await ok(["run", "--rm", `${name}-app`])).toBe("a page");
    // A changed file ends the cache at its step, and no sooner.
    writeFileSync(join(context, "app/page"), "another page");
    expect(await cached()).toHaveLength(1);
    expect(await ok(["run", "--rm", `${name}-app`])).toBe("another page");
  });

  test("stages, arguments, user, environment, .dockerignore", async () => {
    const context = contextOf({
      Dockerfile: [
        "FROM busybox AS builder",
        "ARG GREETING=hello",
        "COPY . /src",
        'RUN echo "$GREETING" > /out; ls /src >> /out',
        "FROM busybox",
        "ENV NAME=value",
        "COPY --from=builder --chown=1000:1000 /out /out",
        "USER 1000:1000",
        'CMD ["sh", "-c", "id -u; echo $NAME; cat /out; stat -c %u /out"]',
      ].join("\n"),
      ".dockerignore": "*.secret\n.dockerignore\nDockerfile\n",
      "kept.txt": "",
      "key.secret": "",
    });
    await ok(["build", "-t", `${name}-stages`, "--build-arg", "GREETING=hi", "--label", "a=b", context]);
    expect(await ok(["run", "--rm", `${name}-stages`])).toBe("1000\nvalue\nhi\nkept.txt\n1000");
    expect(
      await ok(["inspect", "-f", '{{index .Config.Labels "a"}} {{.Config.User}}', `${name}-stages`]),
    ).toBe("b 1000:1000");
    await ok(["build", "-q", "--target", "builder", "-t", `${name}-stage`, context]);
    expect(await ok(["run", "--rm", `${name}-stage`, "head", "-n", "1", "/out"])).toBe("hello");
  });

  test("a Dockerfile elsewhere, and one from stdin", async () => {
    const context = contextOf({ "sub/Other": "FROM busybox\nCOPY file /file", file: "content" });
    await ok(["build", "-q", "-f", join(context, "sub/Other"), "-t", `${name}-other`, context]);
    expect(await ok(["run", "--rm", `${name}-other`, "cat", "/file"])).toBe("content");
    // Not even in the context; Docker's client ends such an archive in the middle of a block.
    const outside = join(contextOf({ Outside: "FROM busybox\nCOPY file /outside" }), "Outside");
    await ok(["build", "-q", "-f", outside, "-t", `${name}-outside`, context]);
    expect(await ok(["run", "--rm", `${name}-outside`, "cat", "/outside"])).toBe("content");
    await ok(["build", "-q", "-f", "-", "-t", `${name}-typed`, context], {
      stdin: "FROM busybox\nCOPY file /typed",
    });
    expect(await ok(["run", "--rm", `${name}-typed`, "cat", "/typed"])).toBe("content");
    const id = await ok(["build", "-q", "-"], { stdin: "FROM busybox\nRUN echo stdin > /file\n" });
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await ok(["run", "--rm", id, "cat", "/file"])).toBe("stdin");
  });

  test("a copied file that is missing is told with its line", async () => {
    const result = await client(["build", contextOf({ Dockerfile: "FROM busybox\n\nCOPY nothing /\n" })]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("nothing");
    expect(result.stderr).toMatch(/Dockerfile:3|line 3/);
  });

  test("what the build checks find is listed after the build", async () => {
    const { code, stdout, stderr } = await client([
      "build",
      contextOf({ Dockerfile: "FROM busybox\nCMD echo" }),
    ]);
    expect(code).toBe(0);
    expect(stdout + stderr).toContain(" 1 warning found:\n - JSONArgsRecommended: JSON arguments");
  });

  test("the network of a step, and steps without one", async () => {
    const context = contextOf({ Dockerfile: "FROM busybox\nRUN ip -o link | wc -l > /links" });
    await ok(["build", "-q", "--network", "none", "-t", `${name}-links`, context]);
    expect(await ok(["run", "--rm", `${name}-links`, "cat", "/links"])).toBe("1");
  });
});

test("the classic builder's clients are shown each step by its number", async () => {
  const context = contextOf({ Dockerfile: 'FROM busybox\nRUN echo numbered\nCMD ["true"]' });
  const { code, stdout: output } = await daemon.docker(["build", "-t", "numbered", context]);
  expect(code).toBe(0);
  const steps = [...output.matchAll(/^Step (\d)\/3 : (\w+)/gm)].map(
    ([, number, word]) => `${number} ${word}`,
  );
  expect(steps).toEqual(["1 FROM", "2 RUN", "3 CMD"]);
  expect(output).toContain("Successfully tagged numbered:latest");
});

describe("gantry alone", () => {
  test("an image's ID is a base, also with --pull; one that isn't here is told of", async () => {
    const id = await daemon.ok(["build", "-q", contextOf({ Dockerfile: "FROM busybox\nRUN echo 1 > /one" })]);
    const context = contextOf({ Dockerfile: `FROM ${id}\nRUN cat /one` });
    expect(await daemon.gantry(["build", "-q", "--pull", context])).toMatchObject({ code: 0 });
    const other = await daemon.gantry(["build", contextOf({ Dockerfile: `FROM sha256:${"0".repeat(64)}` })]);
    expect(other).toMatchObject({ code: 1 });
    expect(other.stderr).toContain(`No such image: sha256:${"0".repeat(64)}`);
  });

  test("--check reports and builds nothing", async () => {
    const context = contextOf({ Dockerfile: "FROM busybox as base\nRUN false\nCMD echo\n" });
    const { code, stdout } = await daemon.gantry(["build", "--check", context]);
    expect(code).toBe(1);
    expect(stdout).toStartWith(
      "Check complete, 2 warnings have been found!\n\nWARNING: FromAsCasing - https://",
    );
    expect(stdout).toContain(
      [
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
        "Dockerfile:3",
        "--------------------",
        "   1 |     FROM busybox as base",
        "   2 |     RUN false",
        "   3 | >>> CMD echo",
        "--------------------",
      ].join("\n"),
    );
    const clean = await daemon.gantry(["build", "--check", contextOf({ Dockerfile: "FROM busybox\n" })]);
    expect(clean).toMatchObject({ code: 0, stdout: "Check complete, no warnings found.\n" });
    const wrong = await daemon.gantry([
      "build",
      "--check",
      contextOf({ Dockerfile: "FROM busybox\nRUNN x\n" }),
    ]);
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.stdout).toContain("ERROR: dockerfile parse error on line 2: unknown instruction: RUNN");
  });

  test("violations fail a build that says so", async () => {
    const Dockerfile = "# check=error=true\nFROM busybox\nRUN echo ran\nCMD echo\n";
    const { code, stderr, stdout } = await daemon.gantry(["build", contextOf({ Dockerfile })]);
    expect(code).toBe(1);
    expect(stderr).toContain("lint violation found for rules: JSONArgsRecommended");
    expect(stderr + stdout).not.toContain("[2/2] RUN");
  });

  test("a failure shows its lines and what the step said last", async () => {
    const Dockerfile = "FROM busybox\n\nRUN echo said && \\\n  exit 3\n";
    const { code, stderr } = await daemon.gantry(["build", contextOf({ Dockerfile })]);
    expect(code).toBe(3);
    expect(stderr).toContain("\n------\n > [2/2] RUN echo said &&   exit 3:\nsaid\n------\nDockerfile:3\n");
    expect(stderr).toContain("   3 | >>> RUN echo said && \\\n   4 | >>>   exit 3\n");
    const parse = await daemon.gantry(["build", contextOf({ Dockerfile: "FROM busybox\nCOPPY a b\n" })]);
    expect(parse.stderr).toContain("   2 | >>> COPPY a b\n");
    expect(parse.stderr).toContain("unknown instruction: COPPY (did you mean COPY?)");
  });
});
