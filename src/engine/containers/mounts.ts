import { chownSync, existsSync, mkdirSync, statSync } from "node:fs";
import { isAbsolute, normalize } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import { canMountReadOnlyRecursively } from "../../linux/mount.ts";
import type { ImageRecord } from "../../store/types.ts";
import type { ContainerConfig, HostConfig, MountConfig } from "../config.ts";
import type { EngineVolumes, MountPoint } from "../types.ts";

const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
/** The words of a mount's mode: one of each row at most. */
const modeWords = [
  ["rw", "ro"],
  ["z", "Z"],
  ["nocopy"],
  ["consistent", "cached", "delegated", "default"],
  ["bind", "rbind"],
  propagations,
];

function isMode(mode: string): boolean {
  if (mode === "") return true;
  const rows = mode.split(",").map((word) => modeWords.findIndex((words) => words.includes(word)));
  return !rows.includes(-1) && new Set(rows).size === rows.length;
}

/** A mount point with what only its set-up needs. */
export interface PlannedMount extends MountPoint {
  /** Fill an empty volume from the image's directory. */
  copyUp: boolean;
  tmpfsOptions?: string;
}

interface Sources {
  volumes: EngineVolumes;
  /** Mounts of another container, for `--volumes-from`. @throws InvalidParameter when there is none */
  mountsOf(container: string): MountPoint[];
  /** An image to mount, held until the container is there. @throws InvalidParameter when there is none */
  findImage(reference: string): ImageRecord;
  /** What is mounted below a read-only mount stays as it is, unless the mount asks for more. */
  shallowReadOnly: boolean;
  /** Host ids of the container's root, when they aren't root's. */
  root: { uid: number; gid: number } | undefined;
}

/**
 * The mounts of a new container: later ones win over earlier ones at the same destination, in Docker's order
 * (volumes-from, binds, mounts, tmpfs, then the image's and `-v /path` anonymous volumes). Creates the volumes.
 * @throws InvalidParameter, in Docker's words, for what cannot be mounted
 */
export async function planMounts(
  config: ContainerConfig,
  host: HostConfig,
  sources: Sources,
): Promise<PlannedMount[]> {
  const byDestination = new Map<string, PlannedMount>();
  const add = (mount: PlannedMount) => byDestination.set(mount.destination, mount);
  for (const spec of host.VolumesFrom ?? []) {
    const [container, mode = ""] = spec.split(":");
    if (!isMode(mode)) throw new InvalidParameter(`invalid mode: ${mode}`);
    for (const mount of sources.mountsOf(container!)) {
      const rw = mode === "ro" ? false : mount.rw;
      add({ ...mount, rw, copyUp: false });
    }
  }
  const own = new Set<string>();
  const addOwn = (mount: PlannedMount) => {
    if (own.has(mount.destination)) throw new InvalidParameter(`Duplicate mount point: ${mount.destination}`);
    own.add(mount.destination);
    add(mount);
  };
  for (const bind of host.Binds ?? []) {
    try {
      addOwn(await fromBind(bind, sources));
    } catch (error) {
      if (!(error instanceof BadMount)) throw error;
      throw new InvalidParameter(`invalid volume specification: '${bind}': ${error.message}`, {
        cause: error,
      });
    }
  }
  for (const mount of host.Mounts ?? []) addOwn(await fromMount(mount, sources));
  for (const [destination, options] of Object.entries(host.Tmpfs ?? {})) {
    addOwn(tmpfs(checkDestination("tmpfs", destination), checkTmpfsOptions(options)));
  }
  for (const destination of Object.keys(config.Volumes ?? {})) {
    const path = checkDestination("volume", destination);
    if (!byDestination.has(path)) add(await anonymousVolume(path, sources.volumes));
  }
  // Parents before what is mounted inside them.
  return [...byDestination.values()].sort((a, b) => depth(a.destination) - depth(b.destination));
}

const depth = (path: string) => path.split("/").length;

/** What is wrong with one mount. */
class BadMount extends InvalidParameter {
  constructor(type: string, why: string) {
    super(`invalid mount config for type "${type}": ${why}`);
  }
}

function checkDestination(type: string, path: string): string {
  if (path === "") throw new BadMount(type, "field Target must not be empty");
  if (!isAbsolute(path))
    throw new BadMount(type, `invalid mount path: '${path}' mount path must be absolute`);
  const clean = normalize(path).replace(/(.)\/$/, "$1");
  if (clean === "/") throw new BadMount(type, "invalid specification: destination can't be '/'");
  return clean;
}

