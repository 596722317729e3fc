/** Which decoder reads which key. The order of keys is the order in which `config` prints them and the hash counts them. */
import {
  boolean,
  command,
  type Decoder,
  duration,
  integer,
  list,
  mode,
  nullable,
  number,
  object,
  record,
  type Shape,
  size,
  text,
} from "./decode.ts";
import { ComposeError } from "./errors.ts";
import * as model from "./types.ts";

const texts = list(text);
const textRecord = record(text);

const ulimit: Decoder<model.Ulimit> = (node, path) =>
  node.kind === "mapping"
    ? object<{ soft: number; hard: number }>({ soft: integer, hard: integer })(node, path)
    : integer(node, path);

const throttle = list(object<model.ThrottleDevice>({ path: text, rate: size }));

const reference = object<model.FileReference>({ source: text, target: text, uid: text, gid: text, mode });

const build = object<model.BuildConfig>({
  context: text,
  dockerfile: text,
  dockerfile_inline: text,
  entitlements: texts,
  args: record(nullable(text)),
  provenance: text,
  sbom: text,
  ssh: record(nullable(text)),
  labels: textRecord,
  cache_from: texts,
  cache_to: texts,
  no_cache: boolean,
  additional_contexts: textRecord,
  pull: boolean,
  extra_hosts: record(texts),
  network: text,
  target: text,
  secrets: list(reference),
  shm_size: size,
  tags: texts,
  ulimits: record(ulimit),
  platforms: texts,
  privileged: boolean,
});

const conditions = ["service_started", "service_healthy", "service_completed_successfully"] as const;
const condition: Decoder<model.Condition> = (node, path) => {
  const value = text(node, path);
  const known = conditions.find((name) => name === value);
  if (!known) throw ComposeError.at(node.at, `${path} must be one of ${conditions.join(", ")}`);
  return known;
};

const deviceCount: Decoder<number> = (node, path) =>
  node.kind === "scalar" && node.value === "all" ? -1 : integer(node, path);

const deviceRequests = list(
  object<model.DeviceRequest>({
    capabilities: texts,
    driver: text,
    count: deviceCount,
    device_ids: texts,
    options: textRecord,
  }),
);

const resources = object<model.Resources>({
  cpus: number,
  memory: size,
  pids: integer,
  devices: deviceRequests,
});

const hook = object<model.Hook>({
  command,
  user: text,
  privileged: boolean,
  working_dir: text,
  environment: record(nullable(text)),
});

const watchAction: Decoder<model.WatchRule["action"]> = (node, path) => {
  const value = text(node, path);
  const known = model.watchActions.find((name) => name === value);
  if (!known) throw ComposeError.at(node.at, `${path} must be one of ${model.watchActions.join(", ")}`);
  return known;
};

const develop = object<model.Develop>({
  watch: list(
    object<model.WatchRule>({
      path: text,
      action: watchAction,
      target: text,
      exec: hook,
      include: texts,
      ignore: texts,
      initial_sync: boolean,
    }),
  ),
});

const deploy = object<model.Deploy>({
  mode: text,
  replicas: integer,
  labels: textRecord,
  resources: object<NonNullable<model.Deploy["resources"]>>({ limits: resources, reservations: resources }),
  restart_policy: object<model.DeployRestart>({
    condition: text,
    delay: duration,
    max_attempts: integer,
    window: duration,
  }),
});

const volume = object<model.VolumeMount>({
  type: text,
  source: text,
  target: text,
  read_only: boolean,
  consistency: text,
  bind: object<NonNullable<model.VolumeMount["bind"]>>({
    selinux: text,
    propagation: text,
    create_host_path: boolean,
    recursive: text,
  }),
  volume: object<NonNullable<model.VolumeMount["volume"]>>({
    labels: textRecord,
    nocopy: boolean,
    subpath: text,
  }),
  tmpfs: object<NonNullable<model.VolumeMount["tmpfs"]>>({ size, mode }),
  image: object<NonNullable<model.VolumeMount["image"]>>({ subpath: text }),
});

const serviceNetwork = object<model.ServiceNetwork>({
  aliases: texts,
  driver_opts: textRecord,
  gw_priority: integer,
  interface_name: text,
  ipv4_address: text,
  ipv6_address: text,
  link_local_ips: texts,
  mac_address: text,
  priority: integer,
});

