/**
 * Where the engine is: `-H`, `--context`, GANTRY_HOST, DOCKER_HOST, DOCKER_CONTEXT, the current context of
 * `config.json`, then the default socket. Contexts are Docker's own files.
 */
import { InvalidParameter, NotFound, NotImplemented } from "../../lib/errors.ts";
import { fs, textIfAny } from "../../lib/lazy-fs.ts";
import type { Endpoint } from "./types.ts";

export const defaultSocket = "/run/gantry/gantry.sock";

export interface EndpointOverrides {
  /** `-H`/`--host`. */
  host?: string;
  /** `-c`/`--context`. */
  context?: string;
  /** `--config`: the directory of config.json. */
  configDir?: string;
  /** `--tls`: TLS without verification. */
  tls?: boolean;
  /** `--tlsverify`. */
  tlsVerify?: boolean;
  /** `--tlscacert`, `--tlscert`, `--tlskey`: paths. */
  tlsCaCert?: string;
  tlsCert?: string;
  tlsKey?: string;
}

type Environment = Record<string, string | undefined>;

/** The directory of `config.json`, contexts and credentials. */
export function configDirectory(env: Environment, overrides: EndpointOverrides = {}): string {
  return overrides.configDir ?? nonEmpty(env.DOCKER_CONFIG) ?? `${env.HOME ?? "/root"}/.docker`;
}

/**
 * The endpoint that the flags and the environment choose.
 * @throws InvalidParameter for a malformed host; NotFound for an unknown context; NotImplemented for ssh and others
 */
export function endpointFromEnvironment(env: Environment, overrides: EndpointOverrides = {}): Endpoint {
  if (overrides.host !== undefined && overrides.context !== undefined) {
    throw new InvalidParameter("conflicting options: cannot specify both --host and --context");
  }
  const explicitContext = overrides.context;
  const host =
    overrides.host ??
    (explicitContext === undefined ? (nonEmpty(env.GANTRY_HOST) ?? nonEmpty(env.DOCKER_HOST)) : undefined);
  if (host !== undefined) return parseHost(host, () => tlsFromFlags(env, overrides));
  const directory = configDirectory(env, overrides);
  const context = explicitContext ?? nonEmpty(env.DOCKER_CONTEXT) ?? currentContext(directory);
  if (context === undefined || context === "default") {
    return { kind: "unix", path: defaultSocket };
  }
  return contextEndpoint(directory, context);
}

/** The name of the context in use: `default` when a host is given or none is chosen. */
export function contextName(env: Environment, overrides: EndpointOverrides = {}): string {
  if (overrides.context !== undefined) return overrides.context;
  if (overrides.host ?? nonEmpty(env.GANTRY_HOST) ?? nonEmpty(env.DOCKER_HOST)) return "default";
  return nonEmpty(env.DOCKER_CONTEXT) ?? currentContext(configDirectory(env, overrides)) ?? "default";
}

/** `unix:///path`, `tcp://host:port`. */
export function describeEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === "unix") return `unix://${endpoint.path}`;
  return `tcp://${endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
}

type Tls = NonNullable<Extract<Endpoint, { kind: "tcp" }>["tls"]>;

/** Reads `unix://path`, `tcp://host[:port]` (2375, with TLS 2376), `http(s)://…`. @throws InvalidParameter, NotImplemented */
export function parseHost(text: string, tlsOf: () => Tls | undefined = () => undefined): Endpoint {
  const colon = text.indexOf("://");
  const protocol = colon < 0 ? "tcp" : text.slice(0, colon);
  const rest = colon < 0 ? text : text.slice(colon + "://".length);
  switch (protocol) {
    case "unix":
      if (rest === "") return { kind: "unix", path: defaultSocket };
      return { kind: "unix", path: rest };
    case "tcp":
    case "http":
    case "https": {
      const tls =
        protocol === "https" ? (tlsOf() ?? { verify: true }) : protocol === "tcp" ? tlsOf() : undefined;
      const address = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]]*))(?::(\d{1,5}))?\/?$/.exec(rest);
      const port = address?.[3] === undefined ? (tls ? 2376 : 2375) : Number(address[3]);
      if (!address || port < 1 || port > 65535) throw unparsable(text);
      const endpoint: Endpoint = { kind: "tcp", host: address[1] || address[2] || "127.0.0.1", port };
      if (tls) endpoint.tls = tls;
      return endpoint;
    }
    case "ssh":
      throw new NotImplemented(
        "ssh:// endpoints are not supported yet: forward the socket with `ssh -L` and use unix:// or tcp://",
      );
    case "npipe":
    case "fd":
      throw new NotImplemented(`${protocol}:// endpoints are not supported by this client`);
    default:
      throw unparsable(text);
  }
}

