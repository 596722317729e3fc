import { rmSync } from "node:fs";
import { type Duplex, PassThrough } from "node:stream";
import { defaultDetachKeys, parseDetachKeys } from "../lib/detach-keys.ts";
import { Conflict, InvalidParameter, messageOf, NotFound } from "../lib/errors.ts";
import { rootOf } from "../lib/id-map.ts";
import { newId } from "../lib/ids.ts";
import { Demultiplexer, frame } from "../lib/stdcopy.ts";
import { containerCapabilities, resolveUser, StartFailure } from "../runtime/index.ts";
import type { MonitoredProcess, ProcessSpec } from "../runtime/types.ts";
import { DeferredDuplex } from "./containers/deferred.ts";
import { containerEvent } from "./containers/events.ts";
import { linkEnvironment } from "./containers/links.ts";
import { hasNoNewPrivileges } from "./containers/security-options.ts";
import { processEnv, rlimits } from "./containers/spec.ts";
import type { Container, ContainerTable } from "./containers/table.ts";
import { type Context, paths } from "./context.ts";
import type { ExecConfig, ExecRecord, Execs } from "./types.ts";

/** How long an ended exec can still be inspected (milliseconds). */
const keepEnded = 5 * 60_000;

interface Exec {
  record: ExecRecord;
  container: Container;
  process?: MonitoredProcess;
  started: boolean;
  /** Settles when the process of an attached exec runs, or can't. */
  launch?: Promise<void>;
}

/** Processes added to running containers. They live in memory: a new daemon knows of none, the process goes on. */
export class ExecService implements Execs {
  #execs = new Map<string, Exec>();

  constructor(
    private readonly context: Context,
    private readonly table: ContainerTable,
  ) {}

