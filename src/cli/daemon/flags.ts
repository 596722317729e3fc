/** What `gantry daemon` can be told: dockerd's flags, each with its key in daemon.json. */
import type { Flags } from "../command.ts";

export const daemonFlags = {
  "allow-insecure-tcp": {
    kind: "bool",
    help: "Serve TCP without TLS: whoever reaches the port is root on this machine",
  },
  bip: { kind: "string", help: "Address of the default bridge, in CIDR notation (10.1.2.1/24)" },
  bridge: { kind: "string", short: "b", default: "gantry0", help: "Link of the default bridge" },
  "config-file": { kind: "string", default: "/etc/gantry/daemon.json", help: "Configuration file" },
  "data-root": { kind: "string", default: "/var/lib/gantry", help: "Directory of persistent state" },
  "default-address-pool": {
    kind: "list",
    value: "pool-options",
    help: "Pool for the subnets of networks (base=10.5.0.0/16,size=24)",
  },
  "default-runtime": {
    kind: "string",
    help: "OCI runtime of containers (default: crun, and runc where it is missing)",
  },
  "default-shm-size": { kind: "bytes", default: "64m", help: "Size of /dev/shm in containers" },
  "default-ulimit": { kind: "list", value: "ulimit", help: "Limits of containers (nofile=1024:2048)" },
  dns: { kind: "list", help: "Name servers of containers" },
  "exec-root": { kind: "string", default: "/run/gantry", help: "Directory of state that ends with a reboot" },
  group: { kind: "string", short: "G", help: "Group that may use the unix socket" },
  host: { kind: "list", short: "H", help: "Where to serve: unix:///path, tcp://host:port" },
  init: { kind: "bool", help: "Run an init in containers that forwards signals and reaps processes" },
  "insecure-registry": { kind: "list", help: "Registries to reach over HTTP (host:port, or a subnet)" },
  label: { kind: "list", help: "Labels of this daemon (key=value)" },
  "log-driver": { kind: "string", default: "json-file", help: "Log driver of containers" },
  "log-opt": { kind: "list", help: "Options of the log driver (max-size=10m)" },
  pidfile: { kind: "string", short: "p", help: "File for the daemon's process id" },
  "registry-mirror": { kind: "list", help: "Mirrors of the default registry, by URL" },
  "require-token": {
    kind: "list",
    value: "host",
    help: "Serve nobody without a token there; one of the -H (gantry token create)",
  },
  tls: { kind: "bool", help: "Use TLS on TCP; implied by --tlsverify" },
  tlscacert: { kind: "string", help: "Certificates of the authorities that clients are signed by" },
  tlscert: { kind: "string", help: "The daemon's certificate" },
  tlskey: { kind: "string", help: "The daemon's key" },
  tlsverify: { kind: "bool", help: "Use TLS, and require a certificate of clients" },
  "userns-remap": {
    kind: "string",
    value: "user",
    help: "Give containers the subordinate ids of USER[:GROUP], or of dockremap (default)",
  },
  validate: { kind: "bool", help: "Check the configuration, and exit" },
} as const satisfies Flags;
