/** A container on a build's result, in which processes are started one by one: a front end's, or people's own. */
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { Forbidden, InvalidParameter } from "../../lib/errors.ts";
import { rootOf } from "../../lib/id-map.ts";
import { newId } from "../../lib/ids.ts";
import { Demultiplexer } from "../../lib/stdcopy.ts";
import type { ContainerSpec, MonitoredProcess } from "../../runtime/types.ts";
import { defaultPath } from "../graph/metadata.ts";
import { envMap } from "../graph/scope.ts";
import type {
  BuildBackend,
  ContainerProcess,
  ContainerRequest,
  ProcessStreams,
  StartedProcess,
  StepContainer,
  StepUser,
} from "../types.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { type StepSettings, stepProcess, stepSpec } from "./run.ts";
import { StepMounts } from "./step-mounts.ts";
import { Views, Workspace } from "./workspace.ts";

const settings: StepSettings = { extraHosts: [], ulimits: [], limits: {} };

export class BuildContainer implements StepContainer {
  readonly #held = new AsyncDisposableStack();
  #own: Promise<ContainerSpec> | undefined;
  #workspace: Workspace | undefined;
  #owner: StepUser | undefined;

  constructor(
    private readonly backend: BuildBackend,
    private readonly cacheMounts: CacheMounts,
    private readonly request: ContainerRequest,
    private readonly signal: AbortSignal,
  ) {
    for (const entitlement of request.network === "host" ? ["network.host"] : [])
      if (!request.entitlements?.includes(entitlement)) throw new Forbidden(`${entitlement} is not allowed`);
  }

  async start(process: ContainerProcess, streams: ProcessStreams): Promise<StartedProcess> {
    this.signal.throwIfAborted();
    if (process.insecure && !this.request.entitlements?.includes("security.insecure"))
      throw new Forbidden("security.insecure is not allowed");
    const { runtime } = this.backend;
    if (!this.#own) {
      this.#own = this.#open(process);
      const spec = await this.#own;
      const started = await this.#run(streams, process, (options) => runtime.start(spec, options));
      // Its end is the container's: whatever else runs there is killed with it.
      const kill = (signal: number) => runtime.kill(spec.id, signal, { all: signal === 9 });
      return { ...started, kill: (signal) => started.whileRunning(() => kill(signal)) };
    }
    const { id, rootfs } = await this.#own;
    const own = await stepProcess(settings, rootfs, await this.#completed(process));
    const started = await this.#run(streams, process, (options) =>
      runtime.exec(id, own, { ...options, execId: newId() }),
    );
    const kill = (signal: number) => void globalThis.process.kill(started.pid, signal);
    return { ...started, kill: (signal) => started.whileRunning(() => kill(signal)) };
  }

