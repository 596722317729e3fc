/** A project as `config` prints it, and a service as its hash counts it: plain data in the specification's terms. */
import { serviceFields } from "./shapes.ts";
import type { Develop, NetworkConfig, Project, Service, VolumeConfig } from "./types.ts";
import { formatDuration } from "./units.ts";

type Data = string | number | boolean | null | Data[] | { [name: string]: Data };

const sizes = new Set([
  "mem_limit",
  "mem_reservation",
  "memswap_limit",
  "mem_swappiness",
  "shm_size",
  "memory",
  "size",
  "rate",
]);
const durations = new Set([
  "timeout",
  "interval",
  "start_period",
  "start_interval",
  "stop_grace_period",
  "delay",
  "window",
]);
/** Printed even when false, empty or zero: there a value differs from none. */
const kept = new Set([
  "attach",
  "command",
  "entrypoint",
  "init",
  "required",
  "replicas",
  "retries",
  "scale",
  "bind",
  "volume",
  "tmpfs",
  "enable_ipv4",
  "enable_ipv6",
  "max_attempts",
]);
/** Mappings whose keys are the user's: their values are printed whatever they are. */
const open = new Set([
  "environment",
  "args",
  "labels",
  "annotations",
  "driver_opts",
  "options",
  "sysctls",
  "networks",
  "storage_opt",
  "ulimits",
  "additional_contexts",
  "models",
]);

/** The whole project. `doubleDollars` escapes them, so that the printed file gives the same project again. */
export function renderProject(project: Project, doubleDollars: boolean): { [name: string]: Data } {
  const services = Object.fromEntries(
    Object.entries(project.services).map(([name, item]) => [name, renderService(item)]),
  );
  const sections = ["networks", "volumes", "secrets", "configs", "models"] as const;
  const result: { [name: string]: Data } = { name: project.name, services };
  for (const section of sections)
    if (Object.keys(project[section]).length > 0)
      result[section] = Object.fromEntries(
        Object.entries(project[section]).map(([name, item]) => [name, render(item, "")]),
      ) as Data;
  Object.assign(result, project.extensions);
  return doubleDollars ? (escapeDollars(result) as { [name: string]: Data }) : result;
}

export function renderService(service: Service): { [name: string]: Data } {
  const ordered: Record<string, unknown> = {};
  for (const name of serviceFields) ordered[name] = service[name];
  for (const [name, value] of Object.entries(service)) if (name.startsWith("x-")) ordered[name] = value;
  return render(ordered, "service") as { [name: string]: Data };
}

/** A service's data for its hash: what does not touch its containers left out, Go's constant fields added. */
export function hashedService(service: Service): Data {
  const own: Service = { ...service };
  for (const name of ["build", "pull_policy", "scale", "depends_on", "profiles"] as const) delete own[name];
  const plain = renderService(own);
  const result: { [name: string]: Data } = {};
  for (const name of serviceFields) {
    // These two are null in the JSON when they are not given, all others are left out.
    if (name === "command" || name === "entrypoint") result[name] = plain[name] ?? null;
    else if (name === "deploy" && service.deploy) result.deploy = hashedDeploy(plain.deploy ?? {});
    else if (name === "develop" && service.develop) result.develop = hashedDevelop(service.develop);
    else if (plain[name] !== undefined) result[name] = plain[name];
  }
  return withoutExtensions(result);
}

function hashedDeploy(deploy: Data): Data {
  const { mode, labels, resources, restart_policy } = deploy as { [name: string]: Data | undefined };
  return definedOnly({ mode, labels, resources: resources ?? {}, restart_policy, placement: {} });
}

/** Go writes a rule's `exec` also where there is none. */
function hashedDevelop({ watch = [], ...rest }: Develop): Data {
  const rules = watch.map(({ path, action, target, exec, ...more }) => {
    const own = render({ path, action, target }, "") as { [name: string]: Data };
    const hook = { command: null, ...(render(exec ?? {}, "") as { [name: string]: Data }) };
    return { ...own, exec: hook, ...(render(more, "") as { [name: string]: Data }) };
  });
  return { ...(rules.length > 0 && { watch: rules }), ...(render(rest, "") as { [name: string]: Data }) };
}

export function hashedNetwork(network: NetworkConfig): Data {
  const { name, driver, driver_opts, ipam, ...rest } = render(network, "") as { [name: string]: Data };
  return withoutExtensions(definedOnly({ name, driver, driver_opts, ipam: ipam ?? {}, ...rest }));
}

export function hashedVolume(volume: VolumeConfig): Data {
  const { name, driver, ...rest } = render(volume, "") as { [name: string]: Data };
  return withoutExtensions(definedOnly({ name, driver: driver ?? "local", ...rest }));
}

function definedOnly(fields: { [name: string]: Data | undefined }): { [name: string]: Data } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [name: string]: Data;
  };
}

function withoutExtensions(data: Data): Data {
  if (Array.isArray(data)) return data.map(withoutExtensions);
  if (typeof data !== "object" || data === null) return data;
  return Object.fromEntries(
    Object.entries(data)
      .filter(([name]) => !name.startsWith("x-"))
      .map(([name, value]) => [name, withoutExtensions(value)]),
  );
}

/** @param key the field in which the value stands */
function render(value: unknown, key: string): Data {
  if (Array.isArray(value)) return value.map((item) => render(item, key));
  if (typeof value === "number") {
    if (sizes.has(key)) return String(value);
    if (durations.has(key)) return formatDuration(value);
    return value;
  }
  if (typeof value !== "object" || value === null) return value as Data;
  if (key === "extra_hosts") return renderHosts(value as Record<string, string[]>);
  if (key === "ssh") return Object.entries(value).map(([id, path]) => (path ? `${id}=${path}` : id));
  const result: { [name: string]: Data } = {};
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined) continue;
    if (name.startsWith("x-")) result[name] = item as Data;
    else if (open.has(key)) result[name] = render(item, "");
    else {
      const rendered =
        name === "mode" && (key === "secrets" || key === "configs")
          ? `0${Number(item).toString(8)}`
          : render(item, name);
      if (kept.has(name) || !isEmpty(rendered)) result[name] = rendered;
    }
  }
  return result;
}

function isEmpty(data: Data): boolean {
  if (data === null || typeof data !== "object")
    return data === false || data === 0 || data === "" || data === null;
  return Array.isArray(data) ? data.length === 0 : Object.keys(data).length === 0;
}

function renderHosts(hosts: Record<string, string[]>): string[] {
  return Object.entries(hosts).flatMap(([name, addresses]) =>
    addresses.map((address) => `${name}=${address}`),
  );
}

function escapeDollars(data: Data): Data {
  if (typeof data === "string") return data.replaceAll("$", "$$$$");
  if (Array.isArray(data)) return data.map(escapeDollars);
  if (typeof data !== "object" || data === null) return data;
  return Object.fromEntries(Object.entries(data).map(([name, value]) => [name, escapeDollars(value)]));
}
