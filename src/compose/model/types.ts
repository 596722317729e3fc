/**
 * A Compose project after loading: files read, variables filled, merged, short forms made long, paths absolute.
 * Field names are the Compose Specification's own and stand in the order in which `config` prints them, so that the
 * model, its printed form and its hash are one thing. Nothing here knows of an engine.
 *
 * Sizes are bytes, durations nanoseconds, modes numbers.
 */

/** Names that begin with `x-`: kept and printed, never used. */
export interface Extensions {
  [name: `x-${string}`]: unknown;
}

export interface Project {
  name: string;
  /** Absolute; relative paths of the first file count from here. */
  workingDir: string;
  /** Absolute, in the order given. */
  files: string[];
  /** What variables are filled from: the `.env` files below the caller's environment. */
  environment: Record<string, string>;
  /** Services in use, by name. */
  services: Record<string, Service>;
  /** Services left out because none of their profiles is active. */
  disabledServices: Record<string, Service>;
  networks: Record<string, NetworkConfig>;
  volumes: Record<string, VolumeConfig>;
  secrets: Record<string, FileObject>;
  configs: Record<string, FileObject>;
  models: Record<string, ModelConfig>;
  extensions: Extensions;
  /** What the user should know: obsolete or unsupported keys with their places, unset variables. */
  warnings: string[];
}

export interface Service extends Extensions {
  profiles?: string[];
  annotations?: Record<string, string>;
  attach?: boolean;
  build?: BuildConfig;
  develop?: Develop;
  blkio_config?: BlkioConfig;
  cap_add?: string[];
  cap_drop?: string[];
  cgroup_parent?: string;
  cgroup?: string;
  cpu_period?: number;
  cpu_quota?: number;
  cpu_rt_period?: number;
  cpu_rt_runtime?: number;
  cpus?: number;
  cpuset?: string;
  cpu_shares?: number;
  /** undefined: the image's; empty: none. */
  command?: string[];
  configs?: FileReference[];
  container_name?: string;
  depends_on?: Record<string, Dependency>;
  deploy?: Deploy;
  device_cgroup_rules?: string[];
  devices?: DeviceConfig[];
  dns?: string[];
  dns_opt?: string[];
  dns_search?: string[];
  domainname?: string;
  /** undefined: the image's; empty: none. */
  entrypoint?: string[];
  provider?: Provider;
  /** null: named without a value, and the environment has none either. */
  environment?: Record<string, string | null>;
  env_file?: EnvFile[];
  expose?: string[];
  external_links?: string[];
  extra_hosts?: Record<string, string[]>;
  group_add?: string[];
  gpus?: DeviceRequest[];
  hostname?: string;
  healthcheck?: Healthcheck;
  image?: string;
  init?: boolean;
  ipc?: string;
  labels?: Record<string, string>;
  label_file?: string[];
  links?: string[];
  logging?: Logging;
  mem_limit?: number;
  mem_reservation?: number;
  memswap_limit?: number;
  mem_swappiness?: number;
  mac_address?: string;
  models?: Record<string, ServiceModel | null>;
  network_mode?: string;
  networks?: Record<string, ServiceNetwork | null>;
  oom_kill_disable?: boolean;
  oom_score_adj?: number;
  pid?: string;
  pids_limit?: number;
  platform?: string;
  ports?: PortConfig[];
  privileged?: boolean;
  pull_policy?: string;
  read_only?: boolean;
  restart?: string;
  runtime?: string;
  scale?: number;
  secrets?: FileReference[];
  security_opt?: string[];
  shm_size?: number;
  stdin_open?: boolean;
  stop_grace_period?: number;
  stop_signal?: string;
  storage_opt?: Record<string, string>;
  sysctls?: Record<string, string>;
  tmpfs?: string[];
  tty?: boolean;
  ulimits?: Record<string, Ulimit>;
  use_api_socket?: boolean;
  user?: string;
  userns_mode?: string;
  uts?: string;
  volumes?: VolumeMount[];
  volumes_from?: string[];
  working_dir?: string;
  post_start?: Hook[];
  pre_stop?: Hook[];
}

export interface BuildConfig extends Extensions {
  context?: string;
  dockerfile?: string;
  dockerfile_inline?: string;
  entitlements?: string[];
  args?: Record<string, string | null>;
  /** `true`, `false`, or attributes. */
  provenance?: string;
  sbom?: string;
  /** Null: the agent of the environment. */
  ssh?: Record<string, string | null>;
  labels?: Record<string, string>;
  cache_from?: string[];
  cache_to?: string[];
  no_cache?: boolean;
  additional_contexts?: Record<string, string>;
  pull?: boolean;
  extra_hosts?: Record<string, string[]>;
  network?: string;
  target?: string;
  secrets?: FileReference[];
  shm_size?: number;
  tags?: string[];
  ulimits?: Record<string, Ulimit>;
  platforms?: string[];
  privileged?: boolean;
}

/** A command that runs in a container that has started, or is to stop. */
export interface Hook extends Extensions {
  command?: string[];
  user?: string;
  privileged?: boolean;
  working_dir?: string;
  environment?: Record<string, string | null>;
}

