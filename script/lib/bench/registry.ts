/** A registry beside an engine, in its network; the same program for each engine. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "./engine.ts";

const port = 5999;
const running = new Map<Engine, Bun.Subprocess>();

/** Where an engine finds its registry. */
export const registryHost = `localhost:${port}`;

/** Starts the engine's registry with nothing in it, in the place of the one before. */
export async function emptyRegistry(engine: Engine, directory: string, program: string): Promise<void> {
  await stopRegistry(engine);
  const root = rootOf(engine, directory);
  rmSync(root, { recursive: true, force: true });
  const child = Bun.spawn(
    engine.inNetwork([program, "registry", "serve", "--addr", `127.0.0.1:${port}`, "--root", root]),
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  running.set(engine, child);
  // Its first line says that it listens.
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
}

const rootOf = (engine: Engine, directory: string) =>
  join(directory, `registry-${engine.name.replace(/\W+/g, "-")}`);

/** @param directory when what the registry has is to go at once */
export async function stopRegistry(engine: Engine, directory?: string): Promise<void> {
  const child = running.get(engine);
  running.delete(engine);
  child?.kill("SIGTERM");
  await child?.exited;
  if (directory) rmSync(rootOf(engine, directory), { recursive: true, force: true });
}
