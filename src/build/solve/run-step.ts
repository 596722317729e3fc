/** RUN as a step: what it depends on, and how it is done. */
import { chmodSync } from "node:fs";
import { join, posix } from "node:path";
import { Forbidden } from "../../lib/errors.ts";
import type { Run } from "../dockerfile/instructions.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import { BuildStepFailed, stepError } from "../errors.ts";
import type { CacheMountOptions } from "../exec/cache-mounts.ts";
import { cannotRun } from "../exec/emulation.ts";
import { bindMount, runInWorkspace, secretFile } from "../exec/run.ts";
import { parseRunDevice } from "../exec/run-devices.ts";
import { parseRunMounts, type RunMount } from "../exec/run-mounts.ts";
import { StepMounts } from "../exec/step-mounts.ts";
import { Workspace } from "../exec/workspace.ts";
import { copySelections } from "../files/copy.ts";
import type { Selection, SourceTree } from "../files/tree.ts";
import { commandArgs, defaultPath, defaultShell, workdir } from "../graph/metadata.ts";
import { envMap, setEnv } from "../graph/scope.ts";
import type { BuildRequest, StepUser } from "../types.ts";
import { argInput, type NamedInput } from "./inputs.ts";
import type { Session, Source } from "./session.ts";
import type { LayerStep, StageBuilder } from "./stage.ts";

/** As in /etc/hosts of a step, and the same for each, so that what they write does not differ by it. */
export const defaultHostname = "buildkitsandbox";

/** @throws DockerfileError, NotImplemented */
export async function runStep(builder: StageBuilder, run: Run): Promise<LayerStep> {
  const { session, state } = builder;
  const { config, scope } = state;
  const security = securityOf(run, session.request);
  const devices = run.devices.map((text) => parseRunDevice(builder.expand(text, run), run));
  if (devices.length > 0) demand(run, session.request, "device");
  const network = networkOf(run, session.request.networkMode);
  const mounts = parseRunMounts(
    run,
    (text) => builder.expand(text, run),
    (path) => workdir(config.WorkingDir, path),
  );
  const { args, script } = commandOf(run, config.Shell);
  const variables = scope.runArgs();
  const env = setEnv(config.Env ?? [], variables);
  if (!envMap(env).has("PATH")) env.unshift(`PATH=${defaultPath}`);
  const cwd = config.WorkingDir || "/";
  const hostname = session.request.buildArgs.BUILDKIT_SANDBOX_HOSTNAME;
  const set = variables.map(([name, value]) => `${name}=${value}`);
  const shown = [...(set.length > 0 ? [`|${set.length}`, ...set] : []), ...args].join(" ");
  const keys = await Promise.all(mounts.map((mount) => mountKey(builder, run, mount)));
  return {
    inputs: [
      "RUN",
      args,
      script ?? null,
      env,
      cwd,
      config.User ?? "",
      network,
      keys.map(({ key }) => key),
      security,
      devices,
      ...(hostname ? [hostname] : []),
    ],
    createdBy: `RUN ${shown}`,
    named: async () => {
      const { digest } = session.explanations;
      const setting = (name: string): NamedInput => ({ kind: "instruction", name, digest: digest(name) });
      return [
        ...[...envMap(env)].map(([name, value]) => argInput(name, value, digest)),
        setting(`USER ${config.User ?? ""}`),
        setting(`WORKDIR ${cwd}`),
        setting(`SHELL ${JSON.stringify(config.Shell ?? defaultShell)}`),
        setting(`--network ${network}`),
        ...(await Promise.all(keys.map((key, i) => mountInput(builder, run.mounts[i]!, key)))),
      ];
    },
    // Another client's secrets are others, and so is what comes of them.
    bound: mounts.some(({ type }) => type === "secret" || type === "ssh"),
    work: async (workspace, { signal, log }) => {
      const obstacle = cannotRun(state.platform);
      if (obstacle) throw stepError(run.range, obstacle);
      await using owner = await ownerOf(run, session, network, security);
      await using prepared = await prepareMounts(builder, run, mounts, workspace, owner, signal);
      if (script !== undefined) {
        const path = join(workspace.directory, "script");
        secretFile(path, Buffer.from(script), { mode: 0o755, uid: 0, gid: 0 }, owner);
        prepared.specs.push(bindMount(path, args[0]!, true));
      }
      const step = {
        args,
        env: [...env, ...scope.proxies(), ...prepared.env],
        cwd,
        user: config.User ?? "",
        network,
        hostname: hostname || defaultHostname,
        insecure: security === "insecure",
        devices,
        mounts: prepared.specs,
        onOutput: log,
      };
      const exitCode = await runInWorkspace(session.backend, session.request, workspace, step, owner, signal);
      if (exitCode === 0) return;
      for (const id of prepared.absentSecrets)
        log(2, Buffer.from(`the build was given no secret ${id} (give it with --secret id=${id})\n`));
      throw new BuildStepFailed(args.join(" "), exitCode, run.range);
    },
  };
}

