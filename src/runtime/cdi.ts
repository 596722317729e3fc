/** Devices by the Container Device Interface (CDI specification 0.8): GPUs and the like as their vendors describe them. */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import * as v from "valibot";
import { InvalidParameter, messageOf } from "../lib/errors.ts";
import { deviceAt } from "./devices.ts";
import type { ContainerSpec, DeviceSpec } from "./types.ts";

/** Where vendors put their descriptions; the second is for those made at boot, and wins. */
export const cdiDirectories = ["/etc/cdi", "/var/run/cdi"];

const edits = v.object({
  env: v.optional(v.array(v.string()), []),
  deviceNodes: v.optional(
    v.array(
      v.object({
        path: v.string(),
        hostPath: v.optional(v.string()),
        permissions: v.optional(v.string()),
        uid: v.optional(v.number()),
        gid: v.optional(v.number()),
        fileMode: v.optional(v.number()),
      }),
    ),
    [],
  ),
  mounts: v.optional(
    v.array(
      v.object({
        hostPath: v.string(),
        containerPath: v.string(),
        type: v.optional(v.string()),
        options: v.optional(v.array(v.string())),
      }),
    ),
    [],
  ),
  hooks: v.optional(
    v.array(
      v.object({
        hookName: v.string(),
        path: v.string(),
        args: v.optional(v.array(v.string())),
        env: v.optional(v.array(v.string())),
        timeout: v.optional(v.number()),
      }),
    ),
    [],
  ),
  additionalGids: v.optional(v.array(v.number()), []),
});
type Edits = v.InferOutput<typeof edits>;
const noEdits = { env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] };

const description = v.object({
  kind: v.string(),
  containerEdits: v.optional(edits, noEdits),
  devices: v.array(v.object({ name: v.string(), containerEdits: v.optional(edits, noEdits) })),
});
type Description = v.InferOutput<typeof description>;

/** Full names of all devices that are described. */
export const cdiDevices = (): string[] => [
  ...new Set(descriptions().flatMap(({ kind, devices }) => devices.map(({ name }) => `${kind}=${name}`))),
];

/**
 * Adds what the asked devices need. A name is `vendor.com/class=device`; without a device it is the first of its
 * kind, with `=*` all of them.
 * @throws InvalidParameter for a required one that nobody describes
 */
export function injectCdiDevices(
  spec: ContainerSpec,
  { required, optional = [] }: { required: readonly string[]; optional?: readonly string[] },
): ContainerSpec {
  if (required.length + optional.length === 0) return spec;
  const known = descriptions();
  const used = new Set<Description>();
  const missing: string[] = [];
  const all: Edits[] = [];
  for (const name of [...required, ...optional]) {
    const found = devicesNamed(name, known);
    if (found.length === 0 && required.includes(name)) missing.push(name);
    for (const { vendor, device } of found) {
      // What a vendor's devices have in common comes once, and first.
      if (!used.has(vendor)) all.push(vendor.containerEdits);
      used.add(vendor);
      all.push(device.containerEdits);
    }
  }
  if (missing.length > 0)
    throw new InvalidParameter(
      `CDI device injection failed: unresolvable CDI devices ${missing.join(", ")} (looked in ${cdiDirectories.join(", ")})`,
    );
  return all.reduce(applyEdits, spec);
}

/** The description that was read last wins. */
function devicesNamed(
  name: string,
  known: Description[],
): { vendor: Description; device: Description["devices"][number] }[] {
  const [kind, wanted] = name.split("=", 2);
  for (const vendor of known.filter((one) => one.kind === kind).reverse()) {
    const devices =
      wanted === "*"
        ? vendor.devices
        : wanted === undefined
          ? vendor.devices.slice(0, 1)
          : vendor.devices.filter((device) => device.name === wanted);
    if (devices.length > 0) return devices.map((device) => ({ vendor, device }));
  }
  return [];
}

function applyEdits(
  spec: ContainerSpec,
  { env, deviceNodes, mounts, hooks, additionalGids }: Edits,
): ContainerSpec {
  const { process } = spec;
  return {
    ...spec,
    process: {
      ...process,
      env: [...process.env, ...env],
      user: { ...process.user, additionalGids: [...process.user.additionalGids, ...additionalGids] },
    },
    devices: [...spec.devices, ...deviceNodes.map(deviceNode)],
    mounts: [
      ...spec.mounts,
      ...mounts.map(({ hostPath, containerPath, type = "bind", options = ["bind", "ro"] }) => ({
        source: hostPath,
        destination: containerPath,
        type,
        options,
      })),
    ],
    hooks: [...(spec.hooks ?? []), ...hooks.map(({ hookName, ...hook }) => ({ ...hook, stage: hookName }))],
  };
}

function deviceNode({ path, hostPath, permissions, ...more }: Edits["deviceNodes"][number]): DeviceSpec {
  const found = deviceAt(hostPath ?? path, path, permissions ?? "rwm");
  if (!found) throw new InvalidParameter(`CDI device injection failed: no device at ${hostPath ?? path}`);
  return { ...found, ...more };
}

/** A description that can't be read is left out, and said: others may be right. */
function descriptions(): Description[] {
  return cdiDirectories.flatMap((directory) => {
    let names: string[];
    try {
      names = readdirSync(directory).sort();
    } catch {
      return [];
    }
    return names
      .filter((name) => [".json", ".yaml", ".yml"].includes(extname(name)))
      .flatMap((name) => {
        const path = join(directory, name);
        try {
          const text = readFileSync(path, "utf8");
          const value: unknown = extname(name) === ".json" ? JSON.parse(text) : Bun.YAML.parse(text);
          return [v.parse(description, value)];
        } catch (error) {
          console.error(`cannot read the CDI specification ${path}: ${messageOf(error)}`);
          return [];
        }
      });
  });
}
