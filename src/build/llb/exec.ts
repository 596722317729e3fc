/** Commands of low-level definitions, each in a container on the trees that it mounts. */
import { chmodSync, lchownSync } from "node:fs";
import { Forbidden } from "../../lib/errors.ts";
import { BuildStepFailed } from "../errors.ts";
import { cannotRun } from "../exec/emulation.ts";
import { runInWorkspace } from "../exec/run.ts";
import { StepMounts } from "../exec/step-mounts.ts";
import { Workspace } from "../exec/workspace.ts";
import { copySelections } from "../files/copy.ts";
import { defaultPath } from "../graph/metadata.ts";
import { envMap, hostPlatform } from "../graph/scope.ts";
import { keyOf } from "../solve/key.ts";
import type { StepProgress } from "../solve/layer.ts";
import { defaultHostname } from "../solve/run-step.ts";
import type { StepUser } from "../types.ts";
import { titleOf } from "./names.ts";
import { type Layered, nothing, type Output } from "./output.ts";
import type { OpRun } from "./solver.ts";
import type { ExecMount, ExecOp } from "./types.ts";

/** @throws InvalidParameter, Forbidden, BuildStepFailed */
export async function execOutputs(run: OpRun, exec: ExecOp): Promise<Output[]> {
  const root = exec.mounts.find(({ target }) => target === "/");
  if (root?.type !== "bind") throw run.fail("a command needs a root file system: nothing is mounted at /");
  demand(run, exec);
  return new Execution(run, exec, root).outputs();
}

/** What goes beyond a container's rights has to be given with the build (`--allow`). */
function demand({ session: { request } }: OpRun, { network, insecure, devices }: ExecOp): void {
  const asked = [
    network === "host" ? "network.host" : [],
    insecure ? "security.insecure" : [],
    devices.length > 0 ? "device" : [],
  ].flat();
  for (const entitlement of asked)
    if (!request.entitlements?.includes(entitlement)) throw new Forbidden(`${entitlement} is not allowed`);
}

type BindMount = Extract<ExecMount, { type: "bind" }>;

class Execution {
  constructor(
    private readonly run: OpRun,
    private readonly exec: ExecOp,
    private readonly root: BindMount,
  ) {}

  async outputs(): Promise<Output[]> {
    const { run, exec, root } = this;
    const before = await this.#layered(root);
    const { session, op } = run;
    const inputs = this.#inputs();
    // Besides the root's, each is a record of its own, beside that of the root.
    const others = exec.mounts.filter(
      (mount): mount is BindMount => mount !== root && mount.type === "bind" && mount.output !== undefined,
    );
    const keys = new Map(
      others.map((mount) => [mount, keyOf("llb output", before.tree.id, inputs, mount.output)]),
    );
    const whole = [...keys.values()].every((key) => session.records.find(key));
    const fresh = op.fresh || !whole;
    const first = await run.step(
      before,
      inputs,
      {
        createdBy: titleOf(op),
        // Another client's secrets are others, and so is what comes of them.
        bound:
          exec.secretEnv.length > 0 || exec.mounts.some(({ type }) => type === "secret" || type === "ssh"),
        discard: root.output === undefined,
        work: (workspace, progress) => this.#work(workspace, keys, progress),
      },
      fresh,
    );
    const outputs: Output[] = [];
    if (root.output !== undefined) outputs[root.output] = first;
    for (const [mount, key] of keys) {
      const below = await this.#layered(mount);
      outputs[mount.output!] = run.recorded(below, session.records.find(key)!, titleOf(op));
    }
    return outputs;
  }