/** @throws DockerfileError for what only the host's ids can do */
async function ownerOf(
  run: Run,
  { backend }: Session,
  network: string,
  security: "sandbox" | "insecure",
): Promise<StepUser | undefined> {
  if (!backend.stepUser) return undefined;
  const wanted = network === "host" ? "--network=host" : security === "insecure" ? "--security=insecure" : "";
  if (wanted) throw stepError(run.range, `${wanted} is not there for steps of an engine with --userns-remap`);
  return backend.stepUser();
}

function networkOf(run: Run, fallback: string): string {
  const network = run.network ?? "default";
  if (network !== "default" && network !== "none" && network !== "host") {
    throw stepError(run.range, `unsupported network mode ${JSON.stringify(network)}`);
  }
  return network === "default" ? fallback : network;
}

/** @throws DockerfileError, Forbidden when it was not entitled to */
function securityOf(run: Run, request: BuildRequest): "sandbox" | "insecure" {
  const { security = "sandbox" } = run;
  if (security !== "sandbox" && security !== "insecure") {
    const hint = didYouMean(security, ["sandbox", "insecure"]);
    throw stepError(run.range, `security ${JSON.stringify(security)} is not supported`, hint);
  }
  if (security === "insecure") demand(run, request, "security.insecure");
  return security;
}

/** What goes beyond a container's rights has to be given with the build (`--allow`). */
function demand({ range }: Run, request: BuildRequest, entitlement: string): void {
  if (request.entitlements?.includes(entitlement)) return;
  throw new Forbidden(`${entitlement} is not allowed\n${range.file}:${range.line}: ${range.source}`);
}

/** A heredoc alone is a script: with `#!` a program of its own, else the shell's text. Others are the shell's. */
function commandOf(run: Run, shell: string[] | null | undefined): { args: string[]; script?: string } {
  const { command, heredocs } = run;
  if (command.form === "exec" || heredocs.length === 0) return { args: commandArgs(command, shell) };
  const [only] = heredocs;
  if (heredocs.length === 1 && /^\d*<<-?\s*["']?[^\s"']+["']?$/.test(command.text)) {
    if (only!.content.startsWith("#!")) return { args: [`/dev/pipes/${only!.name}`], script: only!.content };
    return { args: [...(shell?.length ? shell : defaultShell), only!.content] };
  }
  const bodies = heredocs.map(({ name, content }) => `${content}${name}`).join("\n");
  return { args: commandArgs({ form: "shell", text: `${command.text}\n${bodies}` }, shell) };
}

interface MountKey {
  key: unknown;
  /** Files of a context. */
  shows?: { context: SourceTree; selection: Selection };
}

/** What a mount adds to the step's key: the files it shows. Caches and secrets add only that they are there. */
async function mountKey(builder: StageBuilder, run: Run, mount: RunMount): Promise<MountKey> {
  const { session } = builder;
  if (mount.type === "cache" && mount.from !== undefined) {
    // Begun here, so that a stage that the cache starts from is built and a wrong name is told.
    await session.source(mount.from, run.range);
  }
  if (mount.type !== "bind") return { key: mount };
  let context = session.context();
  if (mount.from !== undefined) {
    const source = await session.source(mount.from, run.range);
    if (source.kind === "tree") return { key: [mount, source.tree.id] };
    context = source.files;
  }
  const selection = await context.select(mount.source.replace(/^\/+/, "") || ".", undefined, session.signal);
  if (!selection) throw stepError(run.range, `failed to mount: stat ${mount.source}: file does not exist`);
  const digest = await context.digest([selection], { owners: false, signal: session.signal });
  return { key: [mount, digest], shows: { context, selection } };
}

