/** Flags and daemon.json as one configuration (dockerd's keys and rules). */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Listener } from "../../api/server/index.ts";
import type { EngineOptions } from "../../engine/types.ts";
import { InvalidParameter, messageOf, NotFound, NotImplemented } from "../../lib/errors.ts";
import { parseSize } from "../../lib/units.ts";
import type { Parsed } from "../command.ts";
import { builderSchema, buildGcRules, diskSizeAt } from "./build-gc.ts";
import { oneOf, runtimesOf, seccompOf } from "./container-defaults.ts";
import { exposureWarnings } from "./exposure.ts";
import type { daemonFlags } from "./flags.ts";
import { setForeignAside } from "./foreign.ts";
import { imageGcOf, imageGcSchema } from "./image-gc.ts";
import { defaultBridgeOf, hostGatewaysOf, networkOptionsOf, poolsOf } from "./network-defaults.ts";

export type DaemonFlags = Parsed<typeof daemonFlags>;

export interface DaemonConfig {
  engine: EngineOptions;
  listeners: Listener[];
  pidfile: string;
  /** Settings that were given and have no effect. */
  warnings: string[];
  /** In place of the environment's; what is missing is taken from there. */
  proxies: { http?: string; https?: string; no?: string };
}

const strings = v.optional(v.array(v.string()));
const text = v.optional(v.string());
const flag = v.optional(v.boolean());
/** Bytes, or text such as `10g`. */
const size = v.optional(v.union([v.string(), v.number()]));
export const fileSchema = v.strictObject({
  "allow-insecure-tcp": flag,
  bip: text,
  bip6: text,
  bridge: text,
  builder: v.optional(builderSchema),
  "cgroup-parent": text,
  "data-root": text,
  "default-address-pools": v.optional(v.array(v.strictObject({ base: v.string(), size: v.number() }))),
  debug: flag,
  "default-cgroupns-mode": text,
  "default-ipc-mode": text,
  "default-network-opts": v.optional(v.record(v.string(), v.record(v.string(), v.string()))),
  "default-runtime": text,
  "default-shm-size": size,
  "default-ulimits": v.optional(
    v.record(v.string(), v.object({ Name: v.string(), Soft: v.number(), Hard: v.number() })),
  ),
  dns: strings,
  "dns-opts": strings,
  "dns-search": strings,
  "exec-root": text,
  experimental: flag,
  "fixed-cidr": text,
  "fixed-cidr-v6": text,
  "gantry-gc": imageGcSchema,
  "gantry-layer-max-entries": v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  "gantry-layer-max-size": size,
  "gantry-signatures": v.optional(v.record(v.string(), v.string())),
  group: text,
  "host-gateway-ip": text,
  "host-gateway-ips": strings,
  hosts: strings,
  icc: flag,
  init: flag,
  "insecure-registries": strings,
  ip: text,
  ip6tables: flag,
  "ip-masq": flag,
  ipv6: flag,
  labels: strings,
  "log-driver": text,
  "log-opts": v.optional(v.record(v.string(), v.string())),
  mtu: v.optional(v.number()),
  "no-new-privileges": flag,
  pidfile: text,
  proxies: v.optional(v.strictObject({ "http-proxy": text, "https-proxy": text, "no-proxy": text })),
  "registry-mirrors": strings,
  "require-token": strings,
  runtimes: v.optional(
    v.record(
      v.string(),
      v.object({
        path: text,
        runtimeArgs: v.optional(v.array(v.string())),
        runtimeType: text,
      }),
    ),
  ),
  "seccomp-profile": text,
  tls: flag,
  tlscacert: text,
  tlscert: text,
  tlskey: text,
  tlsverify: flag,
  "userns-remap": text,
});
type File = v.InferOutput<typeof fileSchema>;

/** Flags whose key in the file has another name. */
const keyOfFlag: Partial<Record<keyof DaemonFlags["flags"], keyof File>> = {
  "add-runtime": "runtimes",
  "default-address-pool": "default-address-pools",
  "default-network-opt": "default-network-opts",
  "default-ulimit": "default-ulimits",
  "dns-opt": "dns-opts",
  host: "hosts",
  "host-gateway-ip": "host-gateway-ips",
  "insecure-registry": "insecure-registries",
  label: "labels",
  "log-opt": "log-opts",
  "registry-mirror": "registry-mirrors",
};

/**
 * Reads the configuration file and joins it with the flags. A setting in both is an error, as with dockerd: it is
 * not for the program to guess which was meant.
 * @throws InvalidParameter, NotFound (a file that was named)
 */
