/** RUN: a command in a container of its own, straight on the OCI runtime. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootOf, toOutside } from "../../lib/id-map.ts";
import { Demultiplexer } from "../../lib/stdcopy.ts";
import { containerCapabilities, injectCdiDevices, resolveUser } from "../../runtime/index.ts";
import type {
  ContainerRuntime,
  ContainerSpec,
  MountSpec,
  NamespaceType,
  ProcessSpec,
} from "../../runtime/types.ts";
import type { BuildBackend, BuildRequest, StepUser } from "../types.ts";
import { missingMountPoints, removeMountPoints, runtimeMountPoints } from "./mountpoints.ts";
import type { RunDevice } from "./run-devices.ts";
import type { Workspace } from "./workspace.ts";

export interface RunStep {
  args: string[];
  /** `KEY=value`. */
  env: string[];
  cwd: string;
  readonlyRoot?: boolean;
  /** As USER has it. */
  user: string;
  network: string;
  hostname: string;
  /** All capabilities and no filter: `--security=insecure`. */
  insecure: boolean;
  devices: RunDevice[];
  /** Besides /etc/hosts and /etc/resolv.conf. */
  mounts: MountSpec[];
  onOutput: (stream: 1 | 2, data: Uint8Array) => void;
}

/** What of a build's request its containers hang on. */
export type StepSettings = Pick<
  BuildRequest,
  "extraHosts" | "ulimits" | "shmSize" | "limits" | "cgroupParent"
>;

/**
 * Runs the command to its end; the workspace is unmounted then and its layer holds what the command wrote, and
 * nothing of the container around it.
 * @returns the exit code
 * @throws the signal's reason when cancelled: the processes are gone then
 */
export async function runInWorkspace(
  backend: BuildBackend,
  request: StepSettings,
  workspace: Workspace,
  step: RunStep,
  owner: StepUser | undefined,
  signal: AbortSignal,
): Promise<number> {
  const { runtime } = backend;
  const { id } = workspace;
  await using network = await backend.stepNetwork(id, step.network, request.extraHosts, owner?.networkPath);
  const { spec, missing } = await stepSpec(backend, request, workspace, step, owner, network);
  const exitCode = await runContainer(
    runtime,
    spec,
    join(workspace.directory, "state"),
    step.onOutput,
    signal,
  );
  workspace.unmount();
  removeMountPoints(workspace.upper, missing);
  return exitCode;
}

/**
 * A step's container, ready to be started.
 * @returns also the mount points that are made for it, to be removed from the layer
 */
export async function stepSpec(
  backend: BuildBackend,
  request: StepSettings,
  workspace: Workspace,
  step: Omit<RunStep, "onOutput">,
  owner: StepUser | undefined,
  network: Omit<Awaited<ReturnType<BuildBackend["stepNetwork"]>>, keyof AsyncDisposable>,
): Promise<{ spec: ContainerSpec; missing: ReturnType<typeof missingMountPoints> }> {
  const { id, root } = workspace;
  const process = await stepProcess(request, root, step);
  const mounts = [
    ...fileMounts(workspace.directory, owner, {
      "/etc/hosts": network.hosts,
      "/etc/resolv.conf": network.resolvConf,
    }),
    ...step.mounts,
  ];
  const points = [...runtimeMountPoints, ...mounts.map(({ destination }) => destination)];
  const missing = missingMountPoints(root, points);
  const namespaces: ContainerSpec["namespaces"] = (["pid", "mount", "ipc", "uts"] as NamespaceType[]).map(
    (type) => ({
      type,
    }),
  );
  if (owner) {
    namespaces.push({ type: "user", path: owner.path });
    workspace.remount(owner.view);
    // Past what else is there, to its root.
    const { gid } = rootOf(owner.idMap);
    chownSync(workspace.directory, 0, gid);
    chmodSync(workspace.directory, 0o710);
  }
  if (network.namespacePath !== undefined) namespaces.push({ type: "network", path: network.namespacePath });
  const plain: ContainerSpec = {
    id,
    rootfs: root,
    readonlyRootfs: step.readonlyRoot ?? false,
    hostname: step.hostname,
    process,
    mounts,
    shmSize: request.shmSize,
    namespaces,
    idMap: owner?.idMap,
    devices: [],
    resources: request.limits,
    cgroupPath: join(request.cgroupParent ?? backend.cgroupParent, id),
    sysctls: {},
    privileged: step.insecure,
    seccomp: "default",
  };
  const required = step.devices.filter((device) => device.required).map(({ name }) => name);
  const optional = step.devices.filter((device) => !device.required).map(({ name }) => name);
  return { spec: injectCdiDevices(plain, { required, optional }), missing };
}

