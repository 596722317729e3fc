/** What a step mounts besides its root, gathered one by one, and let go of together when the step is over. */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { MNT_DETACH, umountIfMounted } from "../../linux/mount.ts";
import type { MountSpec } from "../../runtime/types.ts";
import { resolveInside } from "../files/inside.ts";
import type { BuildRequest, StepUser } from "../types.ts";
import { bindMount, give, secretFile } from "./run.ts";
import type { RunMount } from "./run-mounts.ts";
import type { Workspace } from "./workspace.ts";

type MountOf<T extends RunMount["type"]> = Omit<Extract<RunMount, { type: T }>, "type">;

export class StepMounts implements AsyncDisposable {
  readonly specs: MountSpec[] = [];
  readonly env: string[] = [];
  /** Ids of those that the step can do without and the build was not given. */
  readonly absentSecrets: string[] = [];
  readonly #stack = new AsyncDisposableStack();
  #sockets = 0;

  constructor(
    private readonly step: {
      request: Pick<BuildRequest, "secret" | "ssh">;
      workspace: Workspace;
      owner: StepUser | undefined;
      signal: AbortSignal;
      /** Makes the error: it knows the step's place. */
      fail: (message: string, hint?: string) => Error;
    },
  ) {}

  /** Held until the step is over. */
  hold<T extends Disposable | AsyncDisposable>(resource: T): T {
    return this.#stack.use(resource);
  }

  tmpfs({ target, size }: MountOf<"tmpfs">): void {
    const options = ["nosuid", "nodev", "mode=1777"];
    if (size !== undefined) options.push(`size=${size}`);
    this.specs.push({ destination: target, type: "tmpfs", source: "tmpfs", options });
  }

  /** A directory on the disk. */
  directory(path: string, target: string, readonly: boolean): void {
    this.specs.push(bindMount(this.#seen(path), target, readonly));
  }

  /** What `source` names below `root`. @param onDisk it is a directory of the machine's, no mount of a snapshot */
  bind(
    { root, onDisk = false }: { root: string; onDisk?: boolean },
    { source, target, readonly }: { source: string; target: string; readonly: boolean },
  ): void {
    const inside = resolveInside(root, source);
    if (inside === undefined || !lstatSync(join(root, inside), { throwIfNoEntry: false }))
      throw this.step.fail(`failed to mount: stat ${source}: file does not exist`);
    this.specs.push(bindMount(join(onDisk ? this.#seen(root) : root, inside), target, readonly));
  }

  async ssh(mount: MountOf<"ssh">): Promise<void> {
    const { request, signal, owner, fail } = this.step;
    const agent = await request.ssh?.(mount.id, signal);
    if (!agent) {
      if (mount.required) throw fail(`unset ssh forward key ${mount.id}`, `give it with --ssh ${mount.id}`);
      return;
    }
    this.#stack.use(agent);
    give(agent.socket, mount, owner);
    chmodSync(agent.socket, mount.mode);
    const target = mount.target ?? `/run/buildkit/ssh_agent.${this.#sockets++}`;
    this.specs.push(bindMount(agent.socket, target, false));
    if (!this.env.some((line) => line.startsWith("SSH_AUTH_SOCK="))) this.env.push(`SSH_AUTH_SOCK=${target}`);
  }

  async secret(mount: MountOf<"secret">): Promise<void> {
    const { request, signal, owner, workspace, fail } = this.step;
    const bytes = await request.secret?.(mount.id, signal);
    if (bytes === undefined) {
      if (mount.required) throw fail(`secret ${mount.id}: not found`, `give it with --secret id=${mount.id}`);
      this.absentSecrets.push(mount.id);
      // As Docker has it: the variable is there, and empty.
      if (mount.env !== undefined) this.env.push(`${mount.env}=`);
      return;
    }
    if (mount.env !== undefined) this.env.push(`${mount.env}=${new TextDecoder().decode(bytes)}`);
    if (mount.target === undefined) return;
    const directory = join(workspace.directory, "secrets");
    mkdirSync(directory, { recursive: true });
    chmodSync(directory, owner ? 0o711 : 0o700);
    const file = join(directory, `${this.specs.length}`);
    secretFile(file, bytes, mount, owner);
    this.specs.push(bindMount(file, mount.target, true));
  }

  /** A directory on the disk as the step's processes are to see it. */
  #seen(path: string): string {
    const { owner, workspace } = this.step;
    if (!owner) return path;
    const target = join(workspace.directory, `mapped${this.specs.length}`);
    mkdirSync(target, { mode: 0o711 });
    owner.mountMapped(path, target);
    this.#stack.defer(() => void umountIfMounted(target, MNT_DETACH));
    return target;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
