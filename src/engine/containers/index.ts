import type { Duplex, Readable } from "node:stream";
import { defaultDetachKeys, parseDetachKeys } from "../../lib/detach-keys.ts";
import type { Digest } from "../../lib/digest.ts";
import { Conflict, Forbidden, InvalidParameter } from "../../lib/errors.ts";
import type { Descriptor, Platform } from "../../lib/oci.ts";
import { familiar, parseReference } from "../../lib/reference.ts";
import { frame } from "../../lib/stdcopy.ts";
import type { ImageRecord } from "../../store/types.ts";
import type { EndpointConfig, HostConfig, RestartPolicy } from "../config.ts";
import { type Context, paths, snapshotKey } from "../context.ts";
import { checkEndpoint } from "../endpoint-check.ts";
import { checkFilters, matchLabels, untilFilter } from "../filters.ts";
import { layerDirectories } from "../layer-directories.ts";
import type { NetworkService } from "../networks.ts";
import type {
  CheckpointPlace,
  CommitOptions,
  ContainerDetails,
  ContainerRecord,
  Containers,
  CreateContainer,
  Filters,
  LogEntry,
  LogQuery,
  PathStat,
  StatsSample,
  StopOptions,
} from "../types.ts";
import type { Volumes } from "../volumes.ts";
import { Checkpoints } from "./checkpoints.ts";
import { commitContainer } from "./commit.ts";
import { checkContainerName, createContainer } from "./create.ts";
import { DeferredDuplex } from "./deferred.ts";
import { containerEvent } from "./events.ts";
import { changes, exportTree, getArchive, putArchive, statPath } from "./files.ts";
import { checkRestartPolicy } from "./host-config.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { checkLimits, resourceSpec } from "./limits.ts";
import { readLogs } from "./logs.ts";
import { type Networking, noEndpoint } from "./networking.ts";
import { sample, samples, top } from "./observe.ts";
import { listContainers } from "./query.ts";
import { Removal } from "./removal.ts";
import { isRunning } from "./state.ts";
import type { Container, ContainerTable } from "./table.ts";
import { discardUnsupported } from "./unsupported.ts";

export interface ContainerDependencies {
  context: Context;
  table: ContainerTable;
  networks: NetworkService;
  networking: Networking;
  volumes: Volumes;
  lifecycle: Lifecycle;
  /** @throws NotFound "No such image: x" */
  findImage(reference: string, platform?: Platform): ImageRecord;
  isAncestor(reference: string, record: ContainerRecord): boolean;
}

/** All operations on containers; what each means is in the files beside. */
export class ContainerService implements Containers {
  /** By image: a listing asks for each container's. */
  readonly #descriptors = new Map<Digest, Descriptor>();

  readonly checkpoints: Checkpoints;
  readonly #removal: Removal;

  constructor(private readonly deps: ContainerDependencies) {
    this.checkpoints = new Checkpoints(deps.context, deps.table, deps.lifecycle);
    this.#removal = new Removal(deps);
  }

  async create(request: CreateContainer): Promise<{ id: string; warnings: string[] }> {
    this.deps.context.runtime.expectStart();
    const { container, warnings } = await createContainer(this.deps, request);
    return { id: container.record.id, warnings };
  }

  get(target: string): ContainerRecord {
    return this.#find(target).record;
  }

  list(options: { all: boolean; limit?: number; filters: Filters }): ContainerRecord[] {
    const records = this.deps.table.all().map((container) => container.record);
    return listContainers(records, options, {
      container: (target) => this.get(target),
      isAncestor: this.deps.isAncestor,
    });
  }

  async start(target: string, checkpoint?: CheckpointPlace): Promise<void> {
    const container = this.#find(target);
    const directory = checkpoint && this.checkpoints.find(container, checkpoint);
    await this.deps.lifecycle.start(container, directory);
  }

