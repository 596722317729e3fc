/** Volumes of the `local` driver that are mounts: `--opt type=nfs --opt o=addr=…,rw --opt device=:/path`. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { Internal, InvalidParameter } from "../lib/errors.ts";
import { Mutex } from "../lib/mutex.ts";
import { MNT_DETACH, umountIfMounted } from "../linux/mount.ts";
import { mountOf } from "../linux/mountinfo.ts";
import type { VolumeRecord } from "./types.ts";

const knownOptions = ["type", "o", "device", "size"];

/** @throws InvalidParameter in Docker's words */
export function checkVolumeOptions(name: string, options: Record<string, string>): void {
  const fail = (what: string): never => {
    throw new InvalidParameter(`create ${name}: ${what}`);
  };
  const given = Object.keys(options);
  const unknown = given.find((key) => !knownOptions.includes(key));
  if (unknown !== undefined) fail(`invalid option: ${JSON.stringify(unknown)}`);
  if (options.size) fail("quota size requested but no quota support");
  if (given.length === 0) return;
  for (const key of ["device", "type"]) if (!options[key]) fail(`missing required option: "${key}"`);
}

/** Mounts such a volume for the first of its users and unmounts it after the last. */
export class VolumeMounts {
  #holders = new Map<string, Set<string>>();
  #mutex = new Mutex();

  /**
   * @param holder id of the container that will use it; the same may ask again
   * @throws Internal when the kernel refuses
   */
  hold(volume: VolumeRecord, holder: string): Promise<void> {
    return this.#mutex.run(async () => {
      const holders = this.#holders.get(volume.name) ?? new Set();
      if (holders.size === 0 && mountOf(volume.mountpoint).mountpoint !== volume.mountpoint)
        await mountVolume(volume);
      this.#holders.set(volume.name, holders.add(holder));
    });
  }

  letGo(volume: VolumeRecord, holder: string): Promise<void> {
    return this.#mutex.run(() => {
      const holders = this.#holders.get(volume.name);
      if (!holders?.delete(holder) || holders.size > 0) return;
      this.#holders.delete(volume.name);
      this.unmount(volume);
    });
  }

  /** After a restart of the daemon: whoever runs has asked again by now. */
  dropIdle(volumes: readonly VolumeRecord[]): void {
    for (const volume of volumes) if (!this.#holders.has(volume.name)) this.unmount(volume);
  }

  /** Nothing mounted is no error. Whoever still has files open there keeps them. */
  unmount(volume: VolumeRecord): void {
    if (isMount(volume)) while (umountIfMounted(volume.mountpoint, MNT_DETACH));
  }
}

/** Whether a volume is more than its directory. */
export const isMount = (volume: VolumeRecord) => Object.keys(volume.options).length > 0;

async function mountVolume({ mountpoint, options }: VolumeRecord): Promise<void> {
  const { type = "", device = "" } = options;
  const words = await withAddress(type, options.o ?? "");
  // The program knows which words are flags of mount(2) and which are the file system's; -i: no helper programs.
  const command = [
    "mount",
    "-n",
    "-i",
    "-t",
    type,
    ...(words ? ["-o", words] : []),
    "--",
    device,
    mountpoint,
  ];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) === 0) return;
  throw new Internal(
    `error while mounting volume '${mountpoint}': failed to mount local volume: ${stderr.trim().replace(/\s*\n\s*/g, " ")} (type=${type}, device=${device})`,
  );
}

/** The kernel's network file systems want an address where people write a name. */
async function withAddress(type: string, words: string): Promise<string> {
  const name = /(?:^|,)addr=([^,]+)/.exec(words)?.[1];
  if (name === undefined || isIP(name) !== 0 || !/^(nfs|cifs)/.test(type)) return words;
  try {
    const { address } = await lookup(name);
    return words.replace(`addr=${name}`, `addr=${address}`);
  } catch (error) {
    throw new Internal(`error resolving passed in network volume address ${name}`, { cause: error });
  }
}
