/** `develop.watch`: files are looked at as they change, and services follow. */
import { existsSync, type FSWatcher, watch as watchPath } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "../../../lib/errors.ts";
import type { Project } from "../../model/types.ts";
import { buildServices } from "../build.ts";
import type { Session } from "../session.ts";
import { execAll, pruneImages, restartAll, runningContainers, syncFiles } from "./apply.ts";
import { type Changes, changesBetween, type Tree, Watched } from "./tree.ts";

/** Milliseconds without another change after which the changes count as one. */
const quietPeriod = 300;

export interface WatchOptions {
  quiet: boolean;
  prune: boolean;
  /** Makes services' containers again from their new images, and starts them. */
  recreate: (services: string[]) => Promise<void>;
  signal: AbortSignal;
}

interface Watch {
  service: string;
  watched: Watched;
  tree: Tree;
  /** Something has happened there since the tree was read. */
  dirty: boolean;
}

/** The services among `names` that have something to watch. */
export function watchedServices(project: Project, names: Iterable<string>): string[] {
  return [...names].filter((name) => project.services[name]?.develop?.watch?.length);
}

/** Watches until the signal. What goes wrong with one change is told, and the next is waited for. */
export async function watchServices(
  session: Session,
  project: Project,
  services: readonly string[],
  options: WatchOptions,
): Promise<void> {
  const watches = services.flatMap((service): Watch[] => {
    const { develop, build } = project.services[service]!;
    return develop!.watch!.map((rule) => ({
      service,
      watched: new Watched(rule, build?.context),
      tree: new Map(),
      dirty: rule.initial_sync === true && rule.action.startsWith("sync"),
    }));
  });
  const bell = new Bell();
  const watchers = watches.map((watch) =>
    open(watch.watched.rule.path, () => {
      watch.dirty = true;
      bell.ring();
    }),
  );
  const stop = () => bell.ring();
  options.signal.addEventListener("abort", stop);
  try {
    for (const watch of watches) if (!watch.dirty) watch.tree = watch.watched.read();
    if (watches.some(({ dirty }) => dirty)) bell.ring();
    session.out.write("Watch enabled\n");
    while (!options.signal.aborted) {
      await bell.quiet(quietPeriod, options.signal);
      if (options.signal.aborted) return;
      try {
        await follow(session, project, watches, options);
      } catch (error) {
        session.warn(`watch: ${messageOf(error)}`);
      }
    }
  } finally {
    options.signal.removeEventListener("abort", stop);
    for (const watcher of watchers) watcher.close();
  }
}

/** A path that isn't there yet is waited for in its directory. */
function open(path: string, onChange: () => void): FSWatcher {
  const there = existsSync(path) ? path : dirname(path);
  const watcher = watchPath(there, { recursive: true }, onChange);
  // Directories go while they are looked through; what is left is read again.
  watcher.on("error", onChange);
  return watcher;
}

/** Rings are remembered until somebody has waited for them. */
class Bell {
  #ringing = Promise.withResolvers<void>();

  ring(): void {
    this.#ringing.resolve();
  }

  /** Resolves after a ring once it has been quiet for so long, or at the signal. */
  async quiet(milliseconds: number, signal: AbortSignal): Promise<void> {
    await this.#ringing.promise;
    for (let again = true; again && !signal.aborted; ) {
      this.#ringing = Promise.withResolvers<void>();
      again = await Promise.race([
        this.#ringing.promise.then(() => true),
        Bun.sleep(milliseconds).then(() => false),
      ]);
    }
  }
}

async function follow(
  session: Session,
  project: Project,
  watches: readonly Watch[],
  options: WatchOptions,
): Promise<void> {
  const changes = new Map<Watch, Changes>();
  for (const watch of watches.filter(({ dirty }) => dirty)) {
    watch.dirty = false;
    const tree = watch.watched.read();
    const found = changesBetween(watch.tree, tree);
    watch.tree = tree;
    if (found.changed.length + found.removed.length > 0) changes.set(watch, found);
  }
  const byService = Map.groupBy(changes.keys(), ({ service }) => service);
  const rebuilt = [...byService.keys()].filter((service) =>
    byService.get(service)!.some(({ watched }) => watched.rule.action === "rebuild"),
  );
  if (rebuilt.length > 0) {
    const names = `service(s) [${rebuilt.map((name) => JSON.stringify(name)).join(" ")}]`;
    session.out.write(`Rebuilding ${names} after changes were detected...\n`);
    await buildServices(session, project, rebuilt, { quiet: options.quiet, forRunning: true });
    session.out.write(`${names} successfully built\n`);
    await options.recreate(rebuilt);
    if (options.prune) await pruneImages(session, project);
  }
  // The new image has the files.
  for (const [service, own] of byService)
    if (!rebuilt.includes(service)) await update(session, project, service, own, changes);
}

async function update(
  session: Session,
  project: Project,
  service: string,
  watches: readonly Watch[],
  changes: ReadonlyMap<Watch, Changes>,
): Promise<void> {
  const containers = await runningContainers(session, project, service);
  const rules = watches.map((watch) => ({ rule: watch.watched.rule, changes: changes.get(watch)! }));
  for (const { rule, changes } of rules) {
    if (!rule.action.startsWith("sync")) continue;
    const count = changes.changed.length + changes.removed.length;
    session.out.write(`Syncing service ${JSON.stringify(service)} after ${count} changes were detected\n`);
    await syncFiles(session, containers, rule, changes);
  }
  for (const { rule } of rules)
    if (rule.action === "sync+exec") await execAll(session, containers, rule.exec!);
  if (!rules.some(({ rule }) => rule.action.endsWith("restart"))) return;
  await restartAll(session, containers);
  session.out.write(`service(s) [${JSON.stringify(service)}] restarted\n`);
}
