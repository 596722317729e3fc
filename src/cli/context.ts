/** What a command gets: the engine's client, the environment and the standard streams. */
import {
  type ApiClient,
  configDirectory,
  createClient,
  type EndpointOverrides,
  endpointFromEnvironment,
} from "../api/client/index.ts";
import { InvalidParameter } from "../lib/errors.ts";
import { textIfAny } from "../lib/lazy-fs.ts";
import type { ReadComposeBuilds } from "./bake/compose.ts";
import { stderrFd, stdoutFd, writeAll } from "./terminal.ts";

/** The fields of `config.json` that this client reads. */
export interface ConfigFile {
  auths?: Record<string, { auth?: string; identitytoken?: string; registrytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  detachKeys?: string;
  psFormat?: string;
  imagesFormat?: string;
  networksFormat?: string;
  volumesFormat?: string;
  statsFormat?: string;
  currentContext?: string;
  HttpHeaders?: Record<string, string>;
  proxies?: Record<string, Record<string, string>>;
  [other: string]: unknown;
}

/** A failure whose message has been printed, or has none. */
export class ExitStatus extends Error {
  constructor(
    readonly code: number,
    message = "",
  ) {
    super(message);
  }
}

export class CliContext {
  #client: ApiClient | undefined;
  #config: ConfigFile | undefined;
  /** Done whenever a request is on its way: what is needed for the answer can load in that time. */
  whileWaiting: (() => void) | undefined;

  constructor(
    readonly env: Record<string, string | undefined>,
    readonly overrides: EndpointOverrides = {},
    /** How Compose files are read for what they build; undefined where that part isn't there. */
    readonly composeBuilds?: ReadComposeBuilds,
  ) {}

  /** The same engine and configuration with other variables. */
  withEnvironment(env: Record<string, string | undefined>): CliContext {
    const other = new CliContext(env, this.overrides, this.composeBuilds);
    other.#client = this.client;
    other.#config = this.config;
    return other;
  }

  get client(): ApiClient {
    this.#client ??= createClient(endpointFromEnvironment(this.env, this.overrides), {
      apiVersion: this.env.DOCKER_API_VERSION || undefined,
      headers: this.#headers(),
      whileWaiting: () => this.whileWaiting?.(),
    });
    return this.#client;
  }

  /** `HttpHeaders` of the configuration; `GANTRY_TOKEN` is the right that this client has been given. */
  #headers(): Record<string, string> {
    const token = this.env.GANTRY_TOKEN;
    return { ...this.config.HttpHeaders, ...(token && { authorization: `Bearer ${token}` }) };
  }

  get configDir(): string {
    return configDirectory(this.env, this.overrides);
  }

  /** `config.json`; empty when there is none. @throws InvalidParameter when it is no JSON */
  get config(): ConfigFile {
    this.#config ??= readConfig(`${this.configDir}/config.json`);
    return this.#config;
  }

  out(data: string | Uint8Array): void {
    writeAll(stdoutFd, data);
  }

  line(text: string): void {
    writeAll(stdoutFd, `${text}\n`);
  }

  /**
   * A listing, in whole lines. Written without node:fs, which takes a tenth of the time of `ps` to load. As with
   * Docker, it is no failure when nobody could be written to.
   */
  list(lines: string): void {
    if (lines !== "") console.log(lines.slice(0, -1));
  }

  err(text: string): void {
    writeAll(stderrFd, text);
  }
}

function readConfig(path: string): ConfigFile {
  const text = textIfAny(path);
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === "object") return value as ConfigFile;
  } catch (error) {
    throw new InvalidParameter(`loading config file: ${path}: ${error}`, { cause: error });
  }
  throw new InvalidParameter(`loading config file: ${path}: not an object`);
}