export interface Develop extends Extensions {
  watch?: WatchRule[];
}
export const watchActions = ["rebuild", "restart", "sync", "sync+restart", "sync+exec"] as const;
export interface WatchRule extends Extensions {
  /** Absolute. */
  path: string;
  action: (typeof watchActions)[number];
  /** Where files go in the container. */
  target?: string;
  exec?: Hook;
  /** Patterns as `.dockerignore` has them; given, nothing else counts. */
  include?: string[];
  ignore?: string[];
  initial_sync?: boolean;
}

export interface DeviceRequest extends Extensions {
  capabilities?: string[];
  driver?: string;
  /** -1: all. */
  count?: number;
  device_ids?: string[];
  options?: Record<string, string>;
}

/** Kept and printed only: nothing here serves models. */
export interface ModelConfig extends Extensions {
  name?: string;
  model?: string;
  context_size?: number;
  runtime_flags?: string[];
}
export interface ServiceModel extends Extensions {
  endpoint_var?: string;
  model_var?: string;
}

/** A program that brings the service up in its own way. */
export interface Provider extends Extensions {
  type?: string;
  options?: Record<string, string[]>;
}

export interface BlkioConfig extends Extensions {
  weight?: number;
  weight_device?: { path: string; weight: number }[];
  device_read_bps?: ThrottleDevice[];
  device_read_iops?: ThrottleDevice[];
  device_write_bps?: ThrottleDevice[];
  device_write_iops?: ThrottleDevice[];
}
export interface ThrottleDevice {
  path: string;
  rate: number;
}

/** A secret or config as a service uses it. */
export interface FileReference extends Extensions {
  source: string;
  target?: string;
  uid?: string;
  gid?: string;
  mode?: number;
}

export type Condition = "service_started" | "service_healthy" | "service_completed_successfully";

export interface Dependency extends Extensions {
  condition: Condition;
  restart?: boolean;
  required: boolean;
}

export interface Deploy extends Extensions {
  mode?: string;
  replicas?: number;
  labels?: Record<string, string>;
  resources?: { limits?: Resources; reservations?: Resources } & Extensions;
  restart_policy?: DeployRestart;
}
export interface Resources extends Extensions {
  cpus?: number;
  memory?: number;
  pids?: number;
  devices?: DeviceRequest[];
}
export interface DeployRestart extends Extensions {
  condition?: string;
  delay?: number;
  max_attempts?: number;
  window?: number;
}

export interface DeviceConfig extends Extensions {
  source: string;
  target?: string;
  permissions?: string;
}

export interface EnvFile {
  path: string;
  required: boolean;
  /** `raw`: no quotes, no variables. */
  format?: string;
}

export interface Healthcheck extends Extensions {
  test?: string[];
  timeout?: number;
  interval?: number;
  retries?: number;
  start_period?: number;
  start_interval?: number;
  disable?: boolean;
}

export interface Logging extends Extensions {
  driver?: string;
  options?: Record<string, string>;
}

export interface ServiceNetwork extends Extensions {
  aliases?: string[];
  driver_opts?: Record<string, string>;
  gw_priority?: number;
  interface_name?: string;
  ipv4_address?: string;
  ipv6_address?: string;
  link_local_ips?: string[];
  mac_address?: string;
  priority?: number;
}

export interface PortConfig extends Extensions {
  name?: string;
  mode?: string;
  host_ip?: string;
  target: number;
  /** A port or a range `8000-8010`; undefined: the engine chooses. */
  published?: string;
  protocol?: string;
  app_protocol?: string;
}

/** One number for both, or each. */
export type Ulimit = number | { soft: number; hard: number };

export interface VolumeMount extends Extensions {
  type: string;
  source?: string;
  target?: string;
  read_only?: boolean;
  consistency?: string;
  bind?: {
    selinux?: string;
    propagation?: string;
    create_host_path?: boolean;
    recursive?: string;
  } & Extensions;
  volume?: { labels?: Record<string, string>; nocopy?: boolean; subpath?: string } & Extensions;
  tmpfs?: { size?: number; mode?: number } & Extensions;
  image?: { subpath?: string } & Extensions;
}

export interface NetworkConfig extends Extensions {
  name?: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  ipam?: Ipam;
  external?: boolean;
  internal?: boolean;
  attachable?: boolean;
  labels?: Record<string, string>;
  enable_ipv4?: boolean;
  enable_ipv6?: boolean;
}
export interface Ipam extends Extensions {
  driver?: string;
  config?: IpamPool[];
  options?: Record<string, string>;
}
export interface IpamPool extends Extensions {
  subnet?: string;
  gateway?: string;
  ip_range?: string;
  aux_addresses?: Record<string, string>;
}

export interface VolumeConfig extends Extensions {
  name?: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  external?: boolean;
  labels?: Record<string, string>;
}

/** A secret or config: exactly one of file, environment, content or external. */
export interface FileObject extends Extensions {
  name?: string;
  file?: string;
  environment?: string;
  content?: string;
  external?: boolean;
  labels?: Record<string, string>;
  driver?: string;
  driver_opts?: Record<string, string>;
  template_driver?: string;
}
