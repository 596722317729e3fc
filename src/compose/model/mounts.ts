/** The short syntaxes of `volumes:` and `devices:`. */
import type { DeviceConfig, VolumeMount } from "./types.ts";

const propagations = new Set(["private", "rprivate", "shared", "rshared", "slave", "rslave"]);

/**
 * `[SOURCE:]TARGET[:OPTIONS]`. A source that starts with `.`, `/` or `~` is a path of the host, any other the name of
 * a volume; without one the volume is anonymous. Relative paths stay as they are here.
 * @throws RangeError whose message says what is wrong with `text`
 */
export function parseVolume(text: string): VolumeMount {
  if (text === "") throw new RangeError("invalid empty volume spec");
  const parts = text.split(":");
  if (parts.length > 3) throw new RangeError(`invalid spec: ${text}: too many colons`);
  if (parts.some((part) => part === ""))
    throw new RangeError(`invalid spec: ${text}: empty section between colons`);
  const [first, second, third] = parts as [string, string?, string?];
  if (second === undefined) return { type: "volume", target: first, volume: {} };
  const options = (third ?? "").split(",").filter((option) => option !== "");
  const isPath = /^[./~]/.test(first);
  const mount: VolumeMount = { type: isPath ? "bind" : "volume", source: first, target: second };
  if (isPath) mount.bind = { create_host_path: true };
  else mount.volume = {};
  for (const option of options) {
    if (option === "ro") mount.read_only = true;
    else if (option === "nocopy" && mount.volume) mount.volume.nocopy = true;
    else if ((option === "z" || option === "Z") && mount.bind) mount.bind.selinux = option;
    else if (propagations.has(option) && mount.bind) mount.bind.propagation = option;
    else if (
      option !== "rw" &&
      option !== "cached" &&
      option !== "delegated" &&
      option !== "consistent" &&
      option.toLowerCase() !== "z"
    )
      throw new RangeError(`invalid spec: ${text}: unknown option: ${option}`);
    else if (option === "cached" || option === "delegated" || option === "consistent")
      mount.consistency = option;
  }
  return mount;
}

/**
 * `HOST[:CONTAINER[:PERMISSIONS]]`.
 * @throws RangeError
 */
export function parseDevice(text: string): DeviceConfig {
  const [source, target, permissions, ...more] = text.split(":");
  if (more.length > 0 || !source)
    throw new RangeError(`confusing device mapping, please use long syntax: ${text}`);
  return { source, target: target || source, permissions: permissions || "rwm" };
}
