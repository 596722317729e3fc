/** From flags to the body of `POST /containers/create`. */
import { InvalidParameter } from "../../lib/errors.ts";
import { fs } from "../../lib/lazy-fs.ts";
import { ulimitNames } from "../../lib/ulimits.ts";
import { nearest } from "../args/nearest.ts";
import { UsageError } from "../args/parse.ts";
import { parseBytes } from "../args/values.ts";
import type { Parsed } from "../command.ts";
import { keyValues } from "../filters.ts";
import { isAddress } from "./checks.ts";
import type { createFlags } from "./create-flags.ts";
import { parseDevices, parseGpus } from "./devices.ts";
import { readEnvironment, readLabelFiles } from "./environment.ts";
import { parseMount, splitVolumes } from "./mounts.ts";
import { parseNetworks } from "./networks.ts";
import { parsePorts } from "./ports.ts";

type CreateParsed = Parsed<typeof createFlags>;
type CreateValues = CreateParsed["flags"];

export interface CreateBody {
  Image: string;
  Tty: boolean;
  OpenStdin: boolean;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  Env: string[];
  [field: string]: unknown;
}

/** @throws UsageError for a flag's value, InvalidParameter for what doesn't go together */
export function createBody(
  parsed: CreateParsed,
  detach: boolean,
  env: Record<string, string | undefined>,
  cwd: string,
): CreateBody {
  try {
    return bodyOf(parsed, detach, env, cwd);
  } catch (error) {
    if (error instanceof InvalidParameter && error.message.startsWith("invalid argument "))
      throw new UsageError(error.message);
    throw error;
  }
}

/** What `parse` makes of a flag's values. @throws InvalidParameter naming the flag */
function valuesOf<T>(flag: string, values: readonly string[], parse: (text: string) => T): T[] {
  return values.map((text) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof InvalidParameter)) throw error;
      throw new InvalidParameter(
        `invalid argument ${JSON.stringify(text)} for "${flag}" flag: ${error.message}`,
        { cause: error },
      );
    }
  });
}

function bodyOf(
  { flags, args, given }: CreateParsed,
  detach: boolean,
  env: Record<string, string | undefined>,
  cwd: string,
): CreateBody {
  const [image = "", ...command] = args;
  checkModes(flags);
  const ports = parsePorts(flags.publish, flags.expose);
  const { binds, volumes } = splitVolumes(flags.volume, cwd);
  const networks = networksOf(flags);
  const attach = attachments(flags, detach);
  return {
    Hostname: flags.hostname,
    Domainname: flags.domainname,
    User: flags.user,
    ...attach,
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && attach.AttachStdin,
    ExposedPorts: ports.exposed,
    Env: readEnvironment(flags["env-file"], valuesOf("-e, --env", flags.env, checkEnvironment), env),
    Cmd: command.length > 0 ? command : undefined,
    // An empty --entrypoint clears the image's; the API's sign for that is one empty word.
    Entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
    Image: image,
    Volumes: volumes,
    WorkingDir: flags.workdir,
    Labels: {
      ...keyValues([...readLabelFiles(flags["label-file"]), ...flags.label]),
      ...(flags["restart-unhealthy"] && { "gantry.restart-unhealthy": "true" }),
    },
    StopSignal: flags["stop-signal"],
    StopTimeout: flags["stop-timeout"],
    Healthcheck: healthcheck(flags, given),
    HostConfig: {
      ...resources(flags),
      Binds: binds,
      ContainerIDFile: flags.cidfile ?? "",
      NetworkMode: networks.mode,
      PortBindings: ports.bindings,
      RestartPolicy: restartPolicy(flags.restart),
      AutoRemove: flags.rm,
      VolumeDriver: flags["volume-driver"] ?? "",
      VolumesFrom: listOrNothing(flags["volumes-from"]),
      CapAdd: listOrNothing(flags["cap-add"]),
      CapDrop: listOrNothing(flags["cap-drop"]),
      CgroupnsMode: flags.cgroupns ?? "",
      Dns: flags.dns,
      DnsOptions: [...flags["dns-option"], ...flags["dns-opt"]],
      DnsSearch: flags["dns-search"],
      ExtraHosts: flags["add-host"].map(extraHost),
      GroupAdd: listOrNothing(flags["group-add"]),
      IpcMode: flags.ipc ?? "",
      Isolation: flags.isolation,
      Links: listOrNothing(valuesOf("--link", flags.link, checkLink)),
      OomScoreAdj: flags["oom-score-adj"] ?? 0,
      PidMode: flags.pid ?? "",
      Privileged: flags.privileged,
      PublishAllPorts: flags["publish-all"],
      ReadonlyRootfs: flags["read-only"],
      ...security(flags["security-opt"]),
      StorageOpt: storageOptions(flags["storage-opt"]),
      Tmpfs: tmpfs(flags.tmpfs),
      UTSMode: flags.uts ?? "",
      UsernsMode: flags.userns ?? "",
      ShmSize: flags["shm-size"] ?? 0,
      Sysctls: mapOrNothing(flags.sysctl),
      Runtime: flags.runtime,
      LogConfig: logConfig(flags),
      Mounts: listOrNothing(flags.mount.map((mount) => parseMount(mount, cwd))),
      Annotations: mapOrNothing(flags.annotation),
      Init: given("init") ? flags.init : undefined,
    },
    NetworkingConfig: { EndpointsConfig: networks.endpoints },
  };
}

