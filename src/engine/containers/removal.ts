/** How containers go, and their links. */
import { rmSync } from "node:fs";
import { Conflict, Internal, messageOf, NotFound } from "../../lib/errors.ts";
import { type Context, paths, snapshotKey } from "../context.ts";
import type { ContainerRecord } from "../types.ts";
import type { Volumes } from "../volumes.ts";
import { containerEvent } from "./events.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { dropLinkHosts, parseLink } from "./links.ts";
import { allows, isRunning, transit } from "./state.ts";
import type { Container, ContainerTable } from "./table.ts";

interface Dependencies {
  context: Context;
  table: ContainerTable;
  volumes: Volumes;
  lifecycle: Lifecycle;
}

export class Removal {
  constructor(private readonly deps: Dependencies) {}

  /** @throws Conflict when it runs, unless by force */
  async remove(container: Container, options: { force: boolean; volumes: boolean }): Promise<void> {
    const { record } = container;
    if (isRunning(record) || record.state.status === "restarting") {
      if (!options.force) {
        const hint =
          record.state.status === "paused"
            ? "unpause and then stop the container before removal or force remove"
            : "stop the container before removing or force remove";
        throw new Conflict(
          `cannot remove container "/${record.name}": container is ${record.state.status}: ${hint}`,
        );
      }
      await this.deps.lifecycle.kill(container, {}).catch((error: unknown) => {
        // It may have exited on its own in the meantime.
        if (!(error instanceof Conflict)) throw error;
      });
      await container.exitHandled;
    }
    await this.stopped(container, options.volumes);
  }

  /** `rm --link /web/db`: web forgets the alias db. @throws NotFound, Conflict for a container's own name */
  link(path: string): Promise<void> {
    const [parent = "", alias, ...rest] = path.replace(/^\//, "").split("/");
    if (alias === undefined || rest.length > 0)
      throw new Conflict("Conflict, cannot remove the default link name of the container");
    const container = this.deps.table.find(parent);
    return container.mutex.run(async () => {
      const { hostConfig } = container.record;
      const links = hostConfig.Links ?? [];
      const kept = links.filter((link) => parseLink(link).alias !== alias);
      if (kept.length === links.length) throw new NotFound(`no link ${alias} of container ${parent}`);
      dropLinkHosts(container.record, alias, this.deps.table);
      hostConfig.Links = kept;
      this.deps.table.save(container);
    });
  }

  /** The end of a container that does not run. Safe to call again after a failure or crash half-way. */
  stopped(container: Container, volumes: boolean): Promise<void> {
    return container.mutex.run(async () => {
      const { context, table, lifecycle } = this.deps;
      const { record } = container;
      if (!table.byId(record.id)) return;
      if (!allows(record.state.status, "remove"))
        throw new Conflict(
          `cannot remove container "/${record.name}": container is ${record.state.status}: stop the container before removing or force remove`,
        );
      transit(record, "remove");
      table.save(container);
      for (const { stream } of container.waitingAttachers.splice(0)) stream.abandon();
      try {
        await lifecycle.release(record);
        if (context.store.snapshots.stat(snapshotKey(record.id)))
          context.store.snapshots.remove(snapshotKey(record.id));
        rmSync(paths.containerData(context.options, record.id), { recursive: true, force: true });
      } catch (error) {
        transit(record, "remove-failed");
        table.save(container);
        throw new Internal(`cannot remove container ${record.name}: ${messageOf(error)}`, { cause: error });
      }
      table.delete(container);
      try {
        if (volumes) await this.#removeAnonymousVolumes(record);
      } finally {
        containerEvent(context, record, "destroy");
        container.tellRemoval();
      }
    });
  }

  async #removeAnonymousVolumes(record: ContainerRecord): Promise<void> {
    for (const mount of record.mounts) {
      if (mount.type !== "volume" || !mount.name) continue;
      try {
        if (this.deps.volumes.get(mount.name).anonymous) await this.deps.volumes.remove(mount.name, true);
      } catch (error) {
        // Another container uses it, or it is gone: both leave it alone.
        if (!(error instanceof Conflict) && !(error instanceof NotFound)) throw error;
      }
    }
  }
}