/** A process of a step's container. @throws InvalidParameter a user that is not there */
export async function stepProcess(
  { ulimits }: Pick<StepSettings, "ulimits">,
  root: string,
  {
    args,
    env,
    cwd,
    user,
    insecure,
    terminal = false,
  }: Pick<RunStep, "args" | "env" | "cwd" | "user" | "insecure"> & { terminal?: boolean },
): Promise<ProcessSpec> {
  return {
    args,
    env,
    cwd,
    user: await resolveUser(root, user),
    terminal,
    capabilities: containerCapabilities({ add: [], drop: [], privileged: insecure }),
    noNewPrivileges: false,
    rlimits: ulimits.map(({ name, soft, hard }) => ({
      type: `RLIMIT_${name.toUpperCase()}`,
      soft,
      hard,
      explicit: true,
    })),
  };
}

/** The container is gone when this returns or throws. */
async function runContainer(
  runtime: ContainerRuntime,
  spec: ContainerSpec,
  stateDir: string,
  onOutput: RunStep["onOutput"],
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const demultiplexer = new Demultiplexer((stream, data) => onOutput(stream === 2 ? 2 : 1, data));
  let drained: Promise<void> | undefined;
  const kill = () => {
    runtime.kill(spec.id, 9, { all: true }).catch(() => {});
  };
  try {
    const process = await runtime.start(spec, {
      stateDir,
      stdio: { openStdin: false, stdinOnce: false, owner: spec.idMap && rootOf(spec.idMap) },
      signal,
      onAttachable: async (attachable) => {
        const stream = await attachable.attach({ stdin: false, stdout: true, stderr: true });
        drained = (async () => {
          for await (const chunk of stream) demultiplexer.push(chunk as Uint8Array);
        })();
        drained.catch(() => {});
      },
    });
    signal.addEventListener("abort", kill, { once: true });
    if (signal.aborted) kill();
    const exit = await process.exited;
    signal.throwIfAborted();
    await drained;
    return exit.exitCode;
  } finally {
    signal.removeEventListener("abort", kill);
    await runtime.delete(spec.id, { force: true });
  }
}

/** Files with the given text, to be bind mounted read-only. */
function fileMounts(
  directory: string,
  owner: StepUser | undefined,
  files: Record<string, string>,
): MountSpec[] {
  return Object.entries(files).map(([destination, text]) => {
    const source = join(directory, destination.replaceAll("/", "_"));
    writeFileSync(source, text, { mode: 0o644 });
    give(source, { uid: 0, gid: 0 }, owner);
    return bindMount(source, destination, true);
  });
}

export function bindMount(source: string, destination: string, readonly: boolean): MountSpec {
  return { destination, type: "bind", source, options: ["rbind", "rprivate", readonly ? "ro" : "rw"] };
}

/** Writes a secret where only the step's mount shows it. */
export function secretFile(
  path: string,
  bytes: Uint8Array,
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
  owner: StepUser | undefined,
): void {
  writeFileSync(path, bytes, { mode, flag: "wx" });
  give(path, { uid, gid }, owner);
}

/** To whom it belongs as the step sees it. An id that it has no place for is the host's. */
export function give(path: string, ids: { uid: number; gid: number }, owner: StepUser | undefined): void {
  const { uids = [], gids = [] } = owner?.idMap ?? {};
  chownSync(path, toOutside(uids, ids.uid) ?? ids.uid, toOutside(gids, ids.gid) ?? ids.gid);
}