  async stop(target: string, options: StopOptions): Promise<void> {
    await this.deps.lifecycle.stop(this.#find(target), options);
  }

  async restart(target: string, options: StopOptions): Promise<void> {
    await this.deps.lifecycle.restart(this.#find(target), options);
  }

  async kill(target: string, options: { signal?: string; by?: string }): Promise<void> {
    await this.deps.lifecycle.kill(this.#find(target), options);
  }

  async pause(target: string): Promise<void> {
    await this.deps.lifecycle.pause(this.#find(target));
  }

  async unpause(target: string): Promise<void> {
    await this.deps.lifecycle.unpause(this.#find(target));
  }

  rename(target: string, name: string): Promise<void> {
    const container = this.#find(target);
    return container.mutex.run(() => {
      const oldName = container.record.name;
      const clean = name.replace(/^\//, "");
      if (clean === "") throw new InvalidParameter("Neither old nor new names may be empty");
      if (clean === oldName)
        throw new InvalidParameter("Renaming a container with the same name as its current name");
      this.deps.table.rename(container, checkContainerName(this.deps.table, clean));
      for (const endpoint of Object.values(container.record.endpoints)) {
        endpoint.dnsNames = endpoint.dnsNames.map((own) => (own === oldName ? clean : own));
      }
      this.deps.table.save(container);
      this.#event(container.record, "rename", { oldName: `/${oldName}` });
    });
  }

  update(
    target: string,
    change: { hostConfig: Partial<HostConfig>; restartPolicy?: RestartPolicy },
  ): Promise<{ warnings: string[] }> {
    const container = this.#find(target);
    return container.mutex.run(async () => {
      const { record } = container;
      const next: HostConfig = {
        ...record.hostConfig,
        ...change.hostConfig,
        ...(change.restartPolicy && { RestartPolicy: change.restartPolicy }),
      };
      if (next.AutoRemove && next.RestartPolicy.Name !== "no" && next.RestartPolicy.Name !== "") {
        throw new InvalidParameter(
          "Restart policy cannot be updated because AutoRemove is enabled for the container",
        );
      }
      const warnings = discardUnsupported(next, this.deps.context.runtime.limitSupport);
      checkLimits(next);
      checkRestartPolicy(next.RestartPolicy);
      if (isRunning(record)) await this.deps.context.runtime.update(record.id, resourceSpec(next));
      record.hostConfig = next;
      this.deps.table.save(container);
      this.#event(record, "update");
      return { warnings };
    });
  }

  async remove(target: string, options: { force: boolean; volumes: boolean; link: boolean }): Promise<void> {
    if (options.link) await this.#removal.link(target);
    else await this.#removal.remove(this.#find(target), options);
  }

  /** The end of a container that does not run. Safe to call again after a failure or crash half-way. */
  removeStopped(container: Container, volumes: boolean): Promise<void> {
    return this.#removal.stopped(container, volumes);
  }

  async wait(
    target: string,
    condition: "not-running" | "next-exit" | "removed",
    signal: AbortSignal,
  ): Promise<{ done: Promise<{ exitCode: number; error?: string }> }> {
    const container = this.#find(target);
    const { record } = container;
    const { state } = record;
    if (condition === "not-running" && !isRunning(record) && state.status !== "restarting") {
      // Only who comes after a failed start learns of it here; the others hear it from the start itself.
      return { done: Promise.resolve({ exitCode: state.exitCode, error: state.error || undefined }) };
    }
    const outcome = () => ({ exitCode: state.exitCode });
    const done = new Promise<{ exitCode: number; error?: string }>((resolve) => {
      const settle = () => {
        forget();
        signal.removeEventListener("abort", settle);
        resolve(outcome());
      };
      const forget = condition === "removed" ? container.onRemoval(settle) : container.onExit(settle);
      signal.addEventListener("abort", settle);
    });
    return { done };
  }

  async attach(target: string, options: Parameters<Containers["attach"]>[1]): Promise<Duplex> {
    const container = this.#find(target);
    const { record } = container;
    if (record.state.status === "paused")
      throw new Conflict(`container ${target} is paused, unpause the container before attach`);
    if (record.state.status === "restarting")
      throw new Conflict(`container ${record.id} is restarting, wait until the container is running`);
    const keys = parseDetachKeys(options.detachKeys || defaultDetachKeys);
    const stream = new DeferredDuplex(
      record.config.Tty ? { keys, onDetach: () => this.#event(record, "detach") } : undefined,
    );
    const streams = {
      stdin: options.stdin && record.config.OpenStdin,
      stdout: options.stdout,
      stderr: options.stderr,
    };
    if (options.logs && record.logPath !== "") {
      const query: LogQuery = { follow: false, stdout: options.stdout, stderr: options.stderr };
      for await (const entry of readLogs(container, query, new AbortController().signal)) {
        stream.push(record.config.Tty ? entry.data : frame(entry.stream, entry.data));
      }
    }
    if (!options.stream) stream.abandon();
    else if (container.process) stream.connect(await container.process.attach(streams));
    else container.waitingAttachers.push({ stream, streams });
    this.#event(record, "attach");
    return stream;
  }

  logs(target: string, query: LogQuery, signal: AbortSignal): AsyncIterable<LogEntry> {
    return readLogs(this.#find(target), query, signal);
  }

  async resize(target: string, size: { width: number; height: number }): Promise<void> {
    const container = this.#find(target);
    if (!container.process) throw new Conflict(`container ${container.record.id} is not running`);
    await container.process.resize(size.width, size.height);
    this.#event(container.record, "resize", { height: String(size.height), width: String(size.width) });
  }

  async top(target: string, psArgs: string): Promise<{ titles: string[]; processes: string[][] }> {
    const record = this.get(target);
    const shown = await top(this.deps.context, record, psArgs);
    this.#event(record, "top");
    return shown;
  }

  stats(target: string, signal: AbortSignal): AsyncIterable<StatsSample | undefined> {
    return samples(this.deps.context, this.#find(target), signal);
  }

  sample(target: string): StatsSample | undefined {
    return sample(this.deps.context, this.get(target));
  }

  changes(target: string): Promise<{ path: string; kind: 0 | 1 | 2 }[]> {
    return changes(this.deps.context, this.get(target));
  }

  async export(target: string): Promise<Readable> {
    const record = this.get(target);
    const tar = exportTree(this.deps.context, record);
    this.#event(record, "export");
    return tar;
  }

  async statPath(target: string, path: string): Promise<PathStat> {
    return statPath(this.deps.context, this.get(target), path);
  }

  async getArchive(target: string, path: string): Promise<{ stat: PathStat; tar: Readable }> {
    const record = this.get(target);
    const archive = await getArchive(this.deps.context, record, path);
    this.#event(record, "archive-path");
    return archive;
  }

  async putArchive(
    target: string,
    path: string,
    tar: Readable,
    options: { noOverwriteDirNonDir: boolean; copyUidGid: boolean },
  ): Promise<void> {
    const record = this.get(target);
    await putArchive(this.deps.context, record, path, tar, options);
    this.#event(record, "extract-to-dir");
  }

  async commit(target: string, options: CommitOptions): Promise<Digest> {
    const container = this.#find(target);
    const pause = options.pause && container.record.state.status === "running";
    if (pause) await this.deps.lifecycle.pause(container);
    try {
      const id = await commitContainer(this.deps.context, container.record, options);
      this.#event(container.record, "commit", {
        comment: options.comment,
        imageID: id,
        ...(options.repository && { imageRef: familiar(parseReference(options.repository)) }),
      });
      return id;
    } finally {
      if (pause) await this.deps.lifecycle.unpause(container);
    }
  }

  /** `network connect`. @throws NotFound, Conflict, Forbidden in Docker's words */
  connect(target: string, containerTarget: string, endpoint: EndpointConfig): Promise<void> {
    const { networks, networking, table } = this.deps;
    const network = networks.find(target);
    const container = this.#find(containerTarget);
    return container.mutex.run(async () => {
      const { record } = container;
      if (network.configOnly) throw new Forbidden(noEndpoint);
      if (network.driver !== "bridge")
        throw new Forbidden(`container cannot be connected to ${network.name} network`);
      if (record.hostConfig.NetworkMode === "host")
        throw new Forbidden(
          "container cannot be disconnected from host network or connected to any other network",
        );
      if (record.endpoints[network.name])
        throw new Forbidden(`endpoint with name ${record.name} already exists in network ${network.name}`);
      checkEndpoint(network, endpoint);
      await networking.attach(record, network, endpoint);
      table.save(container);
    });
  }

  /** `network disconnect`. @throws NotFound, Forbidden in Docker's words */
  disconnect(target: string, containerTarget: string, force: boolean): Promise<void> {
    const { networks, networking, table } = this.deps;
    const network = networks.find(target);
    const container = this.#find(containerTarget);
    return container.mutex.run(async () => {
      const { record } = container;
      if (network.driver === "host")
        throw new Forbidden(
          "container cannot be disconnected from host network or connected to any other network",
        );
      if (!record.endpoints[network.name]) {
        if (force) return;
        throw new Forbidden(`container ${record.id} is not connected to network ${network.name}`);
      }
      await networking.detach(record, network);
      table.save(container);
    });
  }

  async prune(filters: Filters): Promise<{ removed: string[]; bytes: number }> {
    checkFilters(filters, ["label", "label!", "until"]);
    const until = untilFilter(filters);
    const removed: string[] = [];
    let bytes = 0;
    for (const container of this.deps.table.all()) {
      const { record } = container;
      if (!["created", "exited", "dead"].includes(record.state.status)) continue;
      if (!matchLabels(filters, record.config.Labels) || (until !== undefined && record.createdAt > until))
        continue;
      const { bytes: size } = await this.deps.context.store.snapshots.usage(snapshotKey(record.id));
      await this.removeStopped(container, false);
      bytes += size;
      removed.push(record.id);
    }
    this.deps.context.events.publish("container", "prune", "", { reclaimed: String(bytes) });
    return { removed, bytes };
  }

  details(target: string): ContainerDetails {
    const { record, execIds } = this.deps.table.find(target);
    const { store, options } = this.deps.context;
    return {
      layers: layerDirectories(store.snapshots, snapshotKey(record.id), paths.rootfs(options, record.id)),
      sandboxKey: record.sandboxId === "" ? "" : paths.sandbox(options, record.sandboxId),
      execIds: [...execIds],
    };
  }

  imageDescriptor(record: ContainerRecord): Descriptor | undefined {
    const known = this.#descriptors.get(record.imageId);
    if (known) return known;
    const { images, content } = this.deps.context.store;
    const image = images.get(record.imageId);
    if (!image || !content.has(image.manifest)) return undefined;
    const descriptor = {
      mediaType: image.manifestMediaType,
      digest: image.manifest,
      size: content.size(image.manifest),
      platform: image.platform,
    };
    this.#descriptors.set(record.imageId, descriptor);
    return descriptor;
  }

  async sizes(target: string): Promise<{ rw: number; rootFs: number }> {
    const record = this.get(target);
    const { store } = this.deps.context;
    const { bytes } = await store.snapshots.usage(snapshotKey(record.id));
    return { rw: bytes, rootFs: bytes + (store.images.get(record.imageId)?.size ?? 0) };
  }

  #find(target: string): Container {
    return this.deps.table.find(target);
  }

  #event(record: ContainerRecord, action: string, attributes: Record<string, string> = {}): void {
    containerEvent(this.deps.context, record, action, attributes);
  }
}