const port = object<model.PortConfig>({
  name: text,
  mode: text,
  host_ip: text,
  target: integer,
  published: text,
  protocol: text,
  app_protocol: text,
});

const serviceShape: Shape<model.Service> = {
  profiles: texts,
  annotations: textRecord,
  attach: boolean,
  build,
  develop,
  blkio_config: object<model.BlkioConfig>({
    weight: integer,
    weight_device: list(object<{ path: string; weight: number }>({ path: text, weight: integer })),
    device_read_bps: throttle,
    device_read_iops: throttle,
    device_write_bps: throttle,
    device_write_iops: throttle,
  }),
  cap_add: texts,
  cap_drop: texts,
  cgroup_parent: text,
  cgroup: text,
  cpu_period: integer,
  cpu_quota: integer,
  cpu_rt_period: integer,
  cpu_rt_runtime: integer,
  cpus: number,
  cpuset: text,
  cpu_shares: integer,
  command,
  configs: list(reference),
  container_name: text,
  depends_on: record(object<model.Dependency>({ condition, restart: boolean, required: boolean })),
  deploy,
  device_cgroup_rules: texts,
  devices: list(object<model.DeviceConfig>({ source: text, target: text, permissions: text })),
  dns: texts,
  dns_opt: texts,
  dns_search: texts,
  domainname: text,
  entrypoint: command,
  provider: object<model.Provider>({ type: text, options: record(texts) }),
  environment: record(nullable(text)),
  env_file: list(object<model.EnvFile>({ path: text, required: boolean, format: text })),
  expose: texts,
  external_links: texts,
  extra_hosts: record(texts),
  group_add: texts,
  gpus: deviceRequests,
  hostname: text,
  healthcheck: object<model.Healthcheck>({
    test: texts,
    timeout: duration,
    interval: duration,
    retries: integer,
    start_period: duration,
    start_interval: duration,
    disable: boolean,
  }),
  image: text,
  init: boolean,
  ipc: text,
  labels: textRecord,
  label_file: texts,
  links: texts,
  logging: object<model.Logging>({ driver: text, options: textRecord }),
  mem_limit: size,
  mem_reservation: size,
  memswap_limit: size,
  mem_swappiness: integer,
  mac_address: text,
  models: record(nullable(object<model.ServiceModel>({ endpoint_var: text, model_var: text }))),
  network_mode: text,
  networks: record(nullable(serviceNetwork)),
  oom_kill_disable: boolean,
  oom_score_adj: integer,
  pid: text,
  pids_limit: integer,
  platform: text,
  ports: list(port),
  privileged: boolean,
  pull_policy: text,
  read_only: boolean,
  restart: text,
  runtime: text,
  scale: integer,
  secrets: list(reference),
  security_opt: texts,
  shm_size: size,
  stdin_open: boolean,
  stop_grace_period: duration,
  stop_signal: text,
  storage_opt: textRecord,
  sysctls: textRecord,
  tmpfs: texts,
  tty: boolean,
  ulimits: record(ulimit),
  use_api_socket: boolean,
  user: text,
  userns_mode: text,
  uts: text,
  volumes: list(volume),
  volumes_from: texts,
  working_dir: text,
  post_start: list(hook),
  pre_stop: list(hook),
};

/** A service of a merged tree. */
export const service = object<model.Service>(serviceShape);

/** The order of a service's keys. */
export const serviceFields = Object.keys(serviceShape) as (keyof typeof serviceShape)[];

export const network = object<model.NetworkConfig>({
  name: text,
  driver: text,
  driver_opts: textRecord,
  ipam: object<model.Ipam>({
    driver: text,
    config: list(
      object<model.IpamPool>({ subnet: text, gateway: text, ip_range: text, aux_addresses: textRecord }),
    ),
    options: textRecord,
  }),
  external: boolean,
  internal: boolean,
  attachable: boolean,
  labels: textRecord,
  enable_ipv4: boolean,
  enable_ipv6: boolean,
});

export const namedVolume = object<model.VolumeConfig>({
  name: text,
  driver: text,
  driver_opts: textRecord,
  external: boolean,
  labels: textRecord,
});

export const fileObject = object<model.FileObject>({
  name: text,
  file: text,
  environment: text,
  content: text,
  external: boolean,
  labels: textRecord,
  driver: text,
  driver_opts: textRecord,
  template_driver: text,
});

export const modelConfig = object<model.ModelConfig>({
  name: text,
  model: text,
  context_size: integer,
  runtime_flags: texts,
});
