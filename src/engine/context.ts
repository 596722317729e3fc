import { join } from "node:path";
import type { Network } from "../net/types.ts";
import type { RegistryClient } from "../registry/types.ts";
import type { ContainerRuntimes } from "../runtime/types.ts";
import type { Store } from "../store/types.ts";
import type { EventBus } from "./events.ts";
import type { SignaturePolicy } from "./images/signature-policy.ts";
import type { Remap } from "./remap.ts";
import type { EngineOptions } from "./types.ts";

/** What every part of the engine stands on. */
export interface Context {
  readonly options: EngineOptions;
  readonly store: Store;
  readonly runtime: ContainerRuntimes;
  readonly network: Network;
  readonly registry: RegistryClient;
  readonly events: EventBus;
  readonly signatures: SignaturePolicy;
  /** Missing: containers have the host's ids. */
  readonly remap?: Remap;
}

/** How many digits of an id name its directory below exec-root: socket paths end at 107 bytes. */
const shortDir = 24;

/** Where things are on disk. Data outlives a reboot; what is below exec-root does not. */
export const paths = {
  containerData: (options: EngineOptions, id: string) => join(options.dataRoot, "containers", id),
  stateDirs: (options: EngineOptions) => join(options.execRoot, "c"),
  stateDir: (options: EngineOptions, id: string) => join(options.execRoot, "c", id.slice(0, shortDir)),
  execDir: (options: EngineOptions, id: string) => join(options.execRoot, "e", id.slice(0, shortDir)),
  rootfs: (options: EngineOptions, id: string) => join(options.execRoot, "r", id.slice(0, shortDir)),
  /** Where the trees of images are mounted with owners mapped (remap.ts). */
  mapped: (options: EngineOptions) => join(options.execRoot, "mapped"),
  /** /dev/shm of a container that shares it. */
  shm: (options: EngineOptions, id: string) => join(paths.stateDir(options, id), "shm"),
  /** A network namespace's mount (net/types.ts: NetworkOptions). */
  sandbox: (options: EngineOptions, id: string) => join(options.execRoot, "netns", id),
  imageMounts: (options: EngineOptions) => join(options.execRoot, "i"),
  volumes: (options: EngineOptions) => join(options.dataRoot, "volumes"),
  tmp: (options: EngineOptions) => join(options.dataRoot, "tmp"),
};

/** Snapshot key of a container's writable layer. */
export const snapshotKey = (containerId: string) => `container/${containerId}`;

/** Cgroup above those of containers and build steps, when neither they nor the daemon are told of another. */
export const cgroupParent = "/gantry";

/** Cgroup of a container or a build step. */
export const cgroupPath = (parent: string, id: string) => join("/", parent || cgroupParent, id);
