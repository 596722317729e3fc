/**
 * A create as its client's version means it: defaults that were others once, wishes that a version can't know, and the
 * MAC address that was the container's before it was its endpoint's. (Source: the Engine API's version history.)
 */
import type { EndpointConfig, HostConfig, MountConfig } from "../../engine/config.ts";
import type { CreateContainer } from "../../engine/types.ts";
import { InvalidParameter } from "../../lib/errors.ts";

/** A create's body, with the container's own MAC address. */
export type CreateBody = Omit<CreateContainer, "name" | "platform"> & { macAddress: string };

/**
 * @returns the request, and a warning for each field that the version should not use any more
 * @throws InvalidParameter for what the version hasn't, where to pass it over would harm
 */
export function inVersion(
  { macAddress, ...request }: CreateBody,
  version: number,
): { request: Omit<CreateContainer, "name" | "platform">; warnings: string[] } {
  const { hostConfig, endpoints } = request;
  if (version < 40) hostConfig.IpcMode ||= "shareable";
  checkMounts(hostConfig, version);
  if (version < 44 && Object.keys(endpoints).length > 1)
    throw new InvalidParameter(
      `Container cannot be created with multiple network endpoints: ${Object.keys(endpoints).join(", ")}`,
    );
  if (macAddress !== "") addMacAddress(endpoints, hostConfig, macAddress);
  return {
    // Until 1.44 what is mounted below a read-only mount could be written to.
    request: { ...request, shallowReadOnly: version < 44 },
    warnings:
      macAddress !== "" && version >= 44
        ? [
            "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
          ]
        : [],
  };
}

/** Options of other types of mounts than their own: refused since 1.42, passed over before. */
const optionTypes = { BindOptions: "bind", VolumeOptions: "volume", TmpfsOptions: "tmpfs" } as const;

function checkMounts({ Mounts = [] }: HostConfig, version: number): void {
  for (const mount of Mounts) {
    for (const [options, type] of Object.entries(optionTypes)) {
      const name = options as keyof typeof optionTypes;
      if (mount[name] === undefined || mount.Type === type) continue;
      if (version >= 42)
        throw new InvalidParameter(
          `${name} must not be specified on mount type ${JSON.stringify(mount.Type)}`,
        );
      delete mount[name];
    }
    for (const [since, asks, what] of laterWishes)
      if (version < since && asks(mount))
        throw new InvalidParameter(`${what} needs API v1.${since} or newer`);
  }
}

const laterWishes: [since: number, asks: (mount: MountConfig) => boolean, what: string][] = [
  [
    44,
    ({ BindOptions }) => BindOptions?.ReadOnlyForceRecursive === true,
    "BindOptions.ReadOnlyForceRecursive",
  ],
  [45, ({ VolumeOptions }) => Boolean(VolumeOptions?.Subpath), "VolumeOptions.Subpath"],
  [48, ({ Type }) => Type === "image", 'Mount type "Image"'],
];

/** The container's own address is that of its place in the network it is made in, unless that has the same. */
function addMacAddress(endpoints: Record<string, EndpointConfig>, host: HostConfig, address: string): void {
  const mode = host.NetworkMode;
  if (mode === "host" || mode.startsWith("container:"))
    throw new InvalidParameter("conflicting options: mac-address and the network mode");
  const own = mode !== "" && mode !== "default" ? mode : "bridge" in endpoints ? "bridge" : "default";
  const asked = endpoints[own]?.MacAddress;
  if (asked && asked !== address)
    throw new InvalidParameter(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
    );
  endpoints[own] = { ...endpoints[own], MacAddress: address };
}
