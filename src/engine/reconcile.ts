import { lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { spreadDirectories } from "../linux/inode-flags.ts";
import { mountsBelow } from "../linux/mount.ts";
import type { ContainerService } from "./containers/index.ts";
import type { Lifecycle } from "./containers/lifecycle.ts";
import { startsWithDaemon } from "./containers/restart-policy.ts";
import { isRunning } from "./containers/state.ts";
import type { Container, ContainerTable } from "./containers/table.ts";
import { type Context, paths, snapshotKey } from "./context.ts";
import type { NetworkService } from "./networks.ts";
import { admit } from "./remap.ts";
import type { Volumes } from "./volumes.ts";

export interface Reconciled {
  context: Context;
  table: ContainerTable;
  networks: NetworkService;
  volumes: Volumes;
  lifecycle: Lifecycle;
  containers: ContainerService;
  /** Of the mounts that the kernel has, those of images that somebody looks into. */
  keepImageMounts(mounted: readonly string[]): string[];
}

/**
 * Brings database, monitors and kernel together after any kind of end of the last daemon: running containers are
 * taken over, exits in between are recorded, half-made and half-removed things are finished or removed.
 */
export async function reconcile(deps: Reconciled): Promise<void> {
  const { context, table, lifecycle, containers } = deps;
  const { options } = context;
  for (const directory of ["c", "e", "r", "f", "b"])
    mkdirSync(join(options.execRoot, directory), { recursive: true, mode: 0o700 });
  for (const directory of ["r", "f", "b"].map((name) => join(options.execRoot, name)))
    admit(context.remap?.root, directory);
  // Read now: containers that are taken over have health checks, which are execs of this daemon's own.
  const leftExecs = readdirSync(join(options.execRoot, "e"));
  // One container that can't be brought in line must not keep all others from their daemon.
  const attempt = (container: Container, what: string, work: Promise<void>) =>
    work.catch((error: unknown) =>
      console.error(`cannot ${what} container ${container.record.name}: ${messageOf(error)}`),
    );
  await Promise.all(
    table.all().map((container) => attempt(container, "take over", takeOver(deps, container))),
  );
  dropStrays(deps);
  await reapExecs(context, leftExecs);
  deps.volumes.dropIdleMounts();
  lifecycle.admitStarts();
  for (const container of table.all()) {
    if (startsWithDaemon(container.record)) await attempt(container, "start", lifecycle.start(container));
    else if (container.record.hostConfig.AutoRemove && container.record.state.status === "exited")
      await attempt(container, "remove", containers.removeStopped(container, true));
  }
}

async function takeOver(
  { context, table, lifecycle, containers }: Reconciled,
  container: Container,
): Promise<void> {
  const { record } = container;
  const process = await context.runtime.reopen(paths.stateDir(context.options, record.id));
  if (record.state.status === "removing" || record.state.status === "dead") {
    await containers.removeStopped(container, false);
  } else if (process && (await stillRuns(process.exited))) {
    await lifecycle.adopt(container, process);
  } else if (isRunning(record)) {
    await lifecycle.settleExit(container, await process?.exited);
  } else if (process || record.state.status === "restarting" || record.sandboxId !== "") {
    // Started and ended before the daemon that started it could say so, or cut short in its start: nothing was
    // acknowledged, and what there is would be in the way of the next start.
    await lifecycle.release(record);
    table.note(container);
    if (record.state.status === "restarting") lifecycle.resumeRestart(container);
  }
}

async function stillRuns(exited: Promise<unknown>): Promise<boolean> {
  const running = Symbol();
  return (
    (await Promise.race([exited, new Promise((resolve) => setImmediate(() => resolve(running)))])) === running
  );
}

/** What belongs to no container: kernel objects, directories and snapshots of work that a crash cut short. */
function dropStrays({ context, table, networks, keepImageMounts }: Reconciled): void {
  const { options, network, store } = context;
  const records = table.all().map((container) => container.record);
  network.reconcile({
    bridges: networks
      .records()
      .map((record) => record.bridge)
      .filter((bridge) => bridge !== ""),
    endpoints: records
      .flatMap((record) => Object.values(record.endpoints).map((endpoint) => endpoint.endpointId))
      .filter((id) => id !== ""),
    sandboxes: records.map((record) => record.sandboxId).filter((id) => id !== ""),
  });
  const live = new Set(
    records.filter(isRunning).flatMap(({ id }) => [paths.rootfs(options, id), paths.shm(options, id)]),
  );
  for (const path of keepImageMounts(mountsBelow(options.execRoot))) live.add(path);
  for (const mount of [...mountsBelow(options.execRoot), ...mountsBelow(paths.tmp(options))])
    if (!live.has(mount) && mount !== context.remap?.view && !mount.includes("/netns/"))
      store.snapshots.unmount(mount);
  // Places of mounts are empty when nothing is mounted there; one that isn't is left, and shows a mistake.
  for (const directory of ["r", "f"])
    for (const name of readdirSync(join(options.execRoot, directory))) {
      const place = join(options.execRoot, directory, name);
      if (!live.has(place)) removePlace(place);
    }
  const known = new Set(records.map((record) => snapshotKey(record.id)));
  for (const { key, kind } of store.snapshots.list()) {
    const ours =
      key.startsWith("container/") ||
      key.startsWith("import/") ||
      (key.startsWith("init/") && kind === "active");
    if (ours && !known.has(key)) store.snapshots.remove(key);
  }
  const dataIds = new Set(records.map((record) => record.id));
  const data = join(options.dataRoot, "containers");
  mkdirSync(data, { recursive: true, mode: 0o710 });
  for (const id of readdirSync(data))
    if (!dataIds.has(id)) rmSync(join(data, id), { recursive: true, force: true });
  rmSync(paths.tmp(options), { recursive: true, force: true });
  mkdirSync(paths.tmp(options), { recursive: true, mode: 0o700 });
  spreadDirectories(paths.tmp(options));
}

function removePlace(path: string): void {
  try {
    if (lstatSync(path).isDirectory()) rmdirSync(path);
    else unlinkSync(path);
  } catch (error) {
    console.error(`cannot remove ${path}: ${messageOf(error)}`);
  }
}

/**
 * Execs whose daemon is gone: nobody can ask for them any more. A running one's monitor goes on; one that was not told
 * to start ends now that somebody has come and gone.
 */
async function reapExecs({ options, runtime }: Context, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const directory = join(options.execRoot, "e", name);
    const files = readdirSync(directory);
    const runs = !files.includes("exit") && (files.includes("started") || (await runtime.reopen(directory)));
    if (!runs) rmSync(directory, { recursive: true, force: true });
  }
}