function networksOf(flags: CreateValues) {
  return parseNetworks({
    network: [...flags.network, ...flags.net],
    aliases: [...flags["network-alias"], ...flags["net-alias"]],
    links: flags.link,
    ip: flags.ip,
    ip6: flags.ip6,
    linkLocal: flags["link-local-ip"],
    macAddress: flags["mac-address"],
  });
}

function attachments(flags: CreateValues, detach: boolean) {
  const named = flags.attach.map((name) => name.toLowerCase());
  for (const name of named) {
    if (!["stdin", "stdout", "stderr"].includes(name)) {
      throw new UsageError(
        `invalid argument ${JSON.stringify(name)} for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR`,
      );
    }
  }
  const all = named.length === 0 && !detach;
  return {
    AttachStdin: (all && flags.interactive) || named.includes("stdin"),
    AttachStdout: all || named.includes("stdout"),
    AttachStderr: all || named.includes("stderr"),
  };
}

function resources(flags: CreateValues): Record<string, unknown> {
  const { devices, requests } = parseDevices(flags.device);
  return {
    CpuShares: flags["cpu-shares"] ?? 0,
    Memory: flags.memory ?? 0,
    NanoCpus: flags.cpus ?? 0,
    CgroupParent: flags["cgroup-parent"] ?? "",
    BlkioWeight: flags["blkio-weight"] ?? 0,
    BlkioWeightDevice: rates(flags, "blkio-weight-device", "Weight", Number),
    BlkioDeviceReadBps: rates(flags, "device-read-bps", "Rate", parseBytes),
    BlkioDeviceWriteBps: rates(flags, "device-write-bps", "Rate", parseBytes),
    BlkioDeviceReadIOps: rates(flags, "device-read-iops", "Rate", Number),
    BlkioDeviceWriteIOps: rates(flags, "device-write-iops", "Rate", Number),
    CpuPeriod: flags["cpu-period"] ?? 0,
    CpuQuota: flags["cpu-quota"] ?? 0,
    CpuRealtimePeriod: flags["cpu-rt-period"] ?? 0,
    CpuRealtimeRuntime: flags["cpu-rt-runtime"] ?? 0,
    CpusetCpus: flags["cpuset-cpus"] ?? "",
    CpusetMems: flags["cpuset-mems"] ?? "",
    Devices: devices,
    DeviceRequests: listOrNothing([
      ...requests,
      ...valuesOf("--gpus", flags.gpus === undefined ? [] : [flags.gpus], parseGpus),
    ]),
    DeviceCgroupRules: listOrNothing(
      valuesOf("--device-cgroup-rule", flags["device-cgroup-rule"], checkDeviceRule),
    ),
    MemoryReservation: flags["memory-reservation"] ?? 0,
    MemorySwap: flags["memory-swap"] ?? 0,
    MemorySwappiness: swappiness(flags["memory-swappiness"]),
    OomKillDisable: flags["oom-kill-disable"],
    PidsLimit: flags["pids-limit"],
    Ulimits: flags.ulimit.map(parseUlimit),
  };
}

