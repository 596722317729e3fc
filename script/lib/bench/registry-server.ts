/** script/bench registry: our registry and Debian's docker-registry, paired in each round; ratios above 1 are ours. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { debianRegistry, layerOf, pattern, pushImage, streamOf } from "../../../src/registry/fixture.ts";
import { createRegistryClient } from "../../../src/registry/index.ts";
import { TestRegistry } from "../../../test/support/registry.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, json: { type: "string" } },
});
const rounds = Number(values.rounds);
/** What is pushed and pulled: 100 MB, and 10 kB. */
const blob = Buffer.concat(Array.from({ length: 10 }, (_, seed) => pattern(10_000_000, seed + 1)));
const smallBlob = pattern(10_000, 11);
const path = "bench/image";
/** Seconds of each run of wrk. */
const duration = 2;

interface Server {
  address: string;
  pid: number;
}

interface Row {
  title: string;
  aim: number;
  /** What is measured, more being better. */
  measure(server: Server): Promise<number>;
}

const large = `blobs/${layerOf(blob).digest}`;
const small = `blobs/${layerOf(smallBlob).digest}`;
const rows: Row[] = [
  { title: "blob GET, 100 MB, 1 connection, MB/s", aim: 1, measure: (server) => megabytes(server, 1) },
  { title: "blob GET, 100 MB, 4 connections, MB/s", aim: 1, measure: (server) => megabytes(server, 4) },
  { title: "blob GET, 100 MB, 16 connections, MB/s", aim: 1, measure: (server) => megabytes(server, 16) },
  { title: "the same, MB per second of its processor time", aim: 1, measure: megabytesPerProcessor },
  { title: "blob GET, 10 kB, 16 connections, GET/s", aim: 1, measure: (server) => requests(server, small) },
  {
    title: "manifest GET, 16 connections, GET/s",
    aim: 1,
    measure: (server) => requests(server, "manifests/v1"),
  },
  { title: "push of 100 MB, pushes/s", aim: 0.9, measure: push },
];

/** As megabytes, for in the time of a run few answers come to their end. */
async function megabytes(server: Server, connections: number): Promise<number> {
  // Clients share no thread: one that takes from four connections is full before either registry is.
  return (await wrk(server, large, connections, connections)).bytes / 1e6 / duration;
}

async function megabytesPerProcessor(server: Server): Promise<number> {
  const before = processorSeconds(server);
  const { bytes } = await wrk(server, large, 16, 16);
  return bytes / 1e6 / (processorSeconds(server) - before);
}

async function requests(server: Server, what: string): Promise<number> {
  return (await wrk(server, what, 16, 1)).requests / duration;
}

/** What was answered in the time; an answer that is none of 2xx fails. */
async function wrk(
  { address }: Server,
  what: string,
  connections: number,
  threads: number,
): Promise<{ requests: number; bytes: number }> {
  const url = `http://${address}/v2/${path}/${what}`;
  const flags = [
    `-t${threads}`,
    `-c${connections}`,
    `-d${duration}s`,
    "-s",
    join(import.meta.dir, "wrk.lua"),
  ];
  const child = Bun.spawn(["wrk", ...flags, url], { stdout: "pipe" });
  const text = await new Response(child.stdout).text();
  const found = /^answered (\d+) requests, (\d+) bytes, (\d+) failed$/m.exec(text);
  if (found?.[3] !== "0") throw new Error(`${url}: ${text}`);
  return { requests: Number(found[1]), bytes: Number(found[2]) };
}

/** User and system time of all its threads so far; the kernel counts in hundredths (proc(5), stat). */
function processorSeconds({ pid }: Server): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The best of three: what the disk does meanwhile is nobody's merit. */
async function push({ address }: Server): Promise<number> {
  const base = `http://${address}`;
  const rates = [await pushOnce(base), await pushOnce(base), await pushOnce(base)];
  return Math.max(...rates);
}

async function pushOnce(base: string): Promise<number> {
  const startedAt = performance.now();
  const repository = `bench/push-${Math.random().toString(36).slice(2)}`;
  const begun = await fetch(`${base}/v2/${repository}/blobs/uploads/`, { method: "POST" });
  const target = new URL(begun.headers.get("location")!, base);
  const sent = await fetch(target, { method: "PATCH", body: blob });
  const next = new URL(sent.headers.get("location")!, base);
  next.searchParams.set("digest", layerOf(blob).digest);
  const done = await fetch(next, { method: "PUT" });
  if (done.status !== 201) throw new Error(`${base}: push: ${done.status} ${await done.text()}`);
  return 1000 / (performance.now() - startedAt);
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

await using ours = await TestRegistry.start();
await using theirs = await debianRegistry();
const servers = [ours, theirs];
for (const { address } of servers) {
  const repository = createRegistryClient({}).repository({ domain: address, path });
  for (const bytes of [blob, smallBlob]) await repository.pushBlob(layerOf(bytes), streamOf(bytes));
  await pushImage(repository, "v1");
}
const results = [];
for (const row of rows) {
  console.error(`measuring ${row.title}`);
  const measured: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    // Each is first as often as the other.
    for (const which of round % 2 ? [1, 0] : [0, 1])
      measured[which]!.push(await row.measure(servers[which]!));
  }
  const [gantry, debian] = [median(measured[0]!), median(measured[1]!)];
  results.push({ title: row.title, gantry, debian, ratio: gantry / debian, aim: row.aim });
}
for (const { title, gantry, debian, ratio, aim } of results) {
  const cells = [title.padEnd(46), gantry.toFixed(1).padStart(9), debian.toFixed(1).padStart(9)];
  console.log(`| ${cells.join(" | ")} | ${ratio.toFixed(2).padStart(6)} | ≥ ${aim} |`);
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
