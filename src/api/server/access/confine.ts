/**
 * Containers made by a token that is restricted to labels. Whoever makes a container as he likes is root on the
 * host; what such a token may ask for is therefore listed, and all else is refused.
 */
import { Forbidden } from "../../../lib/errors.ts";
import { own } from "../../../lib/own.ts";
import type { Exchange } from "../exchange.ts";
import {
  checkContainer,
  checkImage,
  checkNetwork,
  checkVolume,
  type Hold,
  isEmpty,
  type Labels,
  withLabels,
} from "./holds.ts";

/** Fields of HostConfig that reach nothing outside the container. */
const harmless = new Set(
  `AutoRemove BlkioWeight CapDrop ConsoleSize ContainerIDFile CpuCount CpuPeriod CpuPercent CpuQuota CpuShares
  CpusetCpus CpusetMems Dns DnsOptions DnsSearch ExtraHosts GroupAdd Init Memory MemoryReservation MemorySwap
  MemorySwappiness NanoCpus PidsLimit PortBindings PublishAllPorts ReadonlyRootfs RestartPolicy ShmSize Tmpfs
  Ulimits`.split(/\s+/),
);
/** Fields of which these values alone are harmless. */
const values: Record<string, readonly string[]> = {
  CgroupnsMode: ["private"],
  IpcMode: ["private", "shareable", "none"],
  Isolation: ["default"],
};
/** Drivers that write below the engine's own directory. */
const logDrivers = ["", "json-file", "local", "none"];

type Fields = Record<string, unknown>;
const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? (value as Fields) : {};
const refuse = (what: string): never => {
  throw new Forbidden(`a token restricted to labels may not set ${what}`);
};

export const newContainer: Hold = (x, labels) => {
  x.revise = (body) => {
    checkImage(x, labels, String(body.Image ?? ""));
    const host = fieldsOf(body.HostConfig);
    for (const [name, value] of Object.entries(host)) checkField(x, labels, name, value);
    const endpoints = fieldsOf(fieldsOf(body.NetworkingConfig).EndpointsConfig);
    for (const [name, endpoint] of Object.entries(endpoints)) {
      checkMode(x, labels, name);
      if (!isEmpty(fieldsOf(endpoint).Links)) refuse("Links");
      if (!isEmpty(fieldsOf(endpoint).DriverOpts)) refuse("DriverOpts");
    }
    return { ...body, Labels: withLabels(body.Labels, labels) };
  };
};

function checkField(x: Exchange, labels: Labels, name: string, value: unknown): void {
  // An empty list of hidden paths hides nothing; only its absence is harmless.
  if (name === "MaskedPaths" || name === "ReadonlyPaths") {
    if (value !== null) refuse(`HostConfig.${name}`);
  } else if (isEmpty(value) || harmless.has(name) || own(values, name)?.includes(String(value))) return;
  else if (Object.hasOwn(checks, name)) checks[name]!(x, labels, value);
  else refuse(`HostConfig.${name}`);
}

type Check = (x: Exchange, labels: Labels, value: unknown) => void;
const each =
  (check: Check): Check =>
  (x, labels, list) => {
    for (const value of Object.values(fieldsOf(list))) check(x, labels, value);
  };

/** Fields whose values tell what they reach. */
const checks: Record<string, Check> = {
  NetworkMode: checkMode,
  LogConfig: (_, __, value) => checkLog(fieldsOf(value)),
  Binds: each(checkBind),
  Mounts: each(checkMount),
  SecurityOpt: each((_, __, option) => {
    if (!/^no-new-privileges([:=]true)?$/.test(String(option))) refuse(`SecurityOpt ${option}`);
  }),
};

function checkMode(x: Exchange, labels: Labels, value: unknown): void {
  const mode = String(value);
  if (["default", "bridge", "none"].includes(mode)) return;
  const other = /^container:(.*)$/.exec(mode)?.[1];
  if (other !== undefined) checkContainer(x, labels, other);
  else checkNetwork(x, labels, mode);
}

function checkLog({ Type }: Fields): void {
  if (!logDrivers.includes(String(Type ?? ""))) refuse(`the log driver ${Type}`);
}

/** `volume:/path[:options]`; a path of the host is no volume's name. */
function checkBind(x: Exchange, labels: Labels, bind: unknown): void {
  const source = String(bind).split(":", 1)[0]!;
  if (source.startsWith("/") || source.startsWith(".")) refuse("binds of the host's files");
  checkVolume(x, labels, source);
}

function checkMount(x: Exchange, labels: Labels, value: unknown): void {
  const { Type, Source, VolumeOptions } = fieldsOf(value);
  if (Type === "tmpfs") return;
  if (Type !== "volume") refuse(`mounts of type ${Type}`);
  if (!isEmpty(fieldsOf(VolumeOptions).DriverConfig)) refuse("VolumeOptions.DriverConfig");
  if (!isEmpty(Source)) checkVolume(x, labels, String(Source));
}
