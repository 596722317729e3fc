/** What the daemon's thread and the layer workers say to each other. */
import type { Digest } from "../../lib/digest.ts";
import type { ErrorKind } from "../../lib/errors.ts";
import type { IdMap } from "../../lib/id-map.ts";
import type { ByteString } from "../../lib/tar/index.ts";
import type { FileDigests, LayerLimits, Weights } from "../types.ts";
import type { ArrivingFile } from "./arriving.ts";

/** Every job by name: what it's given and what it answers. */
export interface Jobs {
  unpack: {
    /**
     * `hash`: whether the digest of the uncompressed bytes is asked for. `read`: one BigInt64, where the job notes how
     * many bytes of the blob it has read.
     */
    task: {
      blob: string | ArrivingFile;
      directory: string;
      hash: boolean;
      limits: LayerLimits;
      read?: SharedArrayBuffer;
    };
    /** `implied`: directories that the archive needed and did not describe. */
    result: { size: number; implied: ByteString[]; diffId: Digest | undefined };
  };
  inherit: { task: { directory: string; lower: string[]; paths: ByteString[] }; result: undefined };
  extract: {
    task: {
      directory: string;
      limits?: LayerLimits;
      owner?: { uid: number; gid: number };
      idMap?: IdMap;
      noOverwriteDirNonDir?: boolean;
      digests?: boolean;
    };
    /** `layers`: digests of the arriving files that are complete, by key. */
    result: { digests: FileDigests; layers: Map<number, Digest> };
  };
  receiveContext: {
    task: { directory: string; limits?: LayerLimits };
    /** Of files' content, by inode number. */
    result: Map<number, string>;
  };
  pack: {
    task: {
      directory: string;
      lower: string[];
      /** Written whole, without being synced. */
      target: string;
      compression: "gzip" | "zstd" | "none";
      level?: number;
      epoch?: number;
    };
    result: { digest: Digest; diffId: Digest; size: number };
  };
  recompress: {
    task: { blob: string; target: string; compression: "gzip" | "zstd" | "none"; level?: number };
    result: { digest: Digest; diffId: Digest; size: number };
  };
  archive: { task: { root: string; path: string; as?: string; idMap?: IdMap }; result: undefined };
  digest: { task: { path: string }; result: Digest };
  weigh: { task: { blobs: string[]; limit: number }; result: Weights };
  measure: { task: { directory: string }; result: { bytes: number; inodes: number } };
}

export type JobName = keyof Jobs;
export type JobRequest = { [N in JobName]: { name: N; task: Jobs[N]["task"] } }[JobName];

/** Chunks of a job's byte stream that may be on their way before the receiver has asked for more. */
export const streamWindow = 4;
/** Bytes of the buffers that a job's input comes in, which go back with the credit. */
export const chunkSize = 256 << 10;

export type ToWorker =
  | { type: "start"; id: number; request: JobRequest }
  | { type: "abort"; id: number }
  | { type: "input"; id: number; bytes: Uint8Array | undefined }
  /** One more chunk of output is welcome. */
  | { type: "credit"; id: number };

export type FromWorker =
  | { type: "done"; id: number; result: unknown }
  | { type: "failed"; id: number; kind: ErrorKind | undefined; message: string; code: string | undefined }
  | { type: "output"; id: number; bytes: Uint8Array }
  /** A file has begun that others may read while it comes. */
  | { type: "arriving"; id: number; file: ArrivingFile }
  /** One more chunk of input is welcome; the buffer of an earlier one may be filled again. */
  | { type: "credit"; id: number; buffer: ArrayBuffer };