  #layered({ input }: BindMount): Promise<Layered> {
    return input === undefined ? Promise.resolve(nothing) : this.run.input(input).layered();
  }

  /** What the outcome hangs on, besides the root's tree. */
  #inputs(): unknown[] {
    const { mounts, proxies: _, type: __, ulimits: ___, cgroupParent: ____, ...command } = this.exec;
    const trees = mounts.map((mount) =>
      "input" in mount && mount.input !== undefined ? this.run.input(mount.input).id : null,
    );
    return ["exec", command, mounts, trees];
  }

  async #work(
    workspace: Workspace,
    keys: ReadonlyMap<BindMount, string>,
    { signal, log }: StepProgress,
  ): Promise<void> {
    const { run, exec } = this;
    const { session, op } = run;
    const { request, backend } = session;
    const obstacle = cannotRun(op.platform ?? hostPlatform());
    if (obstacle) throw run.fail(obstacle);
    await using owner = await this.#owner();
    const fail = (message: string, hint?: string) => run.fail(message, hint);
    await using prepared = new StepMounts({ request, workspace, owner, signal, fail });
    const written = new Map<BindMount, Workspace>();
    for (const mount of exec.mounts) {
      if (mount === this.root) continue;
      const own = await this.#mount(prepared, mount, owner, signal);
      if (own && mount.type === "bind" && mount.output !== undefined) written.set(mount, own);
    }
    for (const { id, name, optional } of exec.secretEnv)
      await prepared.secret({ id, env: name, required: !optional, mode: 0o400, uid: 0, gid: 0 });
    const env = envMap(exec.env).has("PATH") ? exec.env : [`PATH=${defaultPath}`, ...exec.env];
    const exitCode = await runInWorkspace(
      backend,
      {
        ...request,
        extraHosts: [...request.extraHosts, ...exec.extraHosts],
        ulimits: [...request.ulimits, ...exec.ulimits],
        cgroupParent: exec.cgroupParent ?? request.cgroupParent,
      },
      workspace,
      {
        args: exec.args,
        env: [...env, ...exec.proxies, ...prepared.env],
        cwd: exec.cwd || "/",
        readonlyRoot: this.root.readonly,
        user: exec.user,
        network: exec.network === "default" ? request.networkMode : exec.network,
        hostname: exec.hostname || defaultHostname,
        insecure: exec.insecure,
        devices: exec.devices,
        mounts: prepared.specs,
        onOutput: log,
      },
      owner,
      signal,
    );
    const fine = exec.validExitCodes.length > 0 ? exec.validExitCodes : [0];
    if (!fine.includes(exitCode)) throw new BuildStepFailed(exec.args.join(" "), exitCode, op.range);
    for (const [mount, own] of written) {
      session.lease.addSnapshot(own.resultKey);
      const committed = await own.commit();
      const before = await this.#layered(mount);
      session.records.put(
        session.newRecord(keys.get(mount)!, {
          result: committed?.snapshot ?? before.tree.id,
          snapshot: committed?.snapshot,
          size: committed?.size,
          description: `${titleOf(op)}: ${mount.target}`,
          parent: before.record,
        }),
      );
    }
  }

  async #owner(): Promise<StepUser | undefined> {
    const { stepUser } = this.run.session.backend;
    if (!stepUser) return undefined;
    if (this.exec.network === "host" || this.exec.insecure)
      throw this.run.fail("the host's network and rights are not there in an engine with --userns-remap");
    return stepUser();
  }

  /** @returns the tree that the step writes to, where it is not the input's own */
  async #mount(
    prepared: StepMounts,
    mount: ExecMount,
    owner: StepUser | undefined,
    signal: AbortSignal,
  ): Promise<Workspace | undefined> {
    const { run } = this;
    const { target } = mount;
    switch (mount.type) {
      case "tmpfs":
        prepared.tmpfs(mount);
        return undefined;
      case "ssh":
        await prepared.ssh({ ...mount, target: target || undefined });
        return undefined;
      case "secret":
        await prepared.secret(mount);
        return undefined;
      case "cache": {
        const { path } = prepared.hold(await this.#cache(mount, signal));
        prepared.directory(path, target, mount.readonly);
        return undefined;
      }
      case "bind": {
        const input = mount.input === undefined ? undefined : run.input(mount.input);
        const place = { source: mount.selector || "/", target, readonly: mount.readonly };
        if (mount.readonly && input && (input.onDisk || !owner)) {
          prepared.bind({ root: input.files().root, onDisk: input.onDisk }, place);
          return undefined;
        }
        const { store, execDir } = run.session.backend;
        const { tree } = await this.#layered(mount);
        const own = prepared.hold(Workspace.open(store.snapshots, execDir, tree.snapshot));
        if (owner) {
          own.remount(owner.view);
          chmodSync(own.directory, 0o711);
        }
        prepared.bind({ root: own.root }, place);
        return own;
      }
    }
  }

  #cache(mount: Extract<ExecMount, { type: "cache" }>, signal: AbortSignal) {
    const { run } = this;
    const cache = { ...mount, source: mount.selector, mode: 0o755, uid: 0, gid: 0 };
    if (mount.input === undefined) return run.session.cacheMounts.acquire(cache, { signal });
    const input = run.input(mount.input);
    const fill = async (directory: string) => {
      const files = input.files();
      const selection = await files.select(mount.selector.replace(/^\/+/, "") || ".", undefined, signal);
      if (!selection?.directory) throw run.fail(`failed to mount: ${mount.selector} is not a directory`);
      await copySelections(files.root, [selection], [], directory, {
        destination: "/",
        owner: input.owners,
        signal,
      });
      // Front ends say by it who may write to the cache.
      const [{ stat }] = selection.entries as [(typeof selection.entries)[0]];
      if (input.owners === "keep") lchownSync(directory, stat.uid, stat.gid);
      chmodSync(directory, stat.mode & 0o7777);
    };
    return run.session.cacheMounts.acquire(cache, { base: input.id, fill, signal });
  }
}