function unparsable(text: string): InvalidParameter {
  return new InvalidParameter(`unable to parse docker host \`${text}\``);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function tlsFromFlags(env: Environment, overrides: EndpointOverrides): Tls | undefined {
  const verify = overrides.tlsVerify ?? nonEmpty(env.DOCKER_TLS_VERIFY) !== undefined;
  if (!verify && !overrides.tls) return undefined;
  const directory = nonEmpty(env.DOCKER_CERT_PATH) ?? configDirectory(env, overrides);
  return {
    verify,
    ...(verify
      ? pemFile("ca", overrides.tlsCaCert ?? `${directory}/ca.pem`, overrides.tlsCaCert !== undefined)
      : {}),
    ...pemFile("cert", overrides.tlsCert ?? `${directory}/cert.pem`, overrides.tlsCert !== undefined),
    ...pemFile("key", overrides.tlsKey ?? `${directory}/key.pem`, overrides.tlsKey !== undefined),
  };
}

function pemFile(field: "ca" | "cert" | "key", path: string, required: boolean): Partial<Tls> {
  if (!required && !fs().existsSync(path)) return {};
  try {
    return { [field]: fs().readFileSync(path, "utf8") };
  } catch (error) {
    throw new InvalidParameter(`could not read ${path}`, { cause: error });
  }
}

function currentContext(directory: string): string | undefined {
  try {
    const config: unknown = JSON.parse(textIfAny(`${directory}/config.json`) ?? "{}");
    const name = (config as { currentContext?: unknown } | null)?.currentContext;
    return typeof name === "string" ? nonEmpty(name) : undefined;
  } catch {
    // A missing or broken file chooses no context; commands that need the file report what is wrong with it.
    return undefined;
  }
}

interface ContextMeta {
  Endpoints?: { docker?: { Host?: string; SkipTLSVerify?: boolean } };
}

/** The directory names of contexts are the sha256 of their names. */
export function contextId(name: string): string {
  return new Bun.CryptoHasher("sha256").update(name).digest("hex");
}

function contextEndpoint(directory: string, name: string): Endpoint {
  const id = contextId(name);
  let meta: ContextMeta;
  try {
    meta = JSON.parse(fs().readFileSync(`${directory}/contexts/meta/${id}/meta.json`, "utf8")) as ContextMeta;
  } catch (error) {
    throw new NotFound(`context ${JSON.stringify(name)}: context not found`, { cause: error });
  }
  const docker = meta.Endpoints?.docker;
  if (typeof docker?.Host !== "string")
    throw new InvalidParameter(`context ${JSON.stringify(name)} has no docker endpoint`);
  const material = `${directory}/contexts/tls/${id}/docker`;
  return parseHost(docker.Host, () => {
    if (!fs().existsSync(material) && !docker.SkipTLSVerify) return undefined;
    return {
      verify: !docker.SkipTLSVerify,
      ...pemFile("ca", `${material}/ca.pem`, false),
      ...pemFile("cert", `${material}/cert.pem`, false),
      ...pemFile("key", `${material}/key.pem`, false),
    };
  });
}
