/** What is measured of memory: at rest with containers, and the most while large images and contexts pass through. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { incompressible, largestImage } from "./archives.ts";
import { type Engine, GantryByDocker, gantry, must, Podman, quietly } from "./engine.ts";
import { emptyRegistry, registryHost, stopRegistry } from "./registry.ts";
import { crowd, endCrowd, largeCrowd, nameFor, startCrowd } from "./rows.ts";

/** Megabytes of each engine by name. */
export interface MemoryLine {
  row: string;
  title: string;
  target: string;
  unit: "MB";
  values: Record<string, number>;
}

/** Of image and context; nothing in them compresses. */
const largest = { bytes: 2_000_000_000, layers: 5 };

/** Milliseconds without work before memory is looked at. */
const rest = 8000;

const isDaemon = (engine: Engine) => !(engine instanceof Podman);

/** @param isWanted by the names `memory`, `memory-crowd`, `memory-pull` and `memory-build` */
export async function measureMemory(
  all: readonly Engine[],
  directory: string,
  isWanted: (name: string) => boolean,
): Promise<MemoryLine[]> {
  // The docker CLI's view is of the same daemon.
  const engines = all.filter((engine) => !(engine instanceof GantryByDocker));
  const lines: MemoryLine[] = [];
  if (isWanted("memory")) lines.push(...(await atRest(engines)));
  if (isWanted("memory-crowd")) lines.push(await withLargeCrowd(engines.filter(isDaemon)));
  const peaks = [
    { row: "memory-pull", title: "daemon at most, pull of 2 GB, RSS", aim: 150, prepare: preparePull },
    {
      row: "memory-build",
      title: "daemon at most, build with 2 GB of context, RSS",
      aim: 200,
      prepare: prepareBuild,
    },
  ];
  for (const { row, title, aim, prepare } of peaks.filter(({ row }) => isWanted(row))) {
    console.error(`measuring ${title}`);
    const values: MemoryLine["values"] = {};
    for (const engine of engines.filter(isDaemon))
      values[engine.name] = await peak(engine, directory, prepare);
    lines.push({ row, title, target: `< ${aim} MB`, unit: "MB", values });
  }
  return lines;
}

/** With a crowd of containers, after a while of rest. */
async function atRest(engines: readonly Engine[]): Promise<MemoryLine[]> {
  console.error("measuring memory");
  const perContainer: MemoryLine["values"] = {};
  const daemons: MemoryLine["values"] = {};
  for (const engine of engines) {
    startCrowd(engine);
    await Bun.sleep(rest);
    const found = engine.memory();
    const sum = found.perContainer.reduce((total, kb) => total + kb, 0);
    perContainer[engine.name] = sum / Math.max(1, found.perContainer.length) / 1024;
    daemons[engine.name] = found.engine / 1024;
    endCrowd(engine);
  }
  const line = (row: string, title: string, target: string, values: MemoryLine["values"]): MemoryLine => ({
    row,
    title,
    target,
    unit: "MB",
    values,
  });
  return [
    line("monitor", "process beside each container, RSS", "< 2 MB", perContainer),
    line("daemon", `daemon idle with ${crowd} containers, RSS`, "< 110 MB", daemons),
  ];
}

async function withLargeCrowd(engines: readonly Engine[]): Promise<MemoryLine> {
  console.error("measuring memory of a large crowd");
  const values: MemoryLine["values"] = {};
  for (const engine of engines) {
    startCrowd(engine, largeCrowd);
    await Bun.sleep(rest);
    values[engine.name] = engine.memory().engine / 1024;
    endCrowd(engine, largeCrowd);
  }
  const title = `daemon idle with ${largeCrowd} containers, RSS`;
  return { row: "memory-crowd", title, target: "< 150 MB", unit: "MB", values };
}

interface Work {
  command: string[];
  finish(): void | Promise<void>;
}

/** The most that the engine's own processes had while the work went on, in megabytes. */
async function peak(
  engine: Engine,
  directory: string,
  prepare: (engine: Engine, directory: string) => Promise<Work>,
): Promise<number> {
  const { command, finish } = await prepare(engine, directory);
  try {
    engine.forgetPeak();
    must(command);
    return engine.memory().peak / 1024;
  } finally {
    await finish();
  }
}

async function preparePull(engine: Engine, directory: string): Promise<Work> {
  const name = nameFor(engine, "largest");
  const remote = `${registryHost}/${name}:1`;
  await emptyRegistry(engine, directory, gantry);
  const archive = largestImage(directory, `${name}:1`, largest.bytes, largest.layers);
  const options = ["-q", "--dest-tls-verify=false"];
  must(engine.inNetwork(["skopeo", "copy", ...options, `docker-archive:${archive}`, `docker://${remote}`]));
  rmSync(archive);
  return {
    command: engine.command(["pull", remote]),
    finish: async () => {
      await stopRegistry(engine, directory);
      quietly(engine.command(["rmi", "-f", remote]));
    },
  };
}

async function prepareBuild(engine: Engine, directory: string): Promise<Work> {
  const name = nameFor(engine, "largest");
  const context = join(directory, "context-largest");
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, "Dockerfile"), "FROM busybox\nCOPY . /app\n");
  const files = largest.bytes / 100_000_000;
  for (let n = 0; n < files; n++) writeFileSync(join(context, `f${n}`), incompressible(100_000_000));
  return {
    command: engine.build(["-t", name, context]),
    finish: () => {
      quietly(engine.command(["rmi", "-f", name]));
      rmSync(context, { recursive: true, force: true });
    },
  };
}
