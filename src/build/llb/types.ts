/**
 * Low-level definitions: what clients and front ends of BuildKit have steps written in (solver/pb/ops.proto), free of
 * how they travel. A definition is a graph of operations; each takes trees of files and gives some.
 */
import type { Digest } from "../../lib/digest.ts";
import type { ImageConfig, Platform } from "../../lib/oci.ts";
import type { SourceRange } from "../dockerfile/instructions.ts";
import type { ImageLayout } from "../types.ts";

/** One of an operation's outputs. */
export interface Edge {
  op: Digest;
  output: number;
}

export interface Definition {
  /** Acyclic; whatever an input names is there. */
  ops: ReadonlyMap<Digest, Op>;
  /** undefined: no files at all. */
  result?: Edge;
}

export interface Op {
  id: Digest;
  inputs: Edge[];
  /** For people; undefined: made from what it does. */
  name?: string;
  /** Done again, whatever is cached. */
  fresh: boolean;
  platform?: Platform;
  /** Where people wrote it. */
  range?: SourceRange;
  does: SourceOp | ExecOp | FileOp | BuildOp | MergeOp | DiffOp;
}

export interface SourceOp {
  type: "source";
  /** `docker-image://`, `local://`, `git://`, `http(s)://`, `oci-layout://`. */
  identifier: string;
  attrs: Record<string, string>;
}

export interface ExecOp {
  type: "exec";
  args: string[];
  env: string[];
  cwd: string;
  user: string;
  hostname: string;
  /** In the environment, but not in the cache's key. */
  proxies: string[];
  /** `host:address`. */
  extraHosts: string[];
  ulimits: { name: string; soft: number; hard: number }[];
  cgroupParent?: string;
  /** Exit codes that are no failure. */
  validExitCodes: number[];
  network: "default" | "host" | "none";
  insecure: boolean;
  secretEnv: { id: string; name: string; optional: boolean }[];
  devices: { name: string; required: boolean }[];
  mounts: ExecMount[];
}

interface MountPlace {
  target: string;
  /** Which of the op's outputs it becomes. */
  output?: number;
}

export type ExecMount = MountPlace &
  (
    | { type: "bind"; input?: number; selector: string; readonly: boolean }
    | {
        type: "cache";
        id: string;
        sharing: "shared" | "private" | "locked";
        input?: number;
        selector: string;
        readonly: boolean;
      }
    | { type: "tmpfs"; size?: number }
    | { type: "secret" | "ssh"; id: string; uid: number; gid: number; mode: number; required: boolean }
  );

export interface FileOp {
  type: "file";
  actions: FileAction[];
}

/** `input` counts the op's inputs, and then the results of its earlier actions; undefined: nothing is there yet. */
export interface FileAction {
  input?: number;
  output?: number;
  act:
    | {
        type: "copy";
        from: number;
        source: string;
        destination: string;
        owner?: Ownership;
        /** Octal or symbolic. */
        mode?: string;
        followLinks: boolean;
        contentsOnly: boolean;
        unpack: boolean;
        makeParents: boolean;
        wildcard: boolean;
        allowNone: boolean;
        replace: boolean;
        include: string[];
        exclude: string[];
        time?: Date;
      }
    | { type: "mkfile"; path: string; mode: number; data: Uint8Array; owner?: Ownership; time?: Date }
    | { type: "mkdir"; path: string; mode: number; makeParents: boolean; owner?: Ownership; time?: Date }
    | { type: "rm"; path: string; allowNone: boolean; wildcard: boolean }
    | { type: "symlink"; target: string; path: string; owner?: Ownership; time?: Date };
}

/** Names are looked up in one of the op's inputs. */
export interface Ownership {
  user?: { id: number } | { name: string; input?: number };
  group?: { id: number } | { name: string; input?: number };
}

/** The result of a definition that a file has. */
export interface BuildOp {
  type: "build";
  input: number;
  filename: string;
}

/** The layers of each, one upon the other. */
export interface MergeOp {
  type: "merge";
  inputs: number[];
}

/** What has to be laid upon `lower` to have `upper`. */
export interface DiffOp {
  type: "diff";
  lower?: number;
  upper?: number;
}

/** A build that is low-level definitions instead of a Dockerfile. */
export interface LowLevelBuild {
  /** One for each platform, under one index when there are several or they are named. */
  results: { platform?: Platform; definition: Definition; config?: ImageConfig }[];
  /** Where the files of `local://` sources are, by operation. */
  directories: Record<string, string>;
  /** Results of other builds, by the identifier of the source that stands for them. */
  layouts: Record<string, ImageLayout>;
  /** Reads a definition as it travels. @throws InvalidParameter, NotImplemented */
  parse(bytes: Uint8Array): Definition;
}
