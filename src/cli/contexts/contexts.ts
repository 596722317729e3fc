import { readFileSync } from "node:fs";
import { contextName, describeEndpoint, endpointFromEnvironment, parseHost } from "../../api/client/index.ts";
import { Conflict, InvalidParameter, messageOf, NotFound } from "../../lib/errors.ts";
import { parseBool, splitCsv } from "../args/values.ts";
import { atLeast, defineCommand, exactly, type Flags, none } from "../command.ts";
import { changeConfig } from "../config-file.ts";
import type { CliContext } from "../context.ts";
import { forEach } from "../each.ts";
import { renderIds, renderListing } from "../format/listing.ts";
import { inspectEach } from "../inspect.ts";
import { type ContextMeta, ContextStore, checkContextName, type TlsFiles } from "./store.ts";

/** The contexts that this client sees. */
export const storeOf = (context: CliContext) => new ContextStore(context.configDir);
const current = (context: CliContext) => contextName(context.env, context.overrides);

/** The context that stands for the environment; no file holds it. */
function defaultMeta(context: CliContext): ContextMeta {
  const { env, overrides } = context;
  // Whatever context is chosen, the default one is what there is without.
  const endpoint = endpointFromEnvironment(
    { ...env, DOCKER_CONTEXT: "default" },
    { ...overrides, context: undefined },
  );
  return {
    Name: "default",
    Metadata: {},
    Endpoints: { docker: { Host: describeEndpoint(endpoint), SkipTLSVerify: false } },
  };
}

/** What is known of a context, the default one too. @throws NotFound */
export function metaOf(context: CliContext, name: string): ContextMeta {
  return name === "default" ? defaultMeta(context) : storeOf(context).get(name);
}

export const ls = defineCommand({
  name: "context ls",
  usage: "[OPTIONS]",
  summary: "List contexts",
  aliases: ["context ls", "context list"],
  flags: {
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    quiet: { kind: "bool", short: "q", help: "Only show names" },
  },
  arity: none,
  examples: ["context ls"],
  async run(context, { flags }) {
    const metas = [defaultMeta(context), ...storeOf(context).list()];
    if (flags.quiet) {
      context.out(renderIds(metas.map(({ Name }) => Name)));
      return 0;
    }
    const inUse = current(context);
    const rows = metas.map(({ Name, Metadata, Endpoints }) => ({
      Name,
      Current: Name === inUse,
      Description:
        Name === "default" ? "Current DOCKER_HOST based configuration" : (Metadata.Description ?? ""),
      DockerEndpoint: Endpoints.docker?.Host ?? "",
      Error: "",
    }));
    const columns = ["Name", "Description", "DockerEndpoint", "Error"];
    // Only the usual table marks the context in use.
    const isTable = flags.format === undefined || flags.format === "table";
    const shown = isTable ? rows.map((row) => (row.Current ? { ...row, Name: `${row.Name} *` } : row)) : rows;
    const headers = {
      Name: "NAME",
      Current: "",
      Description: "DESCRIPTION",
      DockerEndpoint: "DOCKER ENDPOINT",
      Error: "ERROR",
    };
    context.out(await renderListing({ format: flags.format, columns, headers, rows: shown }));
    return 0;
  },
});

export const show = defineCommand({
  name: "context show",
  usage: "",
  summary: "Print the name of the current context",
  flags: {},
  arity: none,
  examples: ["context show"],
  async run(context) {
    context.line(current(context));
    return 0;
  },
});

export const use = defineCommand({
  name: "context use",
  usage: "CONTEXT",
  summary: "Set the current context",
  flags: {},
  arity: exactly(1),
  examples: ["context use staging"],
  async run(context, { args: [name = ""] }) {
    if (name !== "default") storeOf(context).get(name);
    changeConfig(context, ({ currentContext: _, ...config }) =>
      name === "default" ? config : { ...config, currentContext: name },
    );
    context.line(name);
    context.err(`Current context is now ${JSON.stringify(name)}\n`);
    const host = context.env.GANTRY_HOST
      ? "GANTRY_HOST"
      : context.env.DOCKER_HOST
        ? "DOCKER_HOST"
        : undefined;
    if (host !== undefined && name !== "default")
      context.err(
        `Warning: ${host} environment variable overrides the active context. To use ${JSON.stringify(name)}, either set the global --context flag, or unset ${host} environment variable.\n`,
      );
    return 0;
  },
});

const contextFlags = {
  description: { kind: "string", help: "Description of the context" },
  docker: {
    kind: "list",
    value: "key=value,...",
    help: "The engine: host, ca, cert, key, skip-tls-verify, or from another context",
  },
} as const satisfies Flags;