export function readConfig(parsed: DaemonFlags): DaemonConfig {
  const { flags, given } = parsed;
  const { file, warnings } = readFile(parsed);
  const twice = (Object.keys(flags) as (keyof typeof flags)[]).filter(
    (name) => given(name) && (keyOfFlag[name] ?? name) in file,
  );
  if (twice.length > 0)
    throw new InvalidParameter(
      `${flags["config-file"]}: these settings are given as flags too, remove one of each: ${twice.join(", ")}`,
    );
  const listeners = listenersOf(parsed, file);
  return {
    engine: {
      warnings: exposureWarnings(listeners),
      dataRoot: file["data-root"] ?? flags["data-root"],
      execRoot: file["exec-root"] ?? flags["exec-root"],
      runtime: file["default-runtime"] ?? flags["default-runtime"],
      runtimes: runtimesOf(flags["add-runtime"], file.runtimes),
      registryMirrors: file["registry-mirrors"] ?? flags["registry-mirror"],
      insecureRegistries: file["insecure-registries"] ?? flags["insecure-registry"],
      bip: file.bip ?? flags.bip,
      bridge: file.bridge ?? flags.bridge,
      addressPools: poolsOf(flags["default-address-pool"], file["default-address-pools"]),
      dns: file.dns ?? flags.dns,
      dnsOptions: file["dns-opts"] ?? flags["dns-opt"],
      dnsSearch: file["dns-search"] ?? flags["dns-search"],
      defaultNetworkOptions: file["default-network-opts"] ?? networkOptionsOf(flags["default-network-opt"]),
      filterIpv6: file.ip6tables ?? flags.ip6tables,
      hostGateways: hostGatewaysOf(
        file["host-gateway-ips"] ?? [file["host-gateway-ip"] ?? [], flags["host-gateway-ip"]].flat(),
      ),
      defaultBridge: defaultBridgeOf({
        icc: file.icc ?? flags.icc,
        masquerade: file["ip-masq"] ?? flags["ip-masq"],
        mtu: file.mtu ?? flags.mtu ?? 1500,
        hostIp: file.ip ?? flags.ip,
        fixedCidr: (file["fixed-cidr"] ?? flags["fixed-cidr"]) || undefined,
        ipv6: file.ipv6 ?? flags.ipv6,
        bip6: (file.bip6 ?? flags.bip6) || undefined,
        fixedCidr6: (file["fixed-cidr-v6"] ?? flags["fixed-cidr-v6"]) || undefined,
      }),
      cgroupParent: (file["cgroup-parent"] ?? flags["cgroup-parent"]) || undefined,
      cgroupnsMode: oneOf(
        "--default-cgroupns-mode",
        ["host", "private"],
        file["default-cgroupns-mode"] ?? flags["default-cgroupns-mode"],
      ),
      ipcMode:
        oneOf(
          "--default-ipc-mode",
          ["private", "shareable"],
          file["default-ipc-mode"] ?? flags["default-ipc-mode"],
        ) ?? "private",
      noNewPrivileges: file["no-new-privileges"] ?? flags["no-new-privileges"],
      seccomp: seccompOf(file["seccomp-profile"] ?? flags["seccomp-profile"]),
      debug: file.debug ?? flags.debug,
      experimental: file.experimental ?? flags.experimental,
      labels: file.labels ?? flags.label,
      logDriver: file["log-driver"] ?? flags["log-driver"],
      logOptions: file["log-opts"] ?? pairs("log-opt", flags["log-opt"]),
      defaultUlimits: file["default-ulimits"]
        ? Object.values(file["default-ulimits"])
        : flags["default-ulimit"].map(parseUlimit),
      defaultShmSize: bytesOf(file["default-shm-size"]) ?? flags["default-shm-size"],
      init: file.init ?? flags.init,
      usernsRemap: (file["userns-remap"] ?? flags["userns-remap"]) || undefined,
      signatures: Object.entries(file["gantry-signatures"] ?? {}).map(signatureRule),
      imageGc: imageGcOf(file["gantry-gc"]),
      buildGc: buildGcRules(file.builder, diskSizeAt(file["data-root"] ?? flags["data-root"])),
      layerLimits: {
        maxBytes: bytesOf(file["gantry-layer-max-size"]),
        maxEntries: file["gantry-layer-max-entries"],
      },
    },
    warnings,
    listeners,
    proxies: {
      http: file.proxies?.["http-proxy"] ?? flags["http-proxy"],
      https: file.proxies?.["https-proxy"] ?? flags["https-proxy"],
      no: file.proxies?.["no-proxy"] ?? flags["no-proxy"],
    },
    pidfile: file.pidfile ?? flags.pidfile ?? join(file["exec-root"] ?? flags["exec-root"], "gantry.pid"),
  };
}

const bytesOf = (size: string | number | undefined) =>
  size === undefined ? undefined : parseSize(String(size));