async function fromBind(spec: string, { volumes, root, shallowReadOnly }: Sources): Promise<PlannedMount> {
  const parts = spec.split(":");
  if (parts.length > 3 || parts.some((part) => part === ""))
    throw new InvalidParameter(`invalid volume specification: '${spec}'`);
  if (parts.length === 1) return anonymousVolume(checkDestination("volume", parts[0]!), volumes);
  const [source, target, mode = ""] = parts as [string, string, string?];
  const words = mode === "" ? [] : mode.split(",");
  if (!isMode(mode))
    throw new InvalidParameter(`invalid volume specification: '${spec}': invalid mode: ${mode}`);
  const destination = checkDestination(isAbsolute(source) ? "bind" : "volume", target);
  const rw = !words.includes("ro");
  const propagation = words.find((word) => propagations.includes(word));
  if (!isAbsolute(source)) {
    if (propagation !== undefined) throw new BadMount("volume", "field BindOptions must not be specified");
    const volume = await volumes.create({ name: source, driver: "local", options: {}, labels: {} });
    return {
      type: "volume",
      name: volume.name,
      source: volume.mountpoint,
      destination,
      driver: volume.driver,
      mode: mode || "z",
      rw,
      propagation: "",
      copyUp: !words.includes("nocopy"),
    };
  }
  if (words.includes("nocopy")) throw new BadMount("bind", "field VolumeOptions must not be specified");
  // `-v` creates a missing host directory, as Docker always has; `--mount` refuses it.
  if (!existsSync(source)) makeHostDirectory(source, root);
  return {
    type: "bind",
    source: normalize(source),
    destination,
    mode,
    rw,
    propagation: propagation ?? "rprivate",
    copyUp: false,
    ...(words.includes("bind")
      ? { recursion: "none" as const }
      : !rw && shallowReadOnly && { recursion: "writable" as const }),
  };
}

async function fromMount(mount: MountConfig, sources: Sources): Promise<PlannedMount> {
  const { volumes, root, findImage, shallowReadOnly } = sources;
  if (!["bind", "volume", "tmpfs", "image"].includes(mount.Type))
    throw new BadMount(mount.Type, "mount type unknown: bind, volume, tmpfs and image are there");
  const destination = checkDestination(mount.Type, mount.Target);
  const rw = !mount.ReadOnly;
  if (mount.Type === "tmpfs") {
    if (mount.Source) throw new BadMount("tmpfs", "field Source must not be specified");
    const words = rw ? [] : ["ro"];
    if (mount.TmpfsOptions?.SizeBytes) words.push(`size=${mount.TmpfsOptions.SizeBytes}`);
    if (mount.TmpfsOptions?.Mode) words.push(`mode=${mount.TmpfsOptions.Mode.toString(8)}`);
    for (const [name = "", value] of mount.TmpfsOptions?.Options ?? []) words.push(tmpfsOption(name, value));
    return tmpfs(destination, words.join(","));
  }
  if (mount.Type === "image") return imageMount(mount, destination, findImage);
  if (mount.Type === "volume") {
    if (!mount.Source && mount.ReadOnly)
      throw new BadMount("volume", "must not set ReadOnly mode when using anonymous volumes");
    if (!mount.Source && !mount.VolumeOptions) return anonymousVolume(destination, volumes);
    const subpath = checkSubpath("volume", mount.VolumeOptions?.Subpath);
    const volume = await volumes.create({
      name: mount.Source,
      driver: mount.VolumeOptions?.DriverConfig?.Name ?? "local",
      options: mount.VolumeOptions?.DriverConfig?.Options ?? {},
      labels: mount.VolumeOptions?.Labels ?? {},
    });
    return {
      type: "volume",
      name: volume.name,
      source: volume.mountpoint,
      destination,
      driver: volume.driver,
      mode: "z",
      rw,
      propagation: "",
      subpath,
      copyUp: !mount.VolumeOptions?.NoCopy && subpath === undefined,
    };
  }
  const source = mount.Source ?? "";
  if (source === "") throw new BadMount("bind", "field Source must not be empty");
  if (!isAbsolute(source))
    throw new BadMount("bind", `invalid mount path: '${source}' mount path must be absolute`);
  if (!statSync(source, { throwIfNoEntry: false })) {
    if (!mount.BindOptions?.CreateMountpoint)
      throw new BadMount("bind", `bind source path does not exist: ${source}`);
    makeHostDirectory(source, root);
  }
  const propagation = mount.BindOptions?.Propagation || "rprivate";
  if (!propagations.includes(propagation))
    throw new InvalidParameter(`invalid propagation mode: ${propagation}`);
  return {
    type: "bind",
    source: normalize(source),
    destination,
    mode: "",
    rw,
    propagation,
    copyUp: false,
    recursion: recursionOf(mount) ?? (!rw && shallowReadOnly ? "writable" : undefined),
  };
}

