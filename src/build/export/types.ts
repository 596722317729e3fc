/** What may become of a build's result. The same for every way in; `parse.ts` reads the clients' words for it. */
import type { Readable } from "node:stream";
import type { Digest } from "../../lib/digest.ts";
import type { Descriptor, Platform } from "../../lib/oci.ts";

/** How layers are packed. */
export interface LayerFormat {
  compression: "gzip" | "zstd" | "none";
  /** The compressor's own scale; undefined: fast. */
  level?: number;
  /** Later modification times become this one (seconds since the epoch). */
  epoch?: number;
}

/** Where an annotation goes: into a document, or beside the digest that points at it. */
export type AnnotationLevel = "manifest" | "index" | "manifest-descriptor" | "index-descriptor";

export interface Annotation {
  level: AnnotationLevel;
  /** Only for this platform's manifest. */
  platform?: Platform;
  key: string;
  value: string;
}

/** How an image is written, wherever it goes. */
export interface ImageFormat extends LayerFormat {
  /** Layers of the base image too are brought to `compression`. */
  force: boolean;
  /** Media types of OCI; else Docker's. */
  oci: boolean;
  /** False: files keep their times though the build has an epoch. */
  rewriteTimestamps: boolean;
  annotations: Annotation[];
}

export type Output =
  | {
      type: "image";
      /** References, normalized by who takes them in. */
      names: string[];
      /** Kept in the image store, with the names. */
      store: boolean;
      push: boolean;
      /** Pushed under its digest alone; the tags of `names` are not written. */
      pushByDigest: boolean;
      /** In the store it is named by its digest too. */
      nameCanonical: boolean;
      format: ImageFormat;
    }
  | {
      type: "oci" | "docker";
      names: string[];
      /** The client makes a directory of the archive (`tar=false`). */
      directory: boolean;
      format: ImageFormat;
    }
  /** The target's files; `platformSplit`: those of each platform in a directory of its own (`linux_arm64`). */
  | {
      type: "tar" | "local";
      platformSplit: boolean;
      /** What goes before the names of files with statements about the result. */
      attestationPrefix: string;
    }
  /** The cache is all that remains. */
  | { type: "cacheonly" };

export type ImageOutput = Extract<Output, { format: ImageFormat }>;

/** Files on their way to the client, there until they are delivered. */
export interface OutputFiles {
  /**
   * Of `local`: each directory's files go below `path` of the client's (`""`: right into it), and those of `beside`
   * with them. `snapshot` is what is mounted at `root`; none: it is empty.
   */
  trees?: { path: string; root: string; snapshot?: string; beside?: string }[];
  /** Of `oci` and `docker`: the blobs of the image, each after those that it names. */
  layout?: { blobs: Descriptor[]; open(digest: Digest): Readable };
  /** All as one tar archive: of `oci` and `docker` an image layout, of the others the files. */
  archive(): Readable;
}

/** An output, with the way to the client when it goes there. */
export interface OutputRequest {
  output: Output;
  deliver?(files: OutputFiles, signal: AbortSignal): Promise<void>;
}

/** An image that was written. */
export interface ExportedImage {
  /** Of the manifest, or of the index that has the manifests of all platforms. */
  descriptor: Descriptor;
  /** The image's config; of several platforms that which suits this machine best. */
  configDigest: Digest;
  /** In the order of the platforms that were asked for. */
  manifests: { platform: Platform; descriptor: Descriptor; configDigest: Digest }[];
  /** Predicates of the provenance that goes along, in the same order; empty without. */
  provenance: object[];
  names: string[];
}
