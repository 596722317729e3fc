/** Completion in the shells themselves, and the docker command that `gantry install docker-alias` makes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { executable, run, TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
const directory = mkdtempSync(join(tmpdir(), "gt-shells-"));
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await daemon.ok(["run", "-d", "--name", "unusual-name", "busybox", "top"]);
  await daemon.ok(["volume", "create", "unusual-volume"]);
});
afterAll(() => disposeAll(directory, daemon));

const env = () => ({
  GANTRY_HOST: daemon.host,
  HOME: directory,
  PATH: `${dirname(executable)}:${process.env.PATH}`,
  TERM: "dumb",
});

/** A shell on a terminal, and what is typed when the text before each step has been shown. */
const shell = (command: string[], steps: [string, string][]) =>
  run(["python3", join(import.meta.dir, "support/terminal.py"), JSON.stringify(steps), ...command], {
    env: env(),
    cwd: directory,
  });

describe("a name is completed as it is typed", () => {
  // Each line is shown as it is typed: what must come is only in the answers.
  const lines = (load: string): [string, string][] => [
    ["# ", `${load}; echo loa''ded\n`],
    ["loaded", "gantry container inspect -f '<{{.Name}}>' unus\t\n"],
    ["</unusual-name>", "gantry volume inspect -f '<{{.Name}}.>' unus\t\n"],
    ["<unusual-volume.>", "gantry contai\trena\tunus\tother; gantry ps --format '<{{.Names}}>'\n"],
    ["<other>", "gantry rename other unusual-name; exit\n"],
  ];

  test("bash", async () => {
    const bash = ["bash", "--norc", "--noprofile", "-i"];
    const { code, stdout } = await shell(bash, lines("source <(gantry completion bash)"));
    expect(stdout).toContain("<other>");
    expect(code).toBe(0);
  });

  test("zsh", async () => {
    const load = "autoload -U compinit; compinit -u -D; source <(gantry completion zsh)";
    const { code, stdout } = await shell(["zsh", "-f", "-i"], lines(load));
    expect(stdout).toContain("<other>");
    expect(code).toBe(0);
  });

  test("fish", async () => {
    const ask = async (line: string) => {
      const script = `gantry completion fish | source; complete -C '${line}'`;
      const { stdout } = await run(["fish", "--no-config", "-c", script], { env: env(), cwd: directory });
      return stdout.trimEnd().split("\n");
    };
    expect(await ask("gantry stop unus")).toEqual([expect.stringMatching(/^unusual-name\tbusybox, Up /)]);
    expect(await ask("gantry volume rm ")).toEqual(["unusual-volume\tlocal"]);
    expect(await ask("gantry container rena")).toEqual(["rename\tRename a container"]);
    expect(await ask("gantry logs --tim")).toEqual([expect.stringContaining("--timestamps")]);
  });
});

describe("install docker-alias", () => {
  const bin = join(directory, "bin");
  const alias = join(bin, "docker");
  const install = (...args: string[]) =>
    run([executable, "install", "docker-alias", "--dir", bin, ...args], { env: env() });

  test("another program stays until --force, and the PATH is looked at", async () => {
    mkdirSync(bin);
    writeFileSync(alias, "#!/bin/sh\necho another\n", { mode: 0o755 });
    const refused = await install();
    expect(refused.code).toBe(1);
    expect(refused.stderr).toBe(`${alias} is another program; --force replaces it\n`);
    expect((await install("--remove")).stderr).toBe(`${alias} is another program: it stays\n`);
    expect((await run([alias])).stdout).toBe("another\n");
    const replaced = await install("--force");
    expect(replaced.code).toBe(0);
    expect(replaced.stdout).toBe(`${alias} is ${executable} now\n`);
    expect(replaced.stderr).toBe(`Warning: ${alias} is in no directory of the PATH\n`);
    const earlier = join(directory, "earlier");
    mkdirSync(earlier);
    symlinkSync("/bin/true", join(earlier, "docker"));
    const again = await run([executable, "install", "docker-alias", "--dir", bin], {
      env: { ...env(), PATH: `${earlier}:${bin}` },
    });
    expect(again.stderr).toBe(`Warning: ${earlier}/docker comes before it on the PATH\n`);
  });

  test("called so, it is docker: in usages, messages and completion", async () => {
    const docker = (...args: string[]) => run([alias, ...args], { env: env() });
    expect((await docker("ps", "--format", "{{.Names}}")).stdout).toBe("unusual-name\n");
    expect((await docker("rm", "--help")).stdout).toStartWith("Usage:  docker rm [OPTIONS] CONTAINER");
    expect((await docker("pss")).stderr).toStartWith("docker: unknown command: docker pss\n");
    expect((await docker("run")).stderr).toStartWith("docker: 'docker run' requires at least 1 argument\n");
    expect((await docker("completion", "bash")).stdout).toEndWith("complete -F __docker_complete docker\n");
    const elsewhere = { ...env(), GANTRY_HOST: "", DOCKER_HOST: `unix://${directory}/none` };
    expect((await run([alias, "ps"], { env: elsewhere })).stderr).toContain(`${directory}/none`);
  });

  test("--remove takes it away", async () => {
    expect((await install("--remove")).stdout).toBe(`Removed ${alias}\n`);
    expect(existsSync(alias)).toBe(false);
    expect((await install("--remove")).code).toBe(1);
  });
});
