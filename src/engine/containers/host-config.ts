/** What of a HostConfig is allowed, and what stands for what was left out. */
import { InvalidParameter } from "../../lib/errors.ts";
import { containerCapabilities } from "../../runtime/index.ts";
import type { HostConfig, RestartPolicy } from "../config.ts";
import type { Context } from "../context.ts";
import { cgroupNamespaceMode } from "../info.ts";
import { noBridge } from "../networks.ts";
import { checkLimits } from "./limits.ts";
import { checkLogConfig } from "./log-config.ts";
import { parsePort } from "./publishing.ts";
import { parseSecurityOptions } from "./security-options.ts";
import { discardUnsupported } from "./unsupported.ts";

const restartPolicies = ["", "no", "always", "unless-stopped", "on-failure"];

/**
 * @returns a copy with the defaults in
 * @throws InvalidParameter in Docker's words
 */
export function checkHostConfig(asked: HostConfig, context: Context, warnings: string[]): HostConfig {
  const { options, runtime } = context;
  const host = { ...asked };
  if (["", "default"].includes(host.NetworkMode))
    host.NetworkMode = options.bridge === noBridge ? "none" : "bridge";
  host.Runtime ||= runtime.name;
  if (!(host.Runtime in runtime.programs()))
    throw new InvalidParameter(`unknown or invalid runtime name: ${host.Runtime}`);
  host.LogConfig = logConfig(host, context);
  checkRestartPolicy(host.RestartPolicy);
  if (host.RestartPolicy.Name === "") host.RestartPolicy = { Name: "no", MaximumRetryCount: 0 };
  if (host.AutoRemove && host.RestartPolicy.Name !== "no")
    throw new InvalidParameter("can't set 'AutoRemove' and 'RestartPolicy' at the same time"); // Docker's words
  host.OomKillDisable ??= false;
  warnings.push(...discardUnsupported(host, runtime.limitSupport));
  if (host.OomKillDisable && host.Memory === 0)
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
  checkLimits(host);
  for (const [key, bindings] of Object.entries(host.PortBindings)) {
    parsePort(key);
    for (const { HostPort } of bindings ?? []) checkHostPort(HostPort);
  }
  checkNamespaces(host);
  if (context.remap && host.UsernsMode !== "host") checkRemapped(host);
  if (host.VolumeDriver !== "" && host.VolumeDriver !== "local")
    // Not Docker's 404, which clients take for a missing image.
    throw new InvalidParameter(
      `error looking up volume plugin ${host.VolumeDriver}: plugin "${host.VolumeDriver}" not found`,
    );
  if (Object.keys(host.StorageOpt ?? {}).length > 0)
    throw new InvalidParameter(
      "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
    );
  if (!["", "default"].includes(host.Isolation))
    throw new InvalidParameter(`Invalid isolation: "${host.Isolation}" - linux only supports 'default'`);
  parseSecurityOptions(host.SecurityOpt, options);
  containerCapabilities({ add: host.CapAdd ?? [], drop: host.CapDrop ?? [], privileged: host.Privileged });
  host.IpcMode ||= options.ipcMode;
  host.CgroupParent ||= options.cgroupParent ?? "";
  host.ShmSize ||= options.defaultShmSize;
  host.CgroupnsMode ||= host.Privileged ? "host" : cgroupNamespaceMode(context);
  // What sees the host's processes is not told apart by labels; clients of Docker read that here.
  const labelled = host.SecurityOpt?.some((option) => /^label\b/.test(option));
  if (!labelled && (host.Privileged || host.PidMode === "host" || host.IpcMode === "host"))
    host.SecurityOpt = [...(host.SecurityOpt ?? []), "label=disable"];
  if (!context.network.forwarding.ipv4 && !["host", "none"].includes(host.NetworkMode))
    warnings.push("IPv4 forwarding is disabled. Networking will not work.");
  if (Object.keys(host.PortBindings).length > 0 && host.NetworkMode === "host")
    warnings.push("Published ports are discarded when using host network mode");
  return host;
}

/** @throws InvalidParameter */
export function checkRestartPolicy({ Name, MaximumRetryCount }: RestartPolicy): void {
  const refuse = (why: string): never => {
    throw new InvalidParameter(`invalid restart policy: ${why}`);
  };
  if (!restartPolicies.includes(Name))
    refuse(`unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
  // Clients of before 25 send any count without a name.
  if (Name === "") return;
  if (Name !== "on-failure" && MaximumRetryCount > 0)
    refuse("maximum retry count can only be used with 'on-failure'");
  if (MaximumRetryCount < 0) refuse("maximum retry count cannot be negative");
}

/** Nothing, a port, or a range of which one is taken. @throws InvalidParameter in Docker's words */
function checkHostPort(text: string): void {
  const match = /^(?:(\d+)(?:-(\d+))?)?$/.exec(text);
  const [first = "0", last = first] = match?.slice(1) ?? [];
  if (!match || Number(first) > Number(last) || Number(last) > 65_535)
    throw new InvalidParameter(`invalid port specification: ${JSON.stringify(text)}`);
}

function logConfig({ LogConfig }: HostConfig, { options }: Context): HostConfig["LogConfig"] {
  const given =
    LogConfig.Type === ""
      ? { Type: options.logDriver, Config: { ...options.logOptions, ...LogConfig.Config } }
      : LogConfig;
  checkLogConfig(given);
  return given;
}

function checkNamespaces(host: HostConfig): void {
  const check = (what: string, mode: string, words: readonly string[]) => {
    if (words.includes(mode) || /^container:./.test(mode)) return;
    throw new InvalidParameter(`invalid ${what} mode: ${mode}`);
  };
  check("IPC", host.IpcMode, ["", "host", "private", "shareable", "none"]);
  check("PID", host.PidMode, ["", "host"]);
  if (!["", "host"].includes(host.UTSMode)) throw new InvalidParameter(`invalid UTS mode: ${host.UTSMode}`);
  if (!["", "host", "private"].includes(host.CgroupnsMode))
    throw new InvalidParameter(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  if (!["", "host"].includes(host.UsernsMode))
    throw new InvalidParameter(`invalid user namespace mode: ${host.UsernsMode}`);
}

/** What only the host's root can have. @throws InvalidParameter in Docker's words */
function checkRemapped(host: HostConfig): void {
  if (host.Privileged)
    throw new InvalidParameter(
      "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
    );
  if (host.NetworkMode === "host")
    throw new InvalidParameter("cannot share the host's network namespace when user namespaces are enabled");
  if (host.PidMode === "host")
    throw new InvalidParameter("cannot share the host PID namespace when user namespaces are enabled");
}