  async #completed(process: ContainerProcess) {
    const env = envMap(process.env).has("PATH") ? process.env : [`PATH=${defaultPath}`, ...process.env];
    const secrets: string[] = [];
    for (const { id, name, optional } of process.secretEnv) {
      const bytes = await this.request.secret?.(id, this.signal);
      if (bytes) secrets.push(`${name}=${new TextDecoder().decode(bytes)}`);
      else if (!optional) throw new InvalidParameter(`secret ${id}: not found`);
    }
    return { ...process, cwd: process.cwd || "/", env: [...env, ...secrets] };
  }

  /** The container of the first process: with that it ends. */
  async #open(process: ContainerProcess): Promise<ContainerSpec> {
    const { backend, request, signal } = this;
    const { snapshots } = backend.store;
    this.#owner = await backend.stepUser?.();
    if (this.#owner) this.#held.use(this.#owner);
    const workspace = this.#held.use(Workspace.open(snapshots, backend.execDir, request.snapshot));
    this.#workspace = workspace;
    const views = this.#held.use(new Views(snapshots, backend.execDir));
    const mounts = this.#held.use(
      new StepMounts({
        request,
        workspace,
        owner: this.#owner,
        signal,
        fail: (message, hint) => new InvalidParameter(hint ? `${message} (${hint})` : message),
      }),
    );
    for (const mount of request.mounts) await this.#mount(mount, mounts, views);
    const hosts = request.extraHosts;
    const network = await backend.stepNetwork(workspace.id, request.network, hosts, this.#owner?.networkPath);
    this.#held.use(network);
    this.#held.defer(() => backend.runtime.delete(workspace.id, { force: true }));
    const step = {
      ...(await this.#completed(process)),
      network: request.network,
      hostname: request.hostname,
      devices: [],
      mounts: mounts.specs,
      readonlyRoot: request.readonlyRoot,
    };
    step.env = [...step.env, ...mounts.env];
    const { spec } = await stepSpec(backend, settings, workspace, step, this.#owner, network);
    return { ...spec, process: { ...spec.process, terminal: process.terminal } };
  }

  async #mount(mount: ContainerRequest["mounts"][number], mounts: StepMounts, views: Views): Promise<void> {
    const { target } = mount;
    switch (mount.type) {
      case "tmpfs":
        return mounts.tmpfs(mount);
      case "ssh":
        return mounts.ssh({ ...mount, target: target || undefined });
      case "secret":
        return mounts.secret(mount);
      case "cache": {
        const cache = { ...mount, source: "/", mode: 0o755, uid: 0, gid: 0 };
        const { path } = mounts.hold(await this.cacheMounts.acquire(cache, { signal: this.signal }));
        return mounts.directory(path, target, mount.readonly);
      }
      case "bind": {
        const place = { source: mount.selector || "/", target, readonly: mount.readonly };
        if (mount.readonly && !this.#owner) return mounts.bind({ root: views.open(mount.snapshot) }, place);
        const { store, execDir } = this.backend;
        const own = mounts.hold(Workspace.open(store.snapshots, execDir, mount.snapshot));
        if (this.#owner) {
          own.remount(this.#owner.view);
          chmodSync(own.directory, 0o711);
        }
        return mounts.bind({ root: own.root }, place);
      }
    }
  }

  async #run(
    streams: ProcessStreams,
    { terminal }: ContainerProcess,
    begin: (options: Parameters<BuildBackend["runtime"]["start"]>[1]) => Promise<MonitoredProcess>,
  ): Promise<Omit<StartedProcess, "kill"> & Running> {
    const stateDir = join(this.#workspace!.directory, `p${newId().slice(0, 8)}`);
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    let input: Duplex | undefined;
    let over = false;
    let drained: Promise<void> = Promise.resolve();
    const process = await begin({
      stateDir,
      stdio: {
        openStdin: streams.input,
        stdinOnce: true,
        owner: this.#owner && rootOf(this.#owner.idMap),
      },
      signal: this.signal,
      onAttachable: async (attachable) => {
        const stream = await attachable.attach({ stdin: streams.input, stdout: true, stderr: true });
        input = stream;
        drained = readOutput(stream, terminal, streams.onOutput);
        drained.catch(() => {});
      },
    });
    return {
      write: async (data) => {
        if (input && !input.destroyed && !input.write(data))
          await new Promise((resolve) => input!.once("drain", resolve).once("close", resolve));
      },
      end: () => void input?.end(),
      resize: (width, height) => process.resize(width, height),
      pid: process.pid,
      whileRunning: async (work) => {
        if (!over) await work();
      },
      exited: process.exited.then(async ({ exitCode }) => {
        over = true;
        await drained;
        return exitCode;
      }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // One that is being opened is there first.
    await this.#own?.catch(() => {});
    await this.#held.disposeAsync();
  }
}

interface Running {
  pid: number;
  /** A process that has ended hears of nothing; its number may be another's. */
  whileRunning(work: () => Promise<void> | void): Promise<void>;
}

async function readOutput(
  stream: Duplex,
  terminal: boolean,
  onOutput: ProcessStreams["onOutput"],
): Promise<void> {
  const split = new Demultiplexer((fd, data) => onOutput(fd === 2 ? 2 : 1, data));
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    if (terminal) onOutput(1, chunk);
    else split.push(chunk);
  }
}
