import { messageOf } from "../../lib/errors.ts";
import { between, defineCommand, none } from "../command.ts";
import type { CliContext } from "../context.ts";
import { metaOf, storeOf } from "../contexts/contexts.ts";
import { renderListing } from "../format/listing.ts";
import { builderFlag, contextOfBuilder, currentBuilder } from "./builders.ts";

interface Builder {
  name: string;
  endpoint: string;
  /** Of the engine; undefined when it doesn't answer. */
  version?: string;
  platform?: string;
  error?: string;
}

const timeoutFlag = {
  timeout: { kind: "duration", help: "How long to wait for an engine", default: "20s" },
} as const;

/** Asks the engine of a context what it is. @param timeout nanoseconds */
async function builderOf(context: CliContext, name: string, timeout: number): Promise<Builder> {
  const known = { name, endpoint: metaOf(context, name).Endpoints.docker?.Host ?? "" };
  try {
    const { client } = await contextOfBuilder(context, name);
    const signal = AbortSignal.timeout(timeout / 1e6);
    const { Version, Os, Arch } = await client.call<{ Version: string; Os: string; Arch: string }>(
      "GET",
      "/version",
      { signal },
    );
    return { ...known, version: Version, platform: `${Os}/${Arch}` };
  } catch (error) {
    return { ...known, error: messageOf(error) };
  }
}

export const ls = defineCommand({
  name: "buildx ls",
  usage: "[OPTIONS]",
  summary: "List builders: each context's engine is one",
  flags: {
    ...timeoutFlag,
    format: {
      kind: "string",
      help: "Format with a Go template, `table TEMPLATE` or `json`",
      default: "table",
    },
    "no-trunc": { kind: "bool", help: "Show errors whole" },
  },
  arity: none,
  examples: ["buildx ls"],
  async run(context, { flags }) {
    const names = [
      "default",
      ...storeOf(context)
        .list()
        .map(({ Name }) => Name),
    ];
    const current = currentBuilder(context);
    const builders = await Promise.all(names.map((name) => builderOf(context, name, flags.timeout)));
    const isTable = flags.format === "table";
    const rows = builders.map(({ name, endpoint, version, platform, error }) => ({
      Name: isTable && name === current ? `${name}*` : name,
      Current: name === current,
      DriverEndpoint: isTable ? `docker ${endpoint}` : "docker",
      Endpoint: endpoint,
      Status: error === undefined ? "running" : "error",
      Buildkit: version ?? "",
      Platforms: platform ?? "",
      Error: error ?? "",
    }));
    const headers = {
      Name: "NAME",
      Current: "",
      DriverEndpoint: "DRIVER/ENDPOINT",
      Endpoint: "ENDPOINT",
      Status: "STATUS",
      Buildkit: "VERSION",
      Platforms: "PLATFORMS",
      Error: "ERROR",
    };
    const columns = ["Name", "DriverEndpoint", "Status", "Buildkit", "Platforms"];
    context.out(await renderListing({ format: flags.format, columns, headers, rows }));
    if (isTable)
      for (const { name, error } of builders) {
        if (error !== undefined)
          context.err(`Cannot load builder ${name}: ${flags["no-trunc"] ? error : error.split("\n")[0]}\n`);
      }
    return 0;
  },
});

export const inspect = defineCommand({
  name: "buildx inspect",
  usage: "[NAME]",
  summary: "Show a builder",
  flags: {
    ...builderFlag,
    ...timeoutFlag,
    bootstrap: { kind: "bool", help: "Accepted for buildx's sake: an engine is there or not", hidden: true },
  },
  arity: between(0, 1),
  examples: ["buildx inspect"],
  async run(context, { flags, args: [name = flags.builder ?? currentBuilder(context)] }) {
    const builder = await contextOfBuilder(context, name);
    const { endpoint, version, platform, error } = await builderOf(context, name, flags.timeout);
    if (error !== undefined) {
      context.out(
        `Name:   ${name}\nDriver: docker\n\nNodes:\nName:     ${name}\nEndpoint: ${endpoint}\nError:    ${error}\n`,
      );
      return 1;
    }
    const { BuildCache } = await builder.client.call<{ BuildCache: unknown[] | null }>("GET", "/system/df", {
      query: { type: "build-cache" },
    });
    context.out(
      [
        `Name:   ${name}`,
        "Driver: docker",
        "",
        "Nodes:",
        `Name:          ${name}`,
        `Endpoint:      ${endpoint}`,
        "Status:        running",
        `Version:       ${version}`,
        `Platforms:     ${platform}`,
        `Cache records: ${BuildCache?.length ?? 0}`,
        "Features:",
        " Cache export:          true",
        " Docker exporter:       true",
        " Multi-platform build:  true",
        " OCI exporter:          true",
        "",
      ].join("\n"),
    );
    return 0;
  },
});
