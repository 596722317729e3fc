/** Several OCI runtimes as one: each container stays with the one that it was started by. */
import { accessSync, constants } from "node:fs";
import { basename } from "node:path";
import { InvalidParameter, Unavailable } from "../lib/errors.ts";
import type {
  CgroupSupport,
  ContainerRuntime,
  ContainerSpec,
  MonitoredProcess,
  ProcessSpec,
  ResourceSpec,
  RuntimeProgram,
  StartOptions,
} from "./types.ts";

/** What `Runtimes` needs of one runtime besides its contract. */
export interface OneRuntime extends ContainerRuntime {
  /** Which runtime a state directory belongs to; undefined when it doesn't say. */
  nameIn(stateDir: string): string | undefined;
}

export class Runtimes implements ContainerRuntime {
  readonly #open = new Map<string, Promise<OneRuntime>>();
  readonly #byContainer = new Map<string, OneRuntime>();
  #programs: Record<string, RuntimeProgram> = {};

  /**
   * @param standard what containers get that ask for none
   * @param found others of the usual ones that are installed
   */
  constructor(
    private standard: OneRuntime,
    private readonly found: Record<string, RuntimeProgram>,
    private readonly launch: (name: string, program: RuntimeProgram) => Promise<OneRuntime>,
  ) {
    this.#open.set(standard.name, Promise.resolve(standard));
  }

  get name(): string {
    return this.standard.name;
  }
  get version(): string {
    return this.standard.version;
  }
  get cgroupVersion(): 1 | 2 {
    return this.standard.cgroupVersion;
  }
  get limitSupport(): CgroupSupport {
    return this.standard.limitSupport;
  }

  programs(): Record<string, RuntimeProgram> {
    return { ...this.found, ...this.#programs };
  }

  async configure(programs: Record<string, RuntimeProgram>, standard: string | undefined): Promise<void> {
    for (const [name, { path }] of Object.entries(programs)) checkProgram(name, path);
    const wanted = standard === undefined ? this.standard.name : basename(standard);
    if (!(wanted in { ...this.found, ...programs }))
      throw new InvalidParameter(`specified default runtime '${wanted}' does not exist`);
    // One that changed is opened anew for the containers to come; those that run have theirs.
    for (const name of Object.keys(this.#programs)) this.#open.delete(name);
    const before = this.#programs;
    this.#programs = programs;
    try {
      this.standard = await this.#named(wanted);
    } catch (error) {
      this.#programs = before;
      throw error;
    }
  }

  expectStart(): void {
    this.standard.expectStart();
  }

  async start(spec: ContainerSpec, options: StartOptions): Promise<MonitoredProcess> {
    const runtime = await this.#named(spec.runtime ?? this.standard.name);
    this.#byContainer.set(spec.id, runtime);
    return runtime.start(spec, options);
  }

  exec(
    containerId: string,
    process: ProcessSpec,
    options: StartOptions & { execId: string },
  ): Promise<MonitoredProcess> {
    return this.#of(containerId).exec(containerId, process, options);
  }

  async reopen(stateDir: string): Promise<MonitoredProcess | undefined> {
    const name = this.standard.nameIn(stateDir);
    // One that is configured no longer: signals and exits need none, and for the rest the standard one is the best guess.
    const known = name !== undefined && (name === this.standard.name || this.programs()[name] !== undefined);
    const runtime = known ? await this.#named(name) : this.standard;
    return runtime.reopen(stateDir, (containerId) => this.#byContainer.set(containerId, runtime));
  }

  kill(containerId: string, signal: number, options?: { all?: boolean }): Promise<void> {
    return this.#of(containerId).kill(containerId, signal, options);
  }
  checkpoint(containerId: string, directory: string, options: { exit: boolean }): Promise<void> {
    return this.#of(containerId).checkpoint(containerId, directory, options);
  }
  pause(containerId: string): Promise<void> {
    return this.#of(containerId).pause(containerId);
  }
  resume(containerId: string): Promise<void> {
    return this.#of(containerId).resume(containerId);
  }
  update(containerId: string, resources: ResourceSpec): Promise<void> {
    return this.#of(containerId).update(containerId, resources);
  }

  async delete(containerId: string, options?: { force?: boolean }): Promise<void> {
    await this.#of(containerId).delete(containerId, options);
    this.#byContainer.delete(containerId);
  }

  pids(cgroupPath: string): number[] {
    return this.standard.pids(cgroupPath);
  }
  stats(cgroupPath: string) {
    return this.standard.stats(cgroupPath);
  }

  #of(containerId: string): OneRuntime {
    return this.#byContainer.get(containerId) ?? this.standard;
  }

  #named(name: string): Promise<OneRuntime> {
    const opened = this.#open.get(name);
    if (opened) return opened;
    const program = this.programs()[name];
    if (!program) throw new InvalidParameter(`unknown or invalid runtime name: ${name}`);
    const opening = this.launch(name, program);
    this.#open.set(name, opening);
    opening.catch(() => this.#open.delete(name));
    return opening;
  }
}

function checkProgram(name: string, path: string): void {
  try {
    if (path.startsWith("/")) accessSync(path, constants.X_OK);
    else if (!Bun.which(path)) throw new Error();
  } catch (cause) {
    throw new Unavailable(`the runtime ${name} can't be executed: ${path}`, { cause });
  }
}