function imageMount(
  { Source: name = "", ImageOptions }: MountConfig,
  destination: string,
  findImage: Sources["findImage"],
): PlannedMount {
  if (name === "") throw new BadMount("image", "field Source must not be empty");
  const subpath = checkSubpath("image", ImageOptions?.Subpath);
  const image = findImage(name);
  const chain = image.layers.at(-1)?.chainId;
  if (!chain) throw new BadMount("image", `image ${name} has no layers`);
  return {
    type: "image",
    image: { name, id: image.id, chain },
    source: image.id,
    destination,
    mode: "",
    rw: false,
    propagation: "",
    subpath,
    copyUp: false,
  };
}

function checkSubpath(type: "volume" | "image", subpath: string | undefined): string | undefined {
  if (!subpath) return undefined;
  if (isAbsolute(subpath) || subpath.split("/").includes(".."))
    throw new BadMount(type, `subpath must be a relative path within the ${type}`);
  return subpath;
}

/** What is missing belongs to the container's root, as with Docker. */
function makeHostDirectory(path: string, root: Sources["root"]): void {
  mkdirSync(path, { recursive: true });
  if (root) chownSync(path, root.uid, root.gid);
}

/** @throws InvalidParameter for wishes that contradict each other, or the kernel */
function recursionOf({ ReadOnly, BindOptions = {} }: MountConfig): MountPoint["recursion"] {
  const { NonRecursive, ReadOnlyNonRecursive, ReadOnlyForceRecursive } = BindOptions;
  const refuse = (why: string): never => {
    throw new BadMount("bind", why);
  };
  if ((ReadOnlyNonRecursive || ReadOnlyForceRecursive) && !ReadOnly)
    refuse("ReadOnlyNonRecursive and ReadOnlyForceRecursive are for read-only mounts");
  if (ReadOnlyForceRecursive && (NonRecursive || ReadOnlyNonRecursive))
    refuse("ReadOnlyForceRecursive conflicts with the other options of recursion");
  if (ReadOnlyForceRecursive && !canMountReadOnlyRecursively)
    refuse("recursively read-only mounts want Linux 5.12");
  if (NonRecursive) return "none";
  return ReadOnlyNonRecursive ? "writable" : undefined;
}

async function anonymousVolume(destination: string, volumes: EngineVolumes): Promise<PlannedMount> {
  const volume = await volumes.create({
    driver: "local",
    options: {},
    labels: { "com.docker.volume.anonymous": "" },
  });
  return {
    type: "volume",
    name: volume.name,
    source: volume.mountpoint,
    destination,
    driver: volume.driver,
    mode: "",
    rw: true,
    propagation: "",
    copyUp: true,
  };
}

/** @throws InvalidParameter for what could end the option and begin another */
function tmpfsOption(name: string, value: string | undefined): string {
  const word = value === undefined ? name : `${name}=${value}`;
  if (!/^[\w.]+(=[\w.:%/-]*)?$/.test(word)) throw new BadMount("tmpfs", `invalid option: ${word}`);
  return word;
}

/** What tmpfs(5) and mount(8) know; the rest would only be refused at the start, by the kernel. */
const tmpfsWords =
  /^(ro|rw|(no)?(exec|suid|dev|atime|diratime|relatime|strictatime|swap)|relatime|(r)?(private|shared|slave|unbindable)|(a)?sync|dirsync|remount|defaults|mand|nomand|size=.*|mode=.*|uid=.*|gid=.*|nr_inodes=.*|nr_blocks=.*|mpol=.*|huge=.*|inode(32|64))$/;

/** @throws InvalidParameter in Docker's words */
function checkTmpfsOptions(options: string): string {
  const bad = options.split(",").find((word) => word !== "" && !tmpfsWords.test(word));
  if (bad === undefined) return options;
  throw new InvalidParameter(
    `invalid tmpfs option [${bad
      .split("=")
      .map((part) => `"${part}"`)
      .join(" ")}]`,
  );
}

function tmpfs(destination: string, options: string): PlannedMount {
  return {
    type: "tmpfs",
    source: "",
    destination,
    mode: options,
    rw: !options.split(",").includes("ro"),
    propagation: "",
    copyUp: false,
    tmpfsOptions: options,
  };
}