async function mountInput(
  { session }: StageBuilder,
  name: string,
  { key, shows }: MountKey,
): Promise<NamedInput> {
  const { digest } = session.explanations;
  const files = await shows?.context.fingerprints([shows.selection], { owners: false, digest });
  return { kind: "mount", name, digest: digest(JSON.stringify(key)), files };
}

async function prepareMounts(
  builder: StageBuilder,
  run: Run,
  mounts: RunMount[],
  workspace: Workspace,
  owner: StepUser | undefined,
  signal: AbortSignal,
): Promise<StepMounts> {
  const { session } = builder;
  const fail = (message: string, hint?: string) => stepError(run.range, message, hint);
  const prepared = new StepMounts({ request: session.request, workspace, owner, signal, fail });
  await using stack = new AsyncDisposableStack();
  stack.use(prepared);
  for (const mount of mounts) {
    switch (mount.type) {
      case "tmpfs":
        prepared.tmpfs(mount);
        break;
      case "cache": {
        const options = await cacheBase(builder, run, mount, signal);
        const namespace = session.request.buildArgs.BUILDKIT_CACHE_MOUNT_NS;
        const id = namespace ? `${namespace}/${mount.id}` : mount.id;
        const { path } = prepared.hold(await session.cacheMounts.acquire({ ...mount, id }, options));
        prepared.directory(path, mount.target, mount.readonly);
        break;
      }
      case "bind": {
        const root = await bindRoot(builder, run, mount, prepared, owner, signal);
        const { source, target, writable } = mount;
        prepared.bind(root, { source, target, readonly: !writable });
        break;
      }
      case "ssh":
        await prepared.ssh(mount);
        break;
      case "secret":
        await prepared.secret(mount);
        break;
    }
  }
  stack.move();
  return prepared;
}

/** Where a bind mount's source is found; a writable one gets a layer of its own that is thrown away. */
async function bindRoot(
  { session }: StageBuilder,
  run: Run,
  mount: Extract<RunMount, { type: "bind" }>,
  prepared: StepMounts,
  owner: StepUser | undefined,
  signal: AbortSignal,
): Promise<{ root: string; onDisk?: boolean }> {
  const source: Source =
    mount.from === undefined
      ? { kind: "context", files: session.context() }
      : await session.source(mount.from, run.range);
  if (source.kind === "context" && !mount.writable)
    return { root: await session.visibleContext(source.files, signal), onDisk: true };
  if (source.kind === "tree" && !mount.writable && !owner)
    return { root: session.views.open(source.tree.snapshot) };
  const { store, execDir } = session.backend;
  const below = source.kind === "tree" ? source.tree.snapshot : undefined;
  const workspace = prepared.hold(Workspace.open(store.snapshots, execDir, below));
  const { root, directory } = workspace;
  if (source.kind === "context") await copyVisible(source.files, root, mount.source, signal);
  if (owner) {
    workspace.remount(owner.view);
    chmodSync(directory, 0o711);
  }
  return { root };
}

/** The part of a context that a writable mount shows, in a layer of its own. */
async function copyVisible(
  context: SourceTree,
  root: string,
  source: string,
  signal: AbortSignal,
): Promise<void> {
  const path = source.replace(/^\/+/, "") || ".";
  const selection = await context.select(path, undefined, signal);
  if (!selection) return;
  const options = { destination: posix.join("/", path), owner: { uid: 0, gid: 0 }, signal };
  await copySelections(context.root, [selection], [], root, options);
}

/** What a new cache begins with: a directory of a stage, an image or a named context. */
async function cacheBase(
  { session }: StageBuilder,
  run: Run,
  mount: Extract<RunMount, { type: "cache" }>,
  signal: AbortSignal,
): Promise<CacheMountOptions> {
  if (mount.from === undefined) return { signal };
  const source = await session.source(mount.from, run.range);
  const files = source.kind === "tree" ? source.files() : source.files;
  const selection = await files.select(mount.source.replace(/^\/+/, "") || ".", undefined, signal);
  if (!selection?.directory) {
    throw stepError(run.range, `failed to mount: ${mount.source} is not a directory of ${mount.from}`);
  }
  const base =
    source.kind === "tree" ? source.tree.id : await files.digest([selection], { owners: false, signal });
  const owner = source.kind === "tree" ? "keep" : { uid: 0, gid: 0 };
  return {
    base,
    signal,
    fill: (directory) =>
      copySelections(files.root, [selection], [], directory, { destination: "/", owner, signal }),
  };
}