function healthcheck(flags: CreateValues, given: CreateParsed["given"]): object | undefined {
  const names = [
    "health-cmd",
    "health-interval",
    "health-timeout",
    "health-start-period",
    "health-start-interval",
  ] as const;
  const any = names.some((name) => given(name)) || given("health-retries");
  if (flags["no-healthcheck"]) {
    if (any) throw new InvalidParameter("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  if (!any) return undefined;
  for (const name of names) {
    const value = flags[name];
    if (typeof value === "number" && value < 0) throw new InvalidParameter(`--${name} cannot be negative`);
  }
  if ((flags["health-retries"] ?? 0) < 0) throw new InvalidParameter("--health-retries cannot be negative");
  return {
    Test: flags["health-cmd"] === undefined ? undefined : ["CMD-SHELL", flags["health-cmd"]],
    Interval: flags["health-interval"],
    Timeout: flags["health-timeout"],
    StartPeriod: flags["health-start-period"],
    StartInterval: flags["health-start-interval"],
    Retries: flags["health-retries"],
  };
}

/** `on-failure:3` and the like. @throws InvalidParameter */
export function restartPolicy(text: string): { Name: string; MaximumRetryCount: number } {
  const [name = "", retries, ...rest] = text.split(":");
  if (rest.length > 0) throw new InvalidParameter("invalid restart policy format");
  if (text !== "" && name === "")
    throw new InvalidParameter("invalid restart policy format: no policy provided before colon");
  if (retries !== undefined && !/^-?\d+$/.test(retries)) {
    throw new InvalidParameter("invalid restart policy format: maximum retry count must be an integer");
  }
  return { Name: name, MaximumRetryCount: Number(retries ?? 0) };
}

/** `nofile=1024:2048`. @throws InvalidParameter */
export function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  const wrong = (why: string) =>
    new InvalidParameter(`invalid argument ${JSON.stringify(text)} for "--ulimit" flag: ${why}`);
  if (!match) throw wrong(`invalid ulimit argument: ${text}`);
  if (!ulimitNames.includes(match[1]!)) {
    const meant = nearest(match[1]!, ulimitNames);
    throw wrong(`invalid ulimit type: ${match[1]}${meant ? ` (did you mean ${meant}?)` : ""}`);
  }
  const soft = Number(match[2]);
  const hard = Number(match[3] ?? match[2]);
  if (hard !== -1 && (soft === -1 || soft > hard)) {
    throw wrong(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { Name: match[1]!, Soft: soft, Hard: hard };
}

/** Modes that the client knows, so that what is none isn't taken for an engine's. @throws InvalidParameter */
function checkModes(flags: CreateValues): void {
  const check = (flag: string, what: string, mode: string | undefined, known: RegExp) => {
    if (mode && !known.test(mode)) throw new InvalidParameter(`--${flag}: invalid ${what} mode`);
  };
  check("pid", "PID", flags.pid, /^(host|container:.+)$/);
  check("uts", "UTS", flags.uts, /^host$/);
  check("userns", "USER", flags.userns, /^host$/);
  check("cgroupns", "CGROUP", flags.cgroupns, /^(host|private)$/);
}

function checkEnvironment(text: string): string {
  if (/^(=|$)/.test(text)) throw new InvalidParameter(`invalid environment variable: ${text}`);
  return text;
}

function checkLink(text: string): string {
  if (text.split(":").length > 2) throw new InvalidParameter(`bad format for links: ${text}`);
  return text;
}

function checkDeviceRule(text: string): string {
  if (!/^[acb] (\d+|\*):(\d+|\*) [rwm]{1,3}$/.test(text))
    throw new InvalidParameter(`invalid device cgroup format '${text}'`);
  return text;
}

function storageOptions(values: readonly string[]): Record<string, string> | undefined {
  if (values.some((value) => !value.includes("="))) throw new InvalidParameter("invalid storage option");
  return mapOrNothing(values);
}

function logConfig(flags: CreateValues): { Type: string; Config: Record<string, string> } {
  if (flags["log-driver"] === "none" && flags["log-opt"].length > 0)
    throw new InvalidParameter("invalid logging opts for driver none");
  return { Type: flags["log-driver"] ?? "", Config: keyValues(flags["log-opt"]) };
}

/** @param value -1 for none */
function swappiness(value: number): number | undefined {
  if (value < -1 || value > 100)
    throw new InvalidParameter(`invalid value: ${value}. Valid memory swappiness range is 0-100`);
  return value < 0 ? undefined : value;
}

type RatedFlag = "blkio-weight-device" | `device-${"read" | "write"}-${"bps" | "iops"}`;

const rates = (
  flags: CreateValues,
  flag: RatedFlag,
  field: "Weight" | "Rate",
  parse: (text: string) => number,
) => valuesOf(`--${flag}`, flags[flag], (text) => rated(text, field, parse));

function rated(text: string, field: "Weight" | "Rate", parse: (text: string) => number): object {
  const colon = text.lastIndexOf(":");
  const path = text.slice(0, colon);
  if (colon < 0) throw new InvalidParameter(`bad format: ${text}`);
  const value = parse(text.slice(colon + 1));
  if (colon <= 0 || !path.startsWith("/dev/") || !Number.isInteger(value) || value < 0) {
    throw new InvalidParameter(`bad format: ${text}`);
  }
  return { Path: path, [field]: value };
}

/** `host:ip`, `host=ip`. @throws InvalidParameter */
export function extraHost(text: string): string {
  const cut = text.search(/[=:]/);
  if (cut <= 0 || cut === text.length - 1)
    throw new InvalidParameter(
      `invalid argument "${text}" for "--add-host" flag: bad format for add-host: "${text}"`,
    );
  const address = text.slice(cut + 1).replace(/^\[(.*)\]$/, "$1");
  if (address !== "host-gateway" && !isAddress(address))
    throw new InvalidParameter(
      `invalid argument "${text}" for "--add-host" flag: invalid IP address in add-host: "${address}"`,
    );
  return `${text.slice(0, cut)}:${address}`;
}

/** `systempaths=unconfined` is nothing that an engine knows: it gets the lists that hide nothing. */
function security(options: readonly string[]): Record<string, unknown> {
  const open = "systempaths=unconfined";
  const rest = options.filter((option) => option !== open);
  return {
    SecurityOpt: listOrNothing(rest.map(securityOption)),
    ...(options.includes(open) && { MaskedPaths: [], ReadonlyPaths: [] }),
  };
}

/** A seccomp profile is a file of the client; the engine gets its content. */
function securityOption(text: string): string {
  if (!/[=:]/.test(text) && text !== "no-new-privileges")
    throw new InvalidParameter(`Invalid --security-opt: ${JSON.stringify(text)}`);
  const match = /^seccomp[=:](.*)$/.exec(text);
  if (!match || match[1] === "unconfined" || match[1] === "builtin") return text;
  try {
    return `seccomp=${JSON.stringify(JSON.parse(fs().readFileSync(match[1]!, "utf8")))}`;
  } catch (error) {
    throw new InvalidParameter(`opening seccomp profile (${match[1]}) failed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function tmpfs(values: readonly string[]): Record<string, string> | undefined {
  if (values.length === 0) return undefined;
  return Object.fromEntries(
    values.map((value) => {
      const colon = value.indexOf(":");
      return colon < 0 ? [value, ""] : [value.slice(0, colon), value.slice(colon + 1)];
    }),
  );
}

function listOrNothing<T>(values: readonly T[]): readonly T[] | null {
  return values.length === 0 ? null : values;
}

function mapOrNothing(values: readonly string[]): Record<string, string> | undefined {
  return values.length === 0 ? undefined : keyValues(values);
}
