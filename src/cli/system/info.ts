import { contextName } from "../../api/client/index.ts";
import { defineCommand, none } from "../command.ts";
import { describe } from "../errors.ts";
import { compileFormat } from "../format/template.ts";
import { bytesSize } from "../format/units.ts";
import { version } from "../program.ts";
import type { GoJson } from "../template/go-types.ts";

/** The fields of `GET /info` that the text shows; a template can ask for any. */
interface Info {
  ID?: string;
  Name?: string;
  Containers: number;
  ContainersRunning: number;
  ContainersPaused: number;
  ContainersStopped: number;
  Images: number;
  ServerVersion?: string;
  Driver?: string;
  DriverStatus?: [string, string][] | null;
  LoggingDriver?: string;
  CgroupDriver?: string;
  CgroupVersion?: string;
  Plugins?: Record<string, string[] | null>;
  Runtimes?: Record<string, unknown>;
  DefaultRuntime?: string;
  InitBinary?: string;
  SecurityOptions?: string[] | null;
  KernelVersion?: string;
  OperatingSystem?: string;
  OSType?: string;
  Architecture?: string;
  NCPU?: number;
  MemTotal?: number;
  DockerRootDir?: string;
  Debug?: boolean;
  HttpProxy?: string;
  HttpsProxy?: string;
  NoProxy?: string;
  Labels?: string[] | null;
  ExperimentalBuild?: boolean;
  RegistryConfig?: { InsecureRegistryCIDRs?: string[] | null; Mirrors?: string[] | null };
  LiveRestoreEnabled?: boolean;
  DefaultAddressPools?: { Base: string; Size: number }[] | null;
  Warnings?: string[] | null;
}

export const command = defineCommand({
  name: "system info",
  usage: "[OPTIONS]",
  summary: "Display system-wide information",
  aliases: ["system info", "info"],
  flags: { format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" } },
  arity: none,
  examples: ["info --format '{{.CgroupVersion}}'"],
  async run(context, { flags }) {
    const ClientInfo = {
      Debug: false,
      Version: version,
      Context: contextName(context.env, context.overrides),
      Plugins: [],
      Warnings: null,
    };
    let info: Info | undefined;
    let failure: string | undefined;
    try {
      info = await context.client.call<Info>("GET", "/info");
    } catch (error) {
      failure = describe(error);
    }
    const errors = failure === undefined ? {} : { ServerErrors: [failure] };
    if (flags.format !== undefined) {
      const all = { ...info, ...errors, ClientInfo };
      const template = compileFormat(flags.format === "json" ? "{{json .}}" : flags.format);
      const { systemShapes } = await import("./go-shapes.ts");
      context.line(template(systemShapes["system.dockerInfo"](all as GoJson), "no value"));
      if (failure !== undefined) context.err(`${failure}\n`);
      return failure === undefined ? 0 : 1;
    }
    context.out(`Client:\n Version:    ${version}\n Context:    ${ClientInfo.Context}\n\nServer:\n`);
    if (!info) {
      context.err(`ERROR: ${failure}\nerrors pretty printing info\n`);
      return 1;
    }
    context.out(
      infoLines(info)
        .map((line) => `${line}\n`)
        .join(""),
    );
    for (const warning of info.Warnings ?? []) context.err(`${warning}\n`);
    return 0;
  },
});

/** The text of `info` about the engine. */
export function infoLines(info: Info): string[] {
  const list = (title: string, items: readonly string[] | null | undefined) =>
    items?.length ? [` ${title}:`, ...items.map((item) => `  ${item}`)] : [];
  const pair = (title: string, value: string | number | undefined) =>
    value === undefined || value === "" ? [] : [` ${title}: ${value}`];
  const plugins = Object.entries(info.Plugins ?? {}).filter(([, names]) => names?.length);
  return [
    ` Containers: ${info.Containers}`,
    `  Running: ${info.ContainersRunning}`,
    `  Paused: ${info.ContainersPaused}`,
    `  Stopped: ${info.ContainersStopped}`,
    ` Images: ${info.Images}`,
    ...pair("Server Version", info.ServerVersion),
    ...pair("Storage Driver", info.Driver),
    ...(info.DriverStatus ?? []).map(([name, value]) => `  ${name}: ${value}`),
    ...pair("Logging Driver", info.LoggingDriver),
    ...pair("Cgroup Driver", info.CgroupDriver),
    ...pair("Cgroup Version", info.CgroupVersion),
    ...(plugins.length > 0
      ? [" Plugins:", ...plugins.map(([kind, names]) => `  ${kind}: ${names!.join(" ")}`)]
      : []),
    ...pair(
      "Runtimes",
      Object.keys(info.Runtimes ?? {})
        .sort()
        .join(" "),
    ),
    ...pair("Default Runtime", info.DefaultRuntime),
    ...pair("Init Binary", info.InitBinary),
    ...list("Security Options", info.SecurityOptions?.map(securityOption)),
    ...pair("Kernel Version", info.KernelVersion),
    ...pair("Operating System", info.OperatingSystem),
    ...pair("OSType", info.OSType),
    ...pair("Architecture", info.Architecture),
    ...pair("CPUs", info.NCPU),
    ...pair("Total Memory", info.MemTotal === undefined ? undefined : bytesSize(info.MemTotal)),
    ...pair("Name", info.Name),
    ...pair("ID", info.ID),
    ...pair("Docker Root Dir", info.DockerRootDir),
    ` Debug Mode: ${info.Debug ?? false}`,
    ...pair("HTTP Proxy", info.HttpProxy),
    ...pair("HTTPS Proxy", info.HttpsProxy),
    ...pair("No Proxy", info.NoProxy),
    ...list("Labels", info.Labels),
    ` Experimental: ${info.ExperimentalBuild ?? false}`,
    ...list("Insecure Registries", info.RegistryConfig?.InsecureRegistryCIDRs),
    ...list("Registry Mirrors", info.RegistryConfig?.Mirrors),
    ` Live Restore Enabled: ${info.LiveRestoreEnabled ?? false}`,
    ...list(
      "Default Address Pools",
      info.DefaultAddressPools?.map(({ Base, Size }) => `Base: ${Base}, Size: ${Size}`),
    ),
  ];
}

/** `name=seccomp,profile=builtin` as people read it. */
function securityOption(text: string): string {
  const fields = text.split(",").map((field) => field.split("="));
  const name = fields.find(([key]) => key === "name")?.[1] ?? text;
  const rest = fields.filter(([key]) => key !== "name").map(([key, value]) => `   ${key}: ${value}`);
  return [name, ...rest.map((line) => line.replace(/^ {3}profile/, "   Profile"))].join("\n");
}
