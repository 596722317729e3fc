/** script/bench: starts the engines, measures row by row, prints a table, and leaves nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { busyboxArchive } from "../../../test/support/busybox.ts";
import { buildRowsIn } from "./build-rows.ts";
import { buildEnvironment, withBuildKit } from "./docker-cli.ts";
import { Dockerd, type Engine, Gantry, GantryByDocker, isInstalled, must, Podman } from "./engine.ts";
import { imageRowsIn } from "./image-rows.ts";
import { measure, type Timing } from "./measure.ts";
import { measureMemory } from "./memory.ts";
import { type Row, rowsIn } from "./rows.ts";
import { streamRows } from "./stream-rows.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    only: { type: "string" },
    json: { type: "string" },
  },
});

interface Line {
  row: string;
  title: string;
  target?: string;
  unit: "ms" | "MB";
  values: Record<string, Timing | number>;
}

Object.assign(process.env, buildEnvironment, { BUILDAH_LAYERS: "true" });

const directory = mkdtempSync("/tmp/gantry-bench-");
const gantry = new Gantry(directory);
const engines: Engine[] = [
  ...(isInstalled("dockerd") && isInstalled("docker") ? [new Dockerd(directory)] : []),
  gantry,
  ...(isInstalled("docker") ? [new GantryByDocker(gantry)] : []),
  ...(isInstalled("podman") ? [new Podman(directory)] : []),
];

async function stopAll(): Promise<void> {
  for (const engine of engines.toReversed())
    await engine.stop().catch((error: unknown) => console.error(`${engine.name}: ${String(error)}`));
  rmSync(directory, { recursive: true, force: true });
}
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void stopAll().finally(() => process.exit(130)));

const versions = {
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus().length} CPUs (${cpus()[0]?.model ?? "unknown"}), Linux ${release()}`,
  ...Object.fromEntries(engines.map((engine) => [engine.name, engine.version()])),
};

if (isInstalled("docker"))
  Object.assign(versions, {
    "builds of dockerd": withBuildKit
      ? `by BuildKit, ${must([withBuildKit, "--version"])}`
      : "by the classic builder: no docker CLI here speaks to BuildKit (docker.io of Debian 12, or docker-buildx)",
  });

const lines: Line[] = [];
try {
  for (const engine of engines) {
    await engine.start();
    // The docker CLI's view is of a daemon that has the image already.
    if (!(engine instanceof GantryByDocker)) must(engine.command(["load", "-i", busyboxArchive()]));
  }
  const wanted = values.only?.split(",");
  const isWanted = (name: string) => wanted === undefined || wanted.includes(name);
  const rows = [...rowsIn(directory), ...buildRowsIn(directory), ...streamRows, ...imageRowsIn(directory)];
  for (const row of rows.filter(({ name }) => isWanted(name))) {
    console.error(`measuring ${row.title}`);
    const timings = await measure(row, engines, Number(values.rounds));
    lines.push({
      row: row.name,
      title: row.title,
      target: aimOf(row),
      unit: "ms",
      values: Object.fromEntries([...timings].map(([engine, timing]) => [engine.name, timing])),
    });
  }
  lines.push(...(await measureMemory(engines, directory, isWanted)));
} finally {
  await stopAll();
}

console.log(table());
if (values.json) writeFileSync(values.json, `${JSON.stringify({ versions, lines }, undefined, 2)}\n`);

function table(): string {
  const names = engines.map((engine) => engine.name);
  const header = ["", ...names, ...(names.includes("dockerd") ? ["gantry / dockerd", "aim"] : [])];
  const rows = lines.map((line) => {
    const cells = names.map((name) => show(line.values[name], line.unit));
    const [ours, theirs] = [middle(line.values.gantry), middle(line.values.dockerd)];
    const ratio = ours !== undefined && theirs ? (ours / theirs).toFixed(2) : "";
    return [line.title, ...cells, ...(names.includes("dockerd") ? [ratio, line.target ?? ""] : [])];
  });
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]!.length)));
  const draw = (row: string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const facts = Object.entries(versions).map(([name, version]) => `${name}: ${version}`);
  const ruler = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [draw(header), ruler, ...rows.map(draw), "", ...facts].join("\n");
}

function aimOf({ target, targetMs }: Row): string | undefined {
  if (targetMs !== undefined) return `< ${targetMs} ms`;
  return target === undefined ? undefined : `≤ ${target}`;
}

function middle(value: Timing | number | undefined): number | undefined {
  return typeof value === "number" ? value : value?.median;
}

function show(value: Timing | number | undefined, unit: string): string {
  if (value === undefined || value === 0) return "";
  if (typeof value === "number") return `${value.toFixed(1)} ${unit}`;
  return `${value.median.toFixed(0)} ${unit} (${value.p10.toFixed(0)}–${value.p90.toFixed(0)})`;
}