  async create(target: string, config: ExecConfig): Promise<string> {
    const container = this.table.find(target);
    this.#checkRunning(container, target);
    parseDetachKeys(config.detachKeys || defaultDetachKeys);
    if (config.cmd.length === 0) throw new InvalidParameter("No exec command specified");
    this.context.runtime.expectStart();
    const id = newId();
    this.#execs.set(id, {
      record: { id, containerId: container.record.id, config, running: false, exitCode: null, pid: 0 },
      container,
      started: false,
    });
    container.execIds.add(id);
    this.#event(container, `exec_create: ${commandOf(config)}`, id);
    return id;
  }

  async start(
    id: string,
    options: { detach: boolean; tty?: boolean; consoleSize?: [number, number] },
  ): Promise<Duplex | undefined> {
    const exec = this.#find(id);
    const { config } = exec.record;
    this.#checkRunning(exec.container, id);
    if (exec.started) throw new Conflict(`exec command ${id} is already running`);
    exec.started = true;
    const spec = () => this.#processSpec(exec.container, config, options.consoleSize ?? config.consoleSize);
    try {
      if (options.detach || !(config.attachStdin || config.attachStdout || config.attachStderr)) {
        await this.#run(exec, await spec());
        return undefined;
      }
      // The stream comes before the process, as in Docker: there are clients that lose what comes with its head.
      const keys = parseDetachKeys(config.detachKeys || defaultDetachKeys);
      const onDetach = () => this.#event(exec.container, "exec_detach", id);
      const stream = new DeferredDuplex(config.tty ? { keys, onDetach } : undefined);
      exec.launch = this.#launch(exec, spec, stream);
      return stream;
    } catch (error) {
      this.#failed(exec, error);
      throw error;
    }
  }

  /** Never rejects: by now the client reads a stream, so the message goes there and the code to the record. */
  async #launch(exec: Exec, spec: () => Promise<ProcessSpec>, stream: DeferredDuplex): Promise<void> {
    const { attachStdin: stdin, attachStdout: stdout, attachStderr: stderr, tty } = exec.record.config;
    try {
      await this.#run(exec, await spec(), async (process) => {
        stream.connect(await process.attach({ stdin, stdout, stderr }));
      });
    } catch (error) {
      this.#failed(exec, error);
      const text = Buffer.from(`${messageOf(error)}\r\n`);
      const told = new PassThrough();
      told.end(tty ? text : frame(1, text));
      stream.connect(told);
    }
  }

  #failed(exec: Exec, error: unknown): void {
    exec.record.exitCode = error instanceof StartFailure ? error.exitCode : 126;
    this.#retire(exec);
  }

  async resize(id: string, size: { width: number; height: number }): Promise<void> {
    const exec = this.#find(id);
    await exec.launch;
    if (!exec.process) throw new Conflict(`exec ${id} is not running`);
    await exec.process.resize(size.width, size.height);
  }

  get(id: string): ExecRecord {
    return this.#find(id).record;
  }

  /** With a container's run ends what was to be started in it, as in Docker. */
  forgetUnstarted(container: Container): void {
    for (const id of container.execIds) {
      if (this.#execs.get(id)?.started) continue;
      this.#execs.delete(id);
      container.execIds.delete(id);
    }
  }

  /** Runs a health probe: its combined output and code. @throws when it can't start or takes over `timeoutMs` */
  async probe(
    container: Container,
    cmd: string[],
    timeoutMs: number,
  ): Promise<{ exitCode: number; output: string }> {
    const config: ExecConfig = {
      attachStdin: false,
      attachStdout: true,
      attachStderr: true,
      tty: false,
      env: [],
      cmd,
      privileged: false,
      user: "",
      workingDir: "",
    };
    const id = newId();
    const exec: Exec = {
      record: { id, containerId: container.record.id, config, running: false, exitCode: null, pid: 0 },
      container,
      started: true,
    };
    let output = "";
    /** All that it printed is there. */
    const said = Promise.withResolvers<void>();
    const demultiplexer = new Demultiplexer((_stream, data) => {
      if (output.length < 4096) output += data.toString();
    });
    this.#event(container, `exec_create: ${commandOf(config)}`, id);
    const spec = await this.#processSpec(container, config, undefined);
    await this.#run(exec, spec, async (process) => {
      const stream = await process.attach({ stdin: false, stdout: true, stderr: true });
      stream.on("data", (chunk: Buffer) => demultiplexer.push(chunk));
      stream.on("close", said.resolve);
      stream.on("end", said.resolve);
    });
    const expired = Symbol();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<typeof expired>((resolve) => {
      timer = setTimeout(() => resolve(expired), timeoutMs);
    });
    const outcome = await Promise.race([exec.process!.exited, timeout]);
    if (outcome !== expired) {
      await Promise.race([said.promise, timeout]);
      clearTimeout(timer);
      return { exitCode: outcome.exitCode, output };
    }
    this.#killTree(exec.process!.pid);
    return { exitCode: -1, output: `Health check exceeded timeout (${timeoutMs / 1000}s)` };
  }

  async #run(
    exec: Exec,
    spec: ProcessSpec,
    onAttachable?: (process: Pick<MonitoredProcess, "attach">) => Promise<void>,
  ): Promise<void> {
    const { record, container } = exec;
    const stateDir = paths.execDir(this.context.options, record.id);
    // As Docker: before it runs, so also of one that can't.
    this.#event(container, `exec_start: ${commandOf(record.config)}`, record.id);
    try {
      exec.process = await this.context.runtime.exec(container.record.id, spec, {
        execId: record.id,
        stateDir,
        stdio: {
          openStdin: record.config.attachStdin,
          stdinOnce: true,
          owner: container.record.idMap && rootOf(container.record.idMap),
        },
        onAttachable,
      });
    } catch (error) {
      rmSync(stateDir, { recursive: true, force: true });
      throw error;
    }
    record.running = true;
    record.pid = exec.process.pid;
    void exec.process.exited.then((exit) => {
      record.running = false;
      record.exitCode = exit.exitCode;
      rmSync(stateDir, { recursive: true, force: true });
      this.#event(container, "exec_die", record.id, { exitCode: String(exit.exitCode) });
      this.#retire(exec);
    });
  }

  async #processSpec(
    container: Container,
    config: ExecConfig,
    consoleSize: [number, number] | undefined,
  ): Promise<ProcessSpec> {
    const { record } = container;
    const { hostConfig: host } = record;
    // The live root, so that users added since the start are found.
    const rootfs = `/proc/${record.state.pid}/root`;
    return {
      args: config.cmd,
      env: processEnv(record, config.tty, config.env, linkEnvironment(record, this.table)),
      cwd: config.workingDir || record.config.WorkingDir || "/",
      user: await resolveUser(
        rootfs,
        config.user || record.config.User,
        config.user ? [] : (host.GroupAdd ?? []),
      ),
      terminal: config.tty,
      consoleSize: consoleSize && { height: consoleSize[0], width: consoleSize[1] },
      capabilities: containerCapabilities({
        add: host.CapAdd ?? [],
        drop: host.CapDrop ?? [],
        privileged: config.privileged || host.Privileged,
      }),
      noNewPrivileges: hasNoNewPrivileges(host.SecurityOpt, this.context.options),
      rlimits: rlimits(this.context, host),
    };
  }

  #find(id: string): Exec {
    const exec =
      this.#execs.get(id) ??
      [...this.#execs.values()].find(({ record }) => id.length >= 12 && record.id.startsWith(id));
    // With its container goes what is known of it.
    if (!exec || this.table.byId(exec.record.containerId) === undefined)
      throw new NotFound(`No such exec instance: ${id}`);
    return exec;
  }

  /** @param asked what the client named */
  #checkRunning(container: Container, asked: string): void {
    const { id, state } = container.record;
    if (state.status === "paused")
      throw new Conflict(`container ${asked} is paused, unpause the container before exec`);
    if (state.status !== "running") throw new Conflict(`container ${id} is not running`);
  }

  #retire(exec: Exec): void {
    exec.container.execIds.delete(exec.record.id);
    setTimeout(() => this.#execs.delete(exec.record.id), keepEnded).unref();
  }

  #killTree(pid: number): void {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  }

  #event(
    container: Container,
    action: string,
    execID: string,
    attributes: Record<string, string> = {},
  ): void {
    containerEvent(this.context, container.record, action, { execID, ...attributes });
  }
}

/** As events show it: Docker ends a command without arguments with a blank. */
const commandOf = ({ cmd: [program, ...args] }: ExecConfig) => `${program} ${args.join(" ")}`;
