import { newestApiVersion } from "../../api/client/client.ts";
import { contextName } from "../../api/client/index.ts";
import { defineCommand, none } from "../command.ts";
import { describe } from "../errors.ts";
import { compileFormat } from "../format/template.ts";
import { version } from "../program.ts";
import type { GoJson } from "../template/go-types.ts";

interface ServerVersion {
  Platform?: { Name: string };
  Components?: { Name: string; Version: string; Details?: Record<string, string> }[];
  Version: string;
  ApiVersion: string;
  MinAPIVersion?: string;
  GitCommit?: string;
  GoVersion?: string;
  Os?: string;
  Arch?: string;
  KernelVersion?: string;
  BuildTime?: string;
}

export const command = defineCommand({
  name: "version",
  usage: "[OPTIONS]",
  summary: "Show the versions of the client and the engine",
  flags: { format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" } },
  arity: none,
  examples: ["version --format '{{.Server.Version}}'"],
  async run(context, { flags }) {
    let server: ServerVersion | undefined;
    let failure: unknown;
    try {
      server = await context.client.call<ServerVersion>("GET", "/version");
    } catch (error) {
      failure = error;
    }
    const client = {
      Platform: { Name: "Gantry" },
      Version: version,
      ApiVersion: server === undefined ? newestApiVersion : older(server.ApiVersion, newestApiVersion),
      DefaultAPIVersion: newestApiVersion,
      Runtime: `bun ${Bun.version}`,
      Os: process.platform,
      Arch: goArchitecture[process.arch] ?? process.arch,
      Context: contextName(context.env, context.overrides),
    };
    const all = { Client: client, Server: server ?? null };
    if (flags.format === undefined) context.out(layout(all));
    else {
      // Without an engine its fields can't be shown; the reason says more than the template's failure.
      if (server === undefined && /\.Server\b/.test(flags.format)) throw failure;
      const template = compileFormat(flags.format === "json" ? "{{json .}}" : flags.format, "version");
      const { systemShapes } = await import("./go-shapes.ts");
      context.line(template(systemShapes["system.versionInfo"](all as unknown as GoJson), "no value"));
    }
    if (server !== undefined) return 0;
    context.err(`${describe(failure)}\n`);
    return 1;
  },
});

const goArchitecture: Record<string, string> = { x64: "amd64", ia32: "386" };

/** The older of two API versions: the one that is spoken. */
export function older(a: string, b: string): string {
  const [major = 0, minor = 0] = a.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = b.split(".").map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor) ? a : b;
}

interface Versions {
  Client: {
    Platform: { Name: string };
    Version: string;
    ApiVersion: string;
    Runtime: string;
    Os: string;
    Arch: string;
    Context: string;
  };
  Server: ServerVersion | null;
}

function layout({ Client, Server }: Versions): string {
  const spoken =
    Client.ApiVersion === newestApiVersion
      ? Client.ApiVersion
      : `${Client.ApiVersion} (downgraded from ${newestApiVersion})`;
  const client = rows(1, [
    ["Version:", Client.Version],
    ["API version:", spoken],
    ["Runtime:", Client.Runtime],
    ["OS/Arch:", `${Client.Os}/${Client.Arch}`],
    ["Context:", Client.Context],
  ]);
  const head = `Client: ${Client.Platform.Name}\n${client}`;
  if (!Server) return `${head}\n`;
  // Old engines have no components: then their own fields are the one component.
  const components = Server.Components?.length
    ? Server.Components
    : [{ Name: "Engine", Version: Server.Version, Details: {} }];
  const parts = components.map(({ Name, Version, Details = {} }) => {
    const engine: [string, string | undefined][] =
      Name === "Engine"
        ? [
            [
              "API version:",
              Server.MinAPIVersion
                ? `${Server.ApiVersion} (minimum version ${Server.MinAPIVersion})`
                : Server.ApiVersion,
            ],
            ["Git commit:", Server.GitCommit],
            ["Built:", Server.BuildTime],
            ["OS/Arch:", `${Server.Os}/${Server.Arch}`],
          ]
        : Object.entries(Details).map(([name, value]) => [`${name}:`, value]);
    return ` ${Name}:\n${rows(2, [["Version:", Version], ...engine])}`;
  });
  const platform = Server.Platform?.Name ? ` ${Server.Platform.Name}` : "";
  return `${head}\n\nServer:${platform}\n${parts.join("\n")}\n`;
}

const valueColumn = 20;

function rows(indent: number, items: [string, string | undefined][]): string {
  return items
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${" ".repeat(indent)}${name}`.padEnd(valueColumn) + value)
    .join("\n");
}
