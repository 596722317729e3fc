/** The registry client: what the contract promises, over endpoints that are found once for each domain. */
import { Internal, Unauthorized } from "../../lib/errors.ts";
import { defaultDomain } from "../../lib/reference.ts";
import type {
  CreateRegistryClient,
  Credentials,
  FoundRepository,
  RegistryClient,
  RegistryClientOptions,
} from "../types.ts";
import { type Endpoint, endpointsOf, HostPolicy } from "./endpoints.ts";
import { readFault } from "./errors.ts";
import { Repository } from "./repository.ts";
import { searchCatalog, searchIndex } from "./search.ts";
import { Transport } from "./transport.ts";

/** Docker Hub's search; its images are at another host. */
const indexHost = "index.docker.io";

export const createRegistryClient: CreateRegistryClient = (options) => new Client(options);

class Client implements RegistryClient {
  #policy!: HostPolicy;
  #mirrors: string[] = [];
  readonly #userAgent: string;

  constructor(private readonly options: RegistryClientOptions) {
    this.configure(options);
    this.#userAgent = options.userAgent ?? "gantry";
  }

  configure({ mirrors = [], insecure = [] }: Pick<RegistryClientOptions, "mirrors" | "insecure">): void {
    this.#policy = new HostPolicy(insecure, this.options.certDirs);
    this.#mirrors = mirrors;
  }

  repository(name: { domain: string; path: string }, auth: Credentials = {}): Repository {
    let found: Promise<{ mirrors: Transport[]; registry: Transport }> | undefined;
    const connect = async () => {
      const endpoints = await endpointsOf(name.domain, this.#mirrors, this.#policy);
      return {
        // The user's password is for the registry; a mirror is somebody else.
        mirrors: endpoints.mirrors.map((endpoint) => this.#transport(endpoint, {})),
        registry: this.#transport(endpoints.registry, auth),
      };
    };
    return new Repository(name, () => {
      found ??= connect();
      return found;
    });
  }

  async search(
    domain: string,
    term: string,
    options: { limit: number; auth?: Credentials; signal?: AbortSignal },
  ): Promise<FoundRepository[]> {
    const { limit, auth = {}, signal } = options;
    if (domain === defaultDomain) {
      const index = this.#transport({ origins: [`https://${indexHost}`], prefix: "", mirror: false }, auth);
      return searchIndex(index, term, limit, signal);
    }
    const { registry } = await endpointsOf(domain, [], this.#policy);
    return searchCatalog(this.#transport(registry, auth), domain, term, limit, signal);
  }

  async login(domain: string, auth: Credentials): Promise<{ status: string; identityToken?: string }> {
    const { registry } = await endpointsOf(
      domain === "index.docker.io" ? defaultDomain : domain,
      [],
      this.#policy,
    );
    const transport = this.#transport(registry, auth, true);
    const response = await transport.send({ method: "GET", target: "/v2/" });
    if (response.ok) {
      await response.body?.cancel();
      return { status: "Login Succeeded", identityToken: transport.authorizer.identityToken };
    }
    const fault = await readFault(response);
    const text = `login attempt to ${transport.origin}/v2/ failed with status: ${response.status} ${response.statusText}`;
    throw fault.status === 401 || fault.status === 403 ? new Unauthorized(text) : new Internal(text);
  }

  #transport(endpoint: Endpoint, credentials: Credentials, offline = false): Transport {
    return new Transport({
      endpoint,
      credentials,
      policy: this.#policy,
      userAgent: this.#userAgent,
      offline,
    });
  }
}
