/** What exists on the engine of a project, as far as planning needs it. Plain data: `run/observe.ts` fills it in. */

/** Docker Compose's own label names, so that either tool sees the other's projects. */
export const label = {
  project: "com.docker.compose.project",
  service: "com.docker.compose.service",
  number: "com.docker.compose.container-number",
  oneoff: "com.docker.compose.oneoff",
  configHash: "com.docker.compose.config-hash",
  image: "com.docker.compose.image",
  dependsOn: "com.docker.compose.depends_on",
  workingDir: "com.docker.compose.project.working_dir",
  configFiles: "com.docker.compose.project.config_files",
  environmentFiles: "com.docker.compose.project.environment_file",
  network: "com.docker.compose.network",
  volume: "com.docker.compose.volume",
  version: "com.docker.compose.version",
  replace: "com.docker.compose.replace",
  slug: "com.docker.compose.slug",
} as const;

/** The version of Docker Compose whose labels and hashes these are. */
export const composeVersion = "2.40.3";

export interface ObservedContainer {
  id: string;
  name: string;
  service: string;
  number: number;
  oneOff: boolean;
  /** `created`, `running`, `paused`, `restarting`, `exited`, `dead`, `removing`. */
  state: string;
  labels: Record<string, string>;
  /** Ids of the networks it is attached to. */
  networkIds: string[];
  /** Names of the volumes mounted into it. */
  volumes: string[];
  /** Seconds since the epoch. */
  created: number;
}

export interface ObservedNetwork {
  id: string;
  name: string;
  labels: Record<string, string>;
}

export interface ObservedVolume {
  name: string;
  labels: Record<string, string>;
}

export interface Observed {
  containers: ObservedContainer[];
  /** All networks and volumes whose names the project uses or which carry its label, by name. */
  networks: Record<string, ObservedNetwork>;
  volumes: Record<string, ObservedVolume>;
}
