/** The comparison: see script/compare-dockerfiles. Prints each difference and a last line with the counts. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { busyboxArchive } from "../../../test/support/busybox.ts";
import { run, TestDaemon } from "../../../test/support/daemon.ts";
import { Dockerd, systemOf } from "./dockerd.ts";
import { type Case, casesOf, contextFiles, executables } from "./generate.ts";
import { configOf, type Image, readImage } from "./image.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    suite: { type: "string" },
  },
});
const seed = Number(values.seed);
const wanted = fc.sample(casesOf(values.suite !== undefined), { numRuns: Number(values.cases), seed });

type Outcome = { image: Image } | { failure: string };

/** A fault of 20.10: `--chown` in an image without /etc/passwd. */
const dockersOwn = /invalid user index: -1/;
/** What later versions of Docker refuse and 20.10 does not; an unknown owner, which 28.5 takes for root. */
const stricter =
  /with more than one source file, the destination must be a directory|unable to find (?:user|group) /;

const root = mkdtempSync(join(tmpdir(), "compare-dockerfiles-"));
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    stopped = true;
  });
/** @returns how many differ */
async function compareAll(): Promise<number> {
  let failed = 0;
  await using dockerd = await Dockerd.start(join(root, "dockerd"), values.suite && systemOf(values.suite));
  await using gantry = await TestDaemon.start();
  const environment = {
    DOCKER_HOST: dockerd.host,
    DOCKER_BUILDKIT: "1",
    DOCKER_CONFIG: join(root, "config"),
  };
  const docker = (...args: string[]) => run([dockerd.client, ...args], { env: environment });
  const loaded = await docker("load", "-q", "-i", busyboxArchive());
  if (loaded.code !== 0) throw new Error(`dockerd cannot load busybox: ${loaded.stderr}`);

  const theirs = (tag: string, context: string) =>
    outcome(
      dockerd.socket,
      tag,
      docker("build", "-q", "--network", "none", "--build-arg", "B=given", "-t", tag, context),
    );
  const ours = (tag: string, context: string) =>
    outcome(
      gantry.socket,
      tag,
      gantry.gantry(["build", "-q", "--network", "none", "--build-arg", "B=given", "-t", tag, context]),
    );
  let refused = 0;
  for (const [i, one] of wanted.entries()) {
    if (stopped) break;
    if (values.only !== undefined && Number(values.only) !== i) continue;
    const context = join(root, `context-${i}`);
    writeContext(context, one);
    const [their, our] = await Promise.all([theirs(`case-${i}`, context), ours(`case-${i}`, context)]);
    rmSync(context, { recursive: true });
    if ("failure" in their && "failure" in our) refused++;
    const difference = compare(their, our);
    if (difference.length === 0) continue;
    failed++;
    console.log(`case ${i} (--seed ${seed} --only ${i}):\n${one.dockerfile}`);
    if (one.ignore) console.log(`.dockerignore:\n${one.ignore}`);
    console.log(`${difference.map((text) => `  ${text}`).join("\n")}\n`);
  }
  console.log(
    `seed ${seed}: ${wanted.length} Dockerfiles, ${refused} of them refused by both, ${failed} differ`,
  );
  return failed;
}

try {
  process.exitCode = (await compareAll()) === 0 && !stopped ? 0 : 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}

function writeContext(directory: string, { dockerfile, ignore }: Case): void {
  for (const [path, content] of Object.entries(contextFiles)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
  }
  for (const path of executables) chmodSync(join(directory, path), 0o755);
  chmodSync(join(directory, "d"), 0o750);
  symlinkSync("a", join(directory, "link"));
  Bun.spawnSync(["tar", "-C", directory, "-cf", join(directory, "archive.tar"), "n", "link"]);
  Bun.spawnSync(["tar", "-C", directory, "-czf", join(directory, "archive.tar.gz"), "--mode=u+x", "d"]);
  writeFileSync(join(directory, "Dockerfile"), dockerfile);
  if (ignore) writeFileSync(join(directory, ".dockerignore"), ignore);
}

async function outcome(socket: string, tag: string, building: ReturnType<typeof run>): Promise<Outcome> {
  const { code, stderr } = await building;
  if (code !== 0) return { failure: stderr.trim() };
  const get = (path: string) =>
    fetch(`http://localhost/images/${tag}/${path}`, { unix: socket } as RequestInit);
  const archive = await get("get");
  if (archive.ok) return { image: readImage(new Uint8Array(await archive.arrayBuffer())) };
  // Docker 20.10 does not save an image without layers.
  const { Author, Config } = (await (await get("json")).json()) as {
    Author: string;
    Config: Record<string, unknown>;
  };
  return { image: { config: configOf(Author, Config), files: {} } };
}

function compare(theirs: Outcome, ours: Outcome): string[] {
  if ("failure" in theirs || "failure" in ours) {
    if ("failure" in theirs && ("failure" in ours || dockersOwn.test(theirs.failure))) return [];
    if ("failure" in theirs) return [`Docker refuses: ${lastLine(theirs.failure)}`];
    return "failure" in ours && !stricter.test(ours.failure)
      ? [`Gantry refuses: ${lastLine(ours.failure)}`]
      : [];
  }
  return [
    ...unequal("config", theirs.image.config, ours.image.config),
    ...unequal("file", theirs.image.files, ours.image.files),
  ];
}

function lastLine(text: string): string {
  return text.split("\n").at(-1)!;
}

function unequal(what: string, theirs: Record<string, unknown>, ours: Record<string, unknown>): string[] {
  const keys = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])];
  return keys.flatMap((key) =>
    Bun.deepEquals(theirs[key], ours[key])
      ? []
      : `${what} ${key}: Docker ${JSON.stringify(theirs[key])}, Gantry ${JSON.stringify(ours[key])}`,
  );
}
