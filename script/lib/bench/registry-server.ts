/** script/bench registry: our registry and Debian's docker-registry, paired in each round; ratios above 1 are ours. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { debianRegistry, layerOf, pattern, pushImage, streamOf } from "../../../src/registry/fixture.ts";
import { createRegistryClient } from "../../../src/registry/index.ts";
import { TestRegistry } from "../../../test/support/registry.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, json: { type: "string" } },
});
const rounds = Number(values.rounds);
/** What is pushed and pulled: 100 MB. */
const blob = Buffer.concat(Array.from({ length: 10 }, (_, seed) => pattern(10_000_000, seed + 1)));
const { digest } = layerOf(blob);
const path = "bench/image";
/** Seconds of each run of wrk. */
const duration = 2;

interface Row {
  title: string;
  aim: number;
  /** What is measured, more being better. */
  measure(base: string): Promise<number>;
}

const rows: Row[] = [
  {
    title: "blob GET, 100 MB, 1 connection, GET/s",
    aim: 1,
    measure: (base) => wrk(base, `blobs/${digest}`, 1),
  },
  {
    title: "blob GET, 100 MB, 4 connections, GET/s",
    aim: 1,
    measure: (base) => wrk(base, `blobs/${digest}`, 4),
  },
  { title: "manifest GET, 16 connections, GET/s", aim: 1, measure: (base) => wrk(base, "manifests/v1", 16) },
  { title: "push of 100 MB, pushes/s", aim: 0.9, measure: push },
];

/** Requests a second; an answer that is none of 2xx fails. */
async function wrk(base: string, what: string, connections: number): Promise<number> {
  const accept = "Accept: application/vnd.oci.image.manifest.v1+json";
  const command = [
    "wrk",
    "-t1",
    `-c${connections}`,
    `-d${duration}s`,
    "-H",
    accept,
    `${base}/v2/${path}/${what}`,
  ];
  const child = Bun.spawn(command, { stdout: "pipe" });
  const text = await new Response(child.stdout).text();
  if (/Non-2xx/.test(text)) throw new Error(`${base}: ${text}`);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
}

/** The best of three: what the disk does meanwhile is nobody's merit. */
async function push(base: string): Promise<number> {
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
  next.searchParams.set("digest", digest);
  const done = await fetch(next, { method: "PUT" });
  if (done.status !== 201) throw new Error(`${base}: push: ${done.status} ${await done.text()}`);
  return 1000 / (performance.now() - startedAt);
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

await using ours = await TestRegistry.start();
await using theirs = await debianRegistry();
const bases = [ours, theirs].map(({ address }) => `http://${address}`);
for (const { address } of [ours, theirs]) {
  const repository = createRegistryClient({}).repository({ domain: address, path });
  await repository.pushBlob(layerOf(blob), streamOf(blob));
  await pushImage(repository, "v1");
}
const results = [];
for (const row of rows) {
  console.error(`measuring ${row.title}`);
  const measured: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    // Each is first as often as the other.
    for (const which of round % 2 ? [1, 0] : [0, 1]) measured[which]!.push(await row.measure(bases[which]!));
  }
  const [gantry, debian] = [median(measured[0]!), median(measured[1]!)];
  results.push({ title: row.title, gantry, debian, ratio: gantry / debian, aim: row.aim });
}
for (const { title, gantry, debian, ratio, aim } of results) {
  const cells = [title.padEnd(40), gantry.toFixed(1).padStart(9), debian.toFixed(1).padStart(9)];
  console.log(`| ${cells.join(" | ")} | ${ratio.toFixed(2).padStart(6)} | ≥ ${aim} |`);
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
