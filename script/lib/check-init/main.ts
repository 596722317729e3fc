/** See script/check-init. A line for each kind; ends with 1 when one of them fails. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "../../../test/support/daemon.ts";

const here = import.meta.dir;

interface Base {
  file: string;
  target?: string;
  tags: string[];
}

/** In the order they are built: one may begin from another. */
const bases = {
  alpine: { file: "alpine", tags: ["alpine:3.20"] },
  node: { file: "node", tags: ["node:22-alpine"] },
  golang: { file: "golang", tags: ["golang:1.19-alpine"] },
  rust: { file: "rust", tags: ["rust:1-alpine"] },
  jre: { file: "java", target: "jre", tags: ["eclipse-temurin:17-jre"] },
  maven: { file: "java", target: "maven", tags: ["maven:3-eclipse-temurin-17"] },
  composer: { file: "php", target: "composer", tags: ["composer:2"] },
  apache: { file: "php", target: "apache", tags: ["php:8.2-apache", "php:8.3-apache"] },
  python: { file: "python", tags: ["python:3.12-slim"] },
} satisfies Record<string, Base>;

/** What each sample's Dockerfile begins from; `nginx` comes from script/base-images. */
const needs: Record<string, (keyof typeof bases)[]> = {
  node: ["node"],
  go: ["golang", "alpine"],
  rust: ["rust", "alpine"],
  java: ["jre", "maven"],
  php: ["composer", "apache"],
  "php-pages": ["apache"],
  python: ["python"],
  static: [],
};

const kinds = process.argv.slice(2);
const unknown = kinds.find((kind) => !(kind in needs));
if (unknown) throw new Error(`there is no sample ${unknown}; there are ${Object.keys(needs).join(", ")}`);
const wanted = kinds.length > 0 ? kinds : readdirSync(join(here, "samples")).sort();
const root = mkdtempSync(join(tmpdir(), "check-init-"));

async function checkAll(): Promise<number> {
  await using registry = await serveBaseImages();
  await using daemon = await TestDaemon.start({
    config: { "registry-mirrors": [`http://${registry.address}`] },
  });
  const gantry = async (...args: string[]) => {
    const { code, stdout, stderr } = await daemon.gantry(args);
    if (code !== 0) throw new Error(`gantry ${args.join(" ")}: ${stderr || stdout}`);
    return stdout.trim();
  };
  for (const name of new Set(wanted.flatMap((kind) => needs[kind]!))) {
    const { file, tags, target }: Base = bases[name];
    console.log(`making ${tags.join(", ")} (stand-in of Debian's packages)`);
    const stage = target === undefined ? [] : ["--target", target];
    const names = tags.flatMap((tag) => ["-t", tag]);
    await gantry("build", "-q", ...stage, ...names, "-f", join(here, "bases", `${file}.Dockerfile`), here);
  }
  let failed = 0;
  for (const kind of wanted) {
    const project = join(root, kind);
    cpSync(join(here, "samples", kind), project, { recursive: true });
    try {
      await gantry("init", project);
      // The linter has nothing to warn of in what init writes.
      await gantry("lint", project);
      await gantry("build", "-q", "-t", kind, project);
      // The base image has a port of its own.
      const port = /^EXPOSE (\d+)$/m.exec(readFileSync(join(project, "Dockerfile"), "utf8"))![1]!;
      await gantry("run", "-d", "--init", "--name", kind, "-p", `127.0.0.1::${port}`, kind);
      const answer = await answerOf(await gantry("port", kind, port), () => gantry("logs", kind));
      if (answer !== `hello from ${kind}`) throw new Error(`it answers ${JSON.stringify(answer)}`);
      const user = await gantry("exec", kind, "id", "-u");
      if (user === "0") throw new Error("it runs as root");
      await gantry("stop", kind);
      const code = await gantry("inspect", "-f", "{{.State.ExitCode}}", kind);
      if (code === "137") throw new Error("it does not end when it is asked to");
      console.log(`${kind}: built, answers as user ${user}, ends with ${code}`);
    } catch (error) {
      failed++;
      console.log(`${kind}: ${error instanceof Error ? error.message : error}`);
    }
  }
  console.log(`${wanted.length - failed} of ${wanted.length} kinds build and run`);
  return failed;
}

/** What a server says, once it is there. @throws with its log when it does not come */
async function answerOf(address: string, log: () => Promise<string>): Promise<string> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const answer = await fetch(`http://${address}/`).catch(() => undefined);
    if (answer?.ok) return (await answer.text()).trim();
    if (Date.now() > deadline) throw new Error(`it does not answer:\n${await log()}`);
    await Bun.sleep(100);
  }
}

async function serveBaseImages(): Promise<AsyncDisposable & { address: string }> {
  const directory = join(root, "registry");
  mkdirSync(directory);
  const only = ["busybox", "debian", "nginx"].flatMap((name) => ["--only", name]);
  const script = join(here, "..", "base-images", "main.ts");
  const server = Bun.spawn(["bun", script, "--root", directory, "--serve", ...only, "127.0.0.1:0"], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const dispose = async () => {
    server.kill("SIGTERM");
    await server.exited;
  };
  let said = "";
  for await (const chunk of server.stdout.pipeThrough(new TextDecoderStream())) {
    said += chunk;
    const address = /^registry listening on (\S+)$/m.exec(said)?.[1];
    if (address) return { address, [Symbol.asyncDispose]: dispose };
  }
  throw new Error(`script/base-images ended:\n${said}`);
}

try {
  process.exitCode = (await checkAll()) === 0 ? 0 : 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