/** A repository prefix and the file of its public key. @throws InvalidParameter */
function signatureRule([repositories, keyFile]: [string, string]): EngineOptions["signatures"][number] {
  try {
    return { repositories: repositories.replace(/\/+$/, ""), keyFile, key: readFileSync(keyFile, "utf8") };
  } catch (error) {
    throw new InvalidParameter(`could not read ${keyFile} (gantry-signatures): ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The file's settings; those of both that Gantry has no use for are looked at and left out. */
function readFile({ flags, given }: DaemonFlags): { file: File; warnings: string[] } {
  const path = flags["config-file"];
  const json = readJson(path, given("config-file"));
  const givenForeign = Object.entries(flags).filter(([name]) => given(name as keyof typeof flags));
  const { rest, warnings } = setForeignAside(json, Object.fromEntries(givenForeign));
  const result = v.safeParse(fileSchema, rest);
  if (result.success) return { file: result.output, warnings };
  const issue = result.issues[0];
  const where = v.getDotPath(issue);
  if (issue.type === "strict_object" && issue.expected === "never")
    throw new InvalidParameter(`${path}: ${where}: no such setting`);
  throw new InvalidParameter(`${path}: ${where ?? "document"}: ${issue.message}`);
}

function readJson(path: string, mustExist: boolean): Record<string, unknown> {
  if (!existsSync(path)) {
    if (mustExist) throw new NotFound(`the configuration file ${path} is not there`);
    return {};
  }
  const content = readFileSync(path, "utf8");
  if (content.trim() === "") return {};
  try {
    return v.parse(v.record(v.string(), v.unknown()), JSON.parse(content));
  } catch (error) {
    throw new InvalidParameter(`${path}: not a JSON object: ${messageOf(error)}`, { cause: error });
  }
}

function listenersOf({ flags }: DaemonFlags, file: File): Listener[] {
  const hosts = file.hosts ?? flags.host;
  const group = file.group ?? flags.group;
  const verify = file.tlsverify ?? flags.tlsverify;
  const useTls = verify || (file.tls ?? flags.tls);
  const execRoot = file["exec-root"] ?? flags["exec-root"];
  const served = hosts.length > 0 ? hosts : [`unix://${join(execRoot, "gantry.sock")}`];
  const withToken = file["require-token"] ?? flags["require-token"];
  const unknown = withToken.find((host) => !served.includes(host));
  if (unknown !== undefined)
    throw new InvalidParameter(`--require-token ${unknown}: no such host: ${served.join(", ")} are served`);
  return served.map((host): Listener => {
    const requireToken = withToken.includes(host);
    const [, protocol, address] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(host)!;
    if (protocol === "unix")
      return { kind: "unix", path: address || join(execRoot, "gantry.sock"), group, requireToken };
    if (protocol === "fd")
      throw new NotImplemented(
        `${host}: sockets handed over by systemd are not supported; name a unix:// path`,
      );
    if (protocol !== undefined && protocol !== "tcp")
      throw new InvalidParameter(`invalid host ${host}: unix:// or tcp:// is wanted`);
    const [, name, port] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(address!) ?? [];
    if (name === undefined) throw new InvalidParameter(`invalid host ${host}: host:port is wanted`);
    if (!useTls && !(file["allow-insecure-tcp"] ?? flags["allow-insecure-tcp"]))
      throw new InvalidParameter(
        `refusing to serve ${host} without TLS: whoever reaches that port is root here. Give --tlsverify with --tlscacert, --tlscert and --tlskey, or --allow-insecure-tcp if you mean it`,
      );
    return {
      kind: "tcp",
      host: name.replace(/^\[|\]$/g, "") || "127.0.0.1",
      port: Number(port ?? (useTls ? 2376 : 2375)),
      requireToken,
      tls: useTls ? tlsOf({ flags, file, verify }) : undefined,
    };
  });
}

function tlsOf({ flags, file, verify }: { flags: DaemonFlags["flags"]; file: File; verify: boolean }) {
  const directory = process.env.DOCKER_CERT_PATH ?? join(homedir(), ".docker");
  const pem = (setting: "tlscacert" | "tlscert" | "tlskey", name: string) => {
    const path = file[setting] ?? flags[setting] ?? join(directory, name);
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new InvalidParameter(`could not read ${path} (--${setting}): ${messageOf(error)}`, {
        cause: error,
      });
    }
  };
  return {
    cert: pem("tlscert", "cert.pem"),
    key: pem("tlskey", "key.pem"),
    ca: verify ? pem("tlscacert", "ca.pem") : undefined,
    verify,
  };
}

/** `nofile=1024:2048` */
function parseUlimit(ulimit: string): { Name: string; Soft: number; Hard: number } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(ulimit);
  if (!match) throw new InvalidParameter(`invalid --default-ulimit ${ulimit}: NAME=SOFT[:HARD] is wanted`);
  return { Name: match[1]!, Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
}

function pairs(flag: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => {
      const equals = value.indexOf("=");
      if (equals <= 0) throw new InvalidParameter(`invalid --${flag} ${value}: key=value is wanted`);
      return [value.slice(0, equals), value.slice(equals + 1)];
    }),
  );
}
