import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cpus, hostname, release, totalmem } from "node:os";
import { currentProxies } from "../lib/outgoing.ts";
import { appArmorIsOn } from "../linux/process.ts";
import { cdiDevices, cdiDirectories } from "../runtime/index.ts";
import { logDrivers } from "./containers/log-config.ts";
import type { Context } from "./context.ts";
import { kernelWarnings } from "./kernel-warnings.ts";
import type { SystemInfo } from "./types.ts";

/** What does not change while the daemon runs. */
function hostFacts() {
  const osRelease = Object.fromEntries(
    (existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "")
      .split("\n")
      .map((line) => /^(\w+)="?(.*?)"?$/.exec(line))
      .filter((match) => match !== null)
      .map((match) => [match[1]!, match[2]!]),
  );
  return {
    name: hostname(),
    kernelVersion: release(),
    operatingSystem: osRelease.PRETTY_NAME ?? "Linux",
    osVersion: osRelease.VERSION_ID ?? "",
    architecture: process.arch === "x64" ? "x86_64" : process.arch === "arm64" ? "aarch64" : process.arch,
    cpus: cpus().length,
    memoryTotal: totalmem(),
    appArmor: appArmorIsOn(),
  };
}

/** The facts of `docker info` that only the engine knows. */
export class Info {
  readonly #facts = hostFacts();
  readonly #startedAt = Date.now();

  constructor(
    private readonly context: Context,
    private readonly id: string,
    private readonly statuses: () => string[],
  ) {}

  read(): SystemInfo {
    const { options, runtime, store, network, events } = this.context;
    const statuses = this.statuses();
    const count = (...wanted: string[]) => statuses.filter((status) => wanted.includes(status)).length;
    const running = count("running", "restarting");
    const paused = count("paused");
    const proxies = currentProxies();
    const { limitSupport, cgroupVersion } = runtime;
    const { forwarding } = network;
    return {
      ...this.#facts,
      id: this.id,
      dataRoot: options.dataRoot,
      containers: statuses.length,
      running,
      paused,
      stopped: statuses.length - running - paused,
      images: store.images.list().length,
      driverStatus: store.driverStatus(),
      cgroupVersion,
      limitSupport,
      forwarding,
      defaultRuntime: runtime.name,
      runtimes: runtime.programs(),
      runtimeVersion: runtime.version,
      mirrors: options.registryMirrors,
      insecureRegistries: options.insecureRegistries,
      labels: options.labels,
      startedAt: this.#startedAt,
      seccompProfile: options.seccomp.name,
      cgroupNamespaces: cgroupNamespaceMode(this.context) === "private",
      noNewPrivileges: options.noNewPrivileges,
      debug: options.debug,
      experimental: options.experimental,
      usernsRemap: this.context.remap?.name,
      openFiles: readdirSync("/proc/self/fd").length,
      threads: readdirSync("/proc/self/task").length,
      warnings: [...options.warnings, ...kernelWarnings(limitSupport, cgroupVersion, forwarding.ipv4)],
      eventListeners: events.listeners,
      httpProxy: proxies.http ?? "",
      httpsProxy: proxies.https ?? "",
      noProxy: proxies.no ?? "",
      addressPools: options.addressPools,
      logDriver: options.logDriver,
      logDrivers: [...logDrivers],
      cdiDirectories,
      cdiDevices: cdiDevices(),
    };
  }
}

/** Of containers that ask for none. Docker's default: the host's on cgroup v1, one of their own on v2. */
export function cgroupNamespaceMode({ options, runtime }: Pick<Context, "options" | "runtime">) {
  return options.cgroupnsMode ?? (runtime.cgroupVersion === 1 ? "host" : "private");
}
