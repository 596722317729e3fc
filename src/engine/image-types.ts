/** Images as the engine's callers see them; see types.ts. */
import type { Readable } from "node:stream";
import type { Digest } from "../lib/digest.ts";
import type { Descriptor, Platform } from "../lib/oci.ts";
import type { Credentials, FoundRepository } from "../registry/types.ts";
import type { ImageRecord, LayerWeight, Weights } from "../store/types.ts";
import type { Filters } from "./container-types.ts";

/** Progress of pull, push and load, in Docker's JSON message terms. */
export interface ProgressMessage {
  id?: string;
  status: string;
  /** Text to print as it is, instead of a status (load). */
  stream?: string;
  /** There, if empty, on every message of a layer: by it the docker CLI knows the lines that it writes anew. */
  progressDetail?: { current?: number; total?: number };
  aux?: object;
}
export type OnProgress = (message: ProgressMessage) => void;

export interface ImageSummary {
  record: ImageRecord;
  /** The manifest or index that its names stand for. */
  descriptor: Descriptor;
  repoTags: string[];
  repoDigests: string[];
  containers: number;
  /** Bytes in layers that other images have too; -1 when it was not asked for. */
  sharedSize: number;
  /** Bytes unpacked, of all platforms that are here; with `manifests` those of blobs as well. */
  size: number;
  /** Each manifest of the target, when asked for. */
  manifests?: ManifestSummary[];
}

/** A manifest of an image's target, here or not. Sizes in bytes. */
export interface ManifestSummary {
  descriptor: Descriptor;
  available: boolean;
  kind: "image" | "attestation" | "unknown";
  /** What of it is in the content store. */
  contentSize: number;
  image?: { platform: Platform; containers: string[]; unpackedSize: number };
  attestedFor?: Digest;
}

/** A statement about an image (in-toto), as BuildKit stores it. */
export interface Attestation {
  descriptor: Descriptor;
  predicateType: string;
  statement?: unknown;
}

/** What an inspection of an image tells besides. */
export interface ImageDetails {
  /** The directories of its tree, by overlay2's names for them. */
  layers: Record<string, string>;
}

/** A manifest or index in a registry. */
export interface RemoteManifest {
  /** With the platform, when it is an image's. */
  descriptor: Descriptor;
  bytes: Uint8Array;
  platforms: Platform[];
}

/** What makes an image big; sizes in bytes. */
export interface ImageWeight extends Weights {
  id: Digest;
  layers: (LayerWeight & { digest: Digest; compressed: number; createdBy: string })[];
}

export interface ImportOptions {
  repository?: string;
  tag?: string;
  /** Of the image's history; where it came from when empty. */
  message: string;
  /** Dockerfile instructions that are applied to the config. */
  changes: string[];
  platform?: Platform;
}

export interface EngineImages {
  list(options: {
    all: boolean;
    filters: Filters;
    manifests?: boolean;
    sharedSize?: boolean;
  }): ImageSummary[];
  /** By id, prefix or reference. @throws NotFound "No such image: x" */
  get(target: string, options?: { platform?: Platform; manifests?: boolean }): ImageSummary;
  /** The image of each platform that a name stands for and that is here. @throws NotFound */
  platforms(target: string): ImageRecord[];
  details(record: ImageRecord): ImageDetails;
  history(
    target: string,
    platform?: Platform,
  ): { id: string; createdAt: number; createdBy: string; tags: string[]; size: number; comment: string }[];
  /** One tag or digest, or all tags of the repository. */
  pull(
    reference: string,
    options: { allTags?: boolean; platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void>;
  /** All tags of a repository when `tag` is missing and `all`. */
  push(
    reference: string,
    options: { tag?: string; platform?: Platform; auth?: Credentials; signal: AbortSignal },
    onProgress: OnProgress,
  ): Promise<void>;
  tag(target: string, repository: string, tag: string): void;
  remove(
    target: string,
    options: { force: boolean; noPrune: boolean; platforms?: Platform[] },
  ): Promise<({ untagged: string } | { deleted: string })[]>;
  prune(
    filters: Filters,
  ): Promise<{ deleted: ({ untagged: string } | { deleted: string })[]; bytes: number }>;
  /** Docker archive that is an OCI layout too. */
  save(targets: string[], platforms: Platform[], signal: AbortSignal): Promise<Readable>;
  load(tar: Readable, platforms: Platform[], onProgress: OnProgress, signal: AbortSignal): Promise<void>;
  weigh(
    target: string,
    options: { platform?: Platform; limit: number },
    signal: AbortSignal,
  ): Promise<ImageWeight>;
  /** What BuildKit and others have stated about an image; `types` chooses by predicate. */
  attestations(
    target: string,
    options: { platform?: Platform; types: string[]; statement: boolean },
  ): Promise<Attestation[]>;
  importTar(tar: Readable, options: ImportOptions, signal: AbortSignal): Promise<Digest>;
  /** The archive is fetched from a URL of http or https, which is named in the image's history. */
  importUrl(
    url: string,
    options: ImportOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<Digest>;
  /** @throws NotImplemented when the registry can't be searched, InvalidParameter filters */
  search(
    term: string,
    options: { limit: number; filters: Filters; auth?: Credentials; signal: AbortSignal },
  ): Promise<FoundRepository[]>;
  /** Mounts an image read-only, unless it is. @returns the path @throws NotFound, InvalidParameter no layers */
  mount(target: string, platform?: Platform): string;
  /** @throws NotFound when it is not mounted */
  unmount(target: string, platform?: Platform): void;
  mounts(): { id: Digest; path: string }[];
  /** Asks the registry. @throws NotFound, Unauthorized, Unavailable */
  remoteManifest(
    reference: string,
    options: { auth?: Credentials; signal: AbortSignal },
  ): Promise<RemoteManifest>;
  /** Writes a list under a tag, and brings over manifests of other repositories (`sources`) that it names. */
  pushManifestList(
    reference: string,
    list: { mediaType: string; bytes: Uint8Array; sources: string[] },
    options: { auth?: Credentials; signal: AbortSignal },
  ): Promise<{ digest: string; brought: string[] }>;
  login(domain: string, auth: Credentials): Promise<{ status: string; identityToken?: string }>;
}