/** `host=tcp://…,ca=…` as the endpoint and its TLS files. @throws InvalidParameter */
function endpointOf(store: ContextStore, values: readonly string[]) {
  const options = new Map(
    values.flatMap(splitCsv).map((field) => {
      const equals = field.indexOf("=");
      if (equals < 0) throw new InvalidParameter(`${field} must be formatted as key=value`);
      return [field.slice(0, equals), field.slice(equals + 1)] as const;
    }),
  );
  const known = ["from", "host", "ca", "cert", "key", "skip-tls-verify"];
  const unknown = [...options.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new InvalidParameter(
      `unable to create docker endpoint config: unrecognized config key: ${unknown}`,
    );
  const from = options.get("from");
  if (from !== undefined) {
    const meta = store.get(from);
    return { docker: meta.Endpoints.docker, tls: store.readTls(from) };
  }
  const Host = options.get("host");
  if (Host !== undefined && !Host.includes("://"))
    throw new InvalidParameter(
      `unable to create docker endpoint config: unable to apply docker endpoint options: unable to parse docker host \`${Host}\``,
    );
  if (Host !== undefined) parseHost(Host);
  const tls: TlsFiles = {};
  for (const name of ["ca", "cert", "key"] as const) {
    const path = options.get(name);
    if (path !== undefined) tls[`${name}.pem`] = readPem(path);
  }
  return { docker: { Host, SkipTLSVerify: parseBool(options.get("skip-tls-verify") ?? "false") }, tls };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new InvalidParameter(`unable to create context: ${messageOf(error)}`, { cause: error });
  }
}

export const create = defineCommand({
  name: "context create",
  usage: "[OPTIONS] CONTEXT",
  summary: "Create a context",
  flags: { ...contextFlags, from: { kind: "string", help: "Copy another context" } },
  arity: exactly(1),
  examples: [
    "context create staging --docker host=tcp://staging:2376,ca=ca.pem,cert=cert.pem,key=key.pem",
    "context create copy --from staging",
  ],
  async run(context, { flags, args: [name = ""] }) {
    const store = storeOf(context);
    checkContextName(name);
    if (store.has(name)) throw new Conflict(`context ${JSON.stringify(name)} already exists`);
    if (flags.from !== undefined && flags.docker.length > 0)
      throw new InvalidParameter("cannot use --docker flag when --from is set");
    if (flags.from === undefined && flags.docker.length === 0)
      throw new InvalidParameter("docker endpoint configuration is required");
    const origin = flags.from === undefined ? undefined : metaOf(context, flags.from);
    const { docker, tls } =
      origin === undefined
        ? endpointOf(store, flags.docker)
        : {
            docker: origin.Endpoints.docker,
            tls: flags.from === "default" ? {} : store.readTls(flags.from!),
          };
    const Description = flags.description ?? origin?.Metadata.Description;
    store.put({ Name: name, Metadata: Description ? { Description } : {}, Endpoints: { docker } }, tls);
    context.line(name);
    context.err(`Successfully created context ${JSON.stringify(name)}\n`);
    return 0;
  },
});

export const update = defineCommand({
  name: "context update",
  usage: "[OPTIONS] CONTEXT",
  summary: "Update a context",
  flags: contextFlags,
  arity: exactly(1),
  examples: ["context update staging --description 'The rehearsal machine'"],
  async run(context, { flags, args: [name = ""] }) {
    const store = storeOf(context);
    checkContextName(name);
    const meta = store.get(name);
    const changed = flags.docker.length > 0 ? endpointOf(store, flags.docker) : undefined;
    store.put(
      {
        ...meta,
        Metadata:
          flags.description === undefined
            ? meta.Metadata
            : { ...meta.Metadata, Description: flags.description },
        Endpoints: changed ? { ...meta.Endpoints, docker: changed.docker } : meta.Endpoints,
      },
      changed?.tls,
    );
    context.line(name);
    context.err(`Successfully updated context ${JSON.stringify(name)}\n`);
    return 0;
  },
});

export const rm = defineCommand({
  name: "context rm",
  usage: "[OPTIONS] CONTEXT [CONTEXT...]",
  summary: "Remove one or more contexts",
  aliases: ["context rm", "context remove"],
  flags: { force: { kind: "bool", short: "f", help: "Remove it even when it is in use" } },
  arity: atLeast(1),
  examples: ["context rm staging"],
  run: (context, { flags, args }) => {
    const store = storeOf(context);
    return forEach(context, args, async (name) => {
      if (name === "default") throw new InvalidParameter('context "default" cannot be removed');
      if (!store.has(name) && flags.force) return name;
      if (!store.has(name)) throw new NotFound(`context ${JSON.stringify(name)} does not exist`);
      if (current(context) === name) {
        if (!flags.force)
          throw new Conflict(`context ${JSON.stringify(name)} is in use, set -f flag to force remove`);
        changeConfig(context, ({ currentContext: _, ...config }) => config);
      }
      store.remove(name);
      return name;
    });
  },
});

export const inspect = defineCommand({
  name: "context inspect",
  usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
  summary: "Display detailed information on one or more contexts",
  flags: { format: { kind: "string", short: "f", help: "Format with a Go template, or `json`" } },
  arity: atLeast(0),
  examples: ["context inspect -f '{{.Endpoints.docker.Host}}' staging"],
  run: (context, { flags, args }) => {
    const store = storeOf(context);
    const names = args.length > 0 ? args : [current(context)];
    return inspectEach(context, names, flags.format, async (name) => {
      const isDefault = name === "default";
      const files = isDefault ? [] : store.tlsFiles(name);
      const value = {
        ...metaOf(context, name),
        TLSMaterial: files.length > 0 ? { docker: files } : {},
        Storage: {
          MetadataPath: isDefault ? "<IN MEMORY>" : store.metaPath(name),
          TLSPath: isDefault ? "<IN MEMORY>" : store.tlsPath(name),
        },
      };
      return { value };
    });
  },
});
