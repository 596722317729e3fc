import { mkdirSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { Conflict, messageOf, NotModified } from "../../lib/errors.ts";
import { rootOf } from "../../lib/id-map.ts";
import { MNT_DETACH, umountIfMounted } from "../../linux/mount.ts";
import { StartFailure } from "../../runtime/index.ts";
import type { ExitRecord, MonitoredProcess } from "../../runtime/types.ts";
import { type Context, paths, snapshotKey } from "../context.ts";
import type { ContainerRecord, StopOptions } from "../types.ts";
import type { Volumes } from "../volumes.ts";
import { shareEtcFiles, writeEtcFiles } from "./etc-files.ts";
import { containerEvent } from "./events.ts";
import { watchHealth } from "./health.ts";
import { linkHosts, refreshLinkHosts } from "./links.ts";
import { logSpec } from "./log-config.ts";
import { MountSources } from "./mount-sources.ts";
import { type Networking, sharedWith } from "./networking.ts";
import { backOff, firstDelay, shouldRestart } from "./restart-policy.ts";
import { mountSharedMemory } from "./shared-memory.ts";
import { parseSignal } from "./signals.ts";
import { containerSpec } from "./spec.ts";
import { isRunning, transit } from "./state.ts";
import type { Container, ContainerTable } from "./table.ts";
import { holdNamespaceOf } from "./user-namespace.ts";

/** A label, for Docker's API has no field for it: the container is restarted when it becomes unhealthy. */
const restartUnhealthy = "gantry.restart-unhealthy";

export interface LifecycleHooks {
  /** Runs a health probe in the container. */
  probe(
    container: Container,
    command: string[],
    timeoutMs: number,
  ): Promise<{ exitCode: number; output: string }>;
  /** Its processes have ended. */
  ended(container: Container): void;
  /** Removes a container whose AutoRemove is due, its anonymous volumes too. */
  autoRemove(container: Container): Promise<void>;
}

/** Start, exit, stop and restart of containers: all that moves one through its states. */
export class Lifecycle {
  hooks!: LifecycleHooks;
  readonly #startsAdmitted = Promise.withResolvers<void>();

  constructor(
    private readonly context: Context,
    private readonly table: ContainerTable,
    private readonly networking: Networking,
    private readonly volumes: Volumes,
  ) {}

  /**
   * From now on containers start; those whose restart was due before do now. Until then what the last daemon has left
   * is put in order, and what a start makes would pass for that.
   */
  admitStarts(): void {
    this.#startsAdmitted.resolve();
  }

  /**
   * @param checkpoint directory of one to go on from
   * @throws NotModified when it runs already, Conflict, StartFailure
   */
  async start(container: Container, checkpoint?: string): Promise<void> {
    const failure = await container.mutex.run(async () => {
      const { status } = container.record.state;
      if (status === "paused") throw new Conflict("cannot start a paused container, try unpause instead");
      if (status === "running") throw new NotModified(`container ${container.record.id} is already running`);
      if (status === "removing" || status === "dead")
        throw new Conflict("container is marked for removal and cannot be started");
      this.#cancelRestart(container);
      container.record.hasBeenManuallyStopped = false;
      container.record.restartCount = 0;
      container.restartDelay = firstDelay;
      return this.#launch(container, checkpoint).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
    });
    if (!failure) return;
    // Before the failure is told: who hears of it finds nothing left.
    if (container.record.hostConfig.AutoRemove) await this.hooks.autoRemove(container);
    throw failure.error;
  }

  /** Seconds; -1 waits for ever. @throws NotModified when it does not run */
  async stop(container: Container, options: StopOptions, what: "stop" | "restart" = "stop"): Promise<void> {
    const { record } = container;
    if (!isRunning(record)) {
      if (record.state.status === "restarting") return this.#giveUpRestart(container);
      throw new NotModified(`container ${record.id} is not running`);
    }
    const signal = parseSignal(options.signal || record.config.StopSignal || "SIGTERM");
    record.hasBeenManuallyStopped = true;
    record.state.asked = { what, signal, by: options.by ?? "", at: Date.now() };
    this.table.save(container);
    const exited = container.exitHandled;
    const timeout = options.timeout ?? record.config.StopTimeout ?? 10;
    await this.#kill(container, signal);
    if (record.state.status === "paused") await this.unpause(container);
    const timer =
      timeout < 0
        ? undefined
        : setTimeout(() => void this.#kill(container, constants.signals.SIGKILL), timeout * 1000);
    await exited;
    clearTimeout(timer);
    this.#event(container, "stop");
  }

  async restart(container: Container, options: StopOptions): Promise<void> {
    if (isRunning(container.record)) await this.stop(container, options, "restart");
    await this.start(container).catch((error: unknown) => {
      if (!(error instanceof NotModified)) throw error;
    });
    this.#event(container, "restart");
  }

  /** @throws Conflict when it does not run, InvalidParameter for an unknown signal */
  async kill(container: Container, options: { signal?: string; by?: string }): Promise<void> {
    const { record } = container;
    const signal = parseSignal(options.signal || "SIGKILL");
    if (!isRunning(record)) {
      if (record.state.status === "restarting") return this.#giveUpRestart(container);
      throw new Conflict(`container ${record.id} is not running`);
    }
    const stopSignal = parseSignal(record.config.StopSignal || "SIGTERM");
    if (signal === constants.signals.SIGKILL || signal === stopSignal) record.hasBeenManuallyStopped = true;
    record.state.asked = { what: "kill", signal, by: options.by ?? "", at: Date.now() };
    this.table.save(container);
    const exited = container.exitHandled;
    await this.#kill(container, signal);
    if (signal !== constants.signals.SIGKILL) return;
    // A frozen process dies only once thawed.
    if (record.state.status === "paused") await this.context.runtime.resume(record.id);
    await exited;
  }

  /**
   * Saves what its processes are to an empty directory.
   * @param exit ends it with that, for good
   * @throws Conflict when it does not run, NotImplemented
   */
  async checkpoint(container: Container, directory: string, exit: boolean): Promise<void> {
    const { record } = container;
    const manually = record.hasBeenManuallyStopped;
    let exited: Promise<void> | undefined;
    await container.mutex.run(async () => {
      if (record.state.status !== "running") throw new Conflict(`Container ${record.id} is not running`);
      record.hasBeenManuallyStopped ||= exit;
      exited = container.exitHandled;
      try {
        await this.context.runtime.checkpoint(record.id, directory, { exit });
      } catch (error) {
        record.hasBeenManuallyStopped = manually;
        throw error;
      }
      this.#event(container, "checkpoint");
    });
    if (exit) await exited;
  }

  pause(container: Container): Promise<void> {
    return container.mutex.run(async () => {
      const { record } = container;
      if (record.state.status === "paused") throw new Conflict(`Container ${record.id} is already paused`);
      if (!isRunning(record)) throw new Conflict(`Container ${record.id} is not running`);
      await this.context.runtime.pause(record.id);
      transit(record, "pause");
      this.table.save(container);
      this.#event(container, "pause");
    });
  }

  unpause(container: Container): Promise<void> {
    return container.mutex.run(async () => {
      const { record } = container;
      if (record.state.status !== "paused") throw new Conflict(`Container ${record.id} is not paused`);
      await this.context.runtime.resume(record.id);
      transit(record, "unpause");
      this.table.save(container);
      this.#event(container, "unpause");
    });
  }

  /** A container found running after a restart of the daemon (or started by a daemon that died before it could say so). */
  async adopt(container: Container, process: MonitoredProcess): Promise<void> {
    const { record } = container;
    if (!isRunning(record)) {
      begin(record);
      record.state.startedAt = process.startedAt;
    }
    record.state.pid = process.pid;
    this.#follow(container, process);
    this.table.save(container);
    await this.volumes.hold(record);
    this.volumes.adopt(record);
    await this.networking.resume(record);
  }

  /** Deals with an exit that fell into the daemon's absence; `exit` undefined: the machine went down. */
  async settleExit(container: Container, exit: ExitRecord | undefined): Promise<void> {
    await this.#handleExit(container, exit ?? { exitCode: 255, exitedAt: Date.now() });
  }

  /** Frees all that a run holds: namespaces, mounts, cgroups, sockets. Nothing there is no error. */
  async release(record: ContainerRecord): Promise<void> {
    const { options, runtime, store } = this.context;
    await runtime.delete(record.id, { force: true });
    await this.volumes.letGo(record);
    await this.networking.tearDown(record);
    this.volumes.tellRelease(record);
    record.idMap = undefined;
    store.snapshots.unmount(paths.rootfs(options, record.id));
    rmSync(paths.rootfs(options, record.id), { recursive: true, force: true });
    umountIfMounted(paths.shm(options, record.id), MNT_DETACH);
    rmSync(paths.stateDir(options, record.id), { recursive: true, force: true });
  }

  async #launch(container: Container, checkpoint?: string): Promise<void> {
    await this.#startsAdmitted.promise;
    const { record } = container;
    const { options, runtime, store, signatures } = this.context;
    try {
      // The container may be older than the policy.
      signatures.check(record.config.Image, record.imageId);
      for (const { image } of record.mounts) if (image) signatures.check(image.name, image.id);
      await using user = await holdNamespaceOf(this.context, this.table, record);
      const root = user && rootOf(user.idMap);
      record.idMap = user?.idMap;
      store.snapshots.mountAt(snapshotKey(record.id), paths.rootfs(options, record.id), user?.view);
      await this.volumes.hold(record);
      const sandboxPath = await this.networking.setUp(record, user?.networkPath);
      this.volumes.tellUse(record);
      const peer = sharedWith(record.hostConfig.NetworkMode);
      if (peer !== undefined) shareEtcFiles(record, this.table.find(peer).record);
      else
        writeEtcFiles(record, {
          owner: root,
          addresses: this.networking.addresses(record),
          embeddedDns: this.networking.needsNames(record),
          hostGateways: this.networking.hostGateways(),
          ipv6: this.networking.hasIpv6(record),
          defaults: options,
          shareHost: record.hostConfig.NetworkMode === "host",
          links: linkHosts(record, this.table),
        });
      using sources = new MountSources(join(options.execRoot, "f"), record.mounts, {
        snapshots: store.snapshots,
        view: user?.view,
      });
      const spec = await containerSpec(this.context, this.table, record, { sandboxPath, sources, user });
      const stateDir = paths.stateDir(options, record.id);
      rmSync(stateDir, { recursive: true, force: true });
      mkdirSync(stateDir, { recursive: true, mode: 0o700 });
      if (record.hostConfig.IpcMode === "shareable")
        mountSharedMemory(paths.shm(options, record.id), record.hostConfig.ShmSize, root);
      const process = await runtime.start(spec, {
        stateDir,
        checkpoint,
        log: await logSpec(record),
        stdio: { openStdin: record.config.OpenStdin, stdinOnce: record.config.StdinOnce, owner: root },
        onAttachable: async (attachable) => {
          const waiting = container.waitingAttachers.splice(0);
          await Promise.all(
            waiting.map(async ({ stream, streams }) => stream.connect(await attachable.attach(streams))),
          );
        },
      });
      begin(record);
      Object.assign(record.state, {
        pid: process.pid,
        startedAt: process.startedAt,
        exitCode: 0,
        error: "",
        oomKilled: false,
        oom: undefined,
        health: undefined,
        asked: undefined,
      });
      this.#follow(container, process);
      this.table.note(container);
      refreshLinkHosts(record, this.table);
      this.#event(container, "start");
    } catch (error) {
      for (const { stream } of container.waitingAttachers.splice(0)) stream.abandon();
      record.state.error = messageOf(error);
      record.state.exitCode = error instanceof StartFailure ? error.exitCode : 128;
      if (record.state.status === "restarting") transit(record, "give-up");
      await this.release(record);
      this.table.note(container);
      container.tellExit();
      throw error;
    }
  }

  #follow(container: Container, process: MonitoredProcess): void {
    container.process = process;
    container.exitHandled = process.exited.then((exit) => this.#handleExit(container, exit));
    container.stopHealthChecks = watchHealth(container, {
      probe: (command, timeoutMs) => this.hooks.probe(container, command, timeoutMs),
      failed: () => this.table.save(container),
      changed: (status) => {
        this.table.save(container);
        this.#event(container, `health_status: ${status}`);
        if (status === "unhealthy" && container.record.config.Labels[restartUnhealthy] === "true")
          this.#restartUnhealthy(container);
      },
    });
  }

  #restartUnhealthy(container: Container): void {
    this.restart(container, { by: "Its failing health check" }).catch((error: unknown) =>
      console.error(`cannot restart the unhealthy container ${container.record.name}: ${messageOf(error)}`),
    );
  }

  #handleExit(container: Container, exit: ExitRecord): Promise<void> {
    return container.mutex.run(async () => {
      const { record } = container;
      container.stopHealthChecks?.();
      container.stopHealthChecks = undefined;
      container.process = undefined;
      this.hooks.ended(container);
      const ran = exit.exitedAt - (record.state.startedAt ?? exit.exitedAt);
      transit(record, "exit");
      Object.assign(record.state, {
        pid: 0,
        exitCode: exit.exitCode,
        finishedAt: exit.exitedAt,
        oomKilled: exit.oom !== undefined,
        oom: exit.oom,
      });
      const again = shouldRestart(record);
      if (again) transit(record, "await-restart");
      this.table.note(container);
      if (exit.oom) this.#event(container, "oom");
      this.#event(container, "die", {
        exitCode: String(exit.exitCode),
        execDuration: String(Math.round(ran / 1000)),
      });
      container.tellExit();
      await this.release(record);
      this.table.note(container);
      if (again) this.#scheduleRestart(container, ran);
      else if (record.hostConfig.AutoRemove) queueMicrotask(() => void this.hooks.autoRemove(container));
    });
  }

  #scheduleRestart(container: Container, ranMs: number): void {
    container.restartTimer = setTimeout(
      () => {
        container.mutex
          .run(async () => {
            if (container.record.state.status !== "restarting") return;
            await this.#launch(container);
          })
          .catch(() => {
            // The failed start has been recorded; the policy gives up, as Docker's does.
          });
      },
      backOff(container, ranMs),
    );
  }

  /** A restart that was due when the daemon stopped. */
  resumeRestart(container: Container): void {
    this.#scheduleRestart(container, 0);
  }

  #giveUpRestart(container: Container): Promise<void> {
    return container.mutex.run(() => {
      this.#cancelRestart(container);
      container.record.hasBeenManuallyStopped = true;
      if (container.record.state.status === "restarting") transit(container.record, "give-up");
      this.table.save(container);
    });
  }

  #cancelRestart(container: Container): void {
    clearTimeout(container.restartTimer);
    container.restartTimer = undefined;
  }

  async #kill(container: Container, signal: number): Promise<void> {
    await this.context.runtime.kill(container.record.id, signal);
    this.#event(container, "kill", { signal: String(signal) });
  }

  #event(container: Container, action: string, attributes: Record<string, string> = {}): void {
    containerEvent(this.context, container.record, action, attributes);
  }
}

/** It runs. A restart by policy counts from here on, in the same write: a crash neither loses nor repeats one. */
function begin(record: ContainerRecord): void {
  if (record.state.status === "restarting") record.restartCount++;
  transit(record, "start");
}
