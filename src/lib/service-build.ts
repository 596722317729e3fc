/**
 * What a service of a Compose file has to build: the seam between the program that reads Compose files and the one that
 * builds. The fields are those of `build` in the Compose Specification, in canonical form.
 */

export interface ServiceBuild {
  service: string;
  image?: string;
  /** An absolute path, or what a build takes besides. */
  context?: string;
  dockerfile?: string;
  dockerfile_inline?: string;
  args?: Record<string, string | null>;
  labels?: Record<string, string>;
  cache_from?: string[];
  cache_to?: string[];
  no_cache?: boolean;
  pull?: boolean;
  network?: string;
  target?: string;
  /** Bytes. */
  shm_size?: number;
  tags?: string[];
  platforms?: string[];
  extra_hosts?: Record<string, string[]>;
  ulimits?: Record<string, number | { soft: number; hard: number }>;
  /** `service:NAME` is what another service builds. */
  additional_contexts?: Record<string, string>;
  /** Null: the agent of the environment. */
  ssh?: Record<string, string | null>;
  /** Each from a file or a variable of the environment. */
  secrets?: { id: string; file?: string; environment?: string }[];
  entitlements?: string[];
  privileged?: boolean;
  /** `true`, `false`, or attributes: `mode=max`. */
  provenance?: string;
  sbom?: string;
  /** As it is written. */
  "x-bake"?: unknown;
}

/** Builds side by side, on one display. */
export interface BuildOrder {
  builds: ServiceBuild[];
  /** The project's variables: what secrets and arguments without a value are taken from. */
  env: Record<string, string>;
  /** What is done: images are built, Dockerfiles are checked, or the plan is printed as Bake's JSON. */
  call: "build" | "check" | "print";
  /** The kinds of `--progress` that `gantry build` has. */
  progress: string;
  /** Builds at once; 0 or less: no limit. */
  parallel: number;
  /** Limit of each step, in bytes. */
  memory?: number;
  /** The builder, by name; undefined: the engine itself. */
  builder?: string;
}

/** @returns the exit status: not 0 when a check has found something @throws what is wrong with a build, or in it */
export type BuildServices = (order: BuildOrder) => Promise<number>;
