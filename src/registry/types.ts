/** OCI distribution 1.1, client side. The server is `registry/server/`. */
import type { Readable } from "node:stream";
import type { Digest } from "../lib/digest.ts";
import type { Descriptor } from "../lib/oci.ts";
import type { RegistrySettings } from "./server/options.ts";

export interface Credentials {
  username?: string;
  password?: string;
  /** An OAuth2 refresh token. */
  identityToken?: string;
  /** A bearer token used as it is. */
  registryToken?: string;
}

/** Where and how a registry is reached. */
export interface RegistryClientOptions {
  /** Mirrors tried first for `docker.io`: `http://127.0.0.1:5001`. */
  mirrors?: string[];
  /** Hosts (or CIDRs) spoken to over plain HTTP or unverified TLS. 127.0.0.0/8 and localhost always are. */
  insecure?: string[];
  userAgent?: string;
  /** Folders of `<host>/{*.crt,*.cert,*.key}`; /etc/docker/certs.d and /etc/gantry/certs.d when not given. */
  certDirs?: string[];
}

/** One repository at one registry, with authentication, retries and redirects taken care of. */
export interface RepositoryClient {
  /** Where the last answer came from, e.g. a mirror; for messages. */
  readonly endpoint: string;
  /** @throws NotFound manifest unknown, Unauthorized, Forbidden, Unavailable when no endpoint answers */
  manifest(reference: string, signal?: AbortSignal): Promise<{ descriptor: Descriptor; bytes: Uint8Array }>;
  /**
   * What the registry has under a tag or digest, without fetching it: no pull as registries count them.
   * @returns undefined when the registry does not say the digest
   * @throws as `manifest`
   */
  manifestDigest(reference: string, signal?: AbortSignal): Promise<Digest | undefined>;
  /** All tags, in the registry's order. @throws as `manifest` */
  tags(signal?: AbortSignal): Promise<string[]>;
  /**
   * Manifests whose subject is this one, where the last manifest came from: by the API, or by the tag that stands for
   * it at registries without. None where neither is there. @throws Unauthorized, Unavailable
   */
  referrers(subject: Digest, signal?: AbortSignal): Promise<Descriptor[]>;
  hasBlob(digest: Digest, signal?: AbortSignal): Promise<number | undefined>;
  /** Streams a blob from `offset`; retries are the caller's (it knows the offset). Not verified here. */
  blob(descriptor: Descriptor, offset?: number, signal?: AbortSignal): Promise<Readable>;
  /**
   * Uploads unless it is there; `mountFrom` tries a cross-repository mount. `open` may be called again on retry.
   * `onProgress` gets the bytes of the blob sent so far; after a retry the number may be smaller.
   */
  pushBlob(
    descriptor: Descriptor,
    open: () => Readable,
    options?: { mountFrom?: string; onProgress?: (bytes: number) => void; signal?: AbortSignal },
  ): Promise<"pushed" | "exists" | "mounted">;
  /** One with a subject is listed as its referrer, by ourselves where the registry does not know how. */
  pushManifest(
    reference: string,
    bytes: Uint8Array,
    mediaType: string,
    signal?: AbortSignal,
  ): Promise<Digest>;
}

/** A repository that a search has found. */
export interface FoundRepository {
  name: string;
  description: string;
  stars: number;
  official: boolean;
  automated: boolean;
}

export interface RegistryClient {
  /** `domain/path` as lib/reference gives it. */
  repository(name: { domain: string; path: string }, auth?: Credentials): RepositoryClient;
  /** For what is asked from now on. @throws InvalidParameter for a malformed CIDR: nothing has changed then */
  configure(options: Pick<RegistryClientOptions, "mirrors" | "insecure">): void;
  /**
   * Repositories that fit `term`: of Docker Hub, or of another registry's catalog.
   * @throws NotImplemented when the registry can't be searched
   */
  search(
    domain: string,
    term: string,
    options: { limit: number; auth?: Credentials; signal?: AbortSignal },
  ): Promise<FoundRepository[]>;
  /** Checks credentials (POST /auth). @throws Unauthorized */
  login(domain: string, auth: Credentials): Promise<{ status: string; identityToken?: string }>;
}
/** Exported by registry/index.ts. */
export type CreateRegistryClient = (options: RegistryClientOptions) => RegistryClient;

export interface RegistryServer extends AsyncDisposable {
  /** Bound address, e.g. `127.0.0.1:5001`. */
  readonly address: string;
}

/** Our own, in this process. */
export interface ServedRegistry extends RegistryServer {
  /** Reads certificate and key anew. @throws InvalidParameter, Unavailable; the old ones stay then */
  reload(): Promise<void>;
}
/** Exported by registry/index.ts. Only `addr` and `root` are needed: files below `root`, open to all who reach it. */
export type ServeRegistry = (settings: RegistrySettings) => Promise<ServedRegistry>;
export type { RegistrySettings };
