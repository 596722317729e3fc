import type { SystemInfo } from "../../engine/types.ts";

/** What this program calls its own version. */
export const version = "0.1.0";

/** What `docker info` shows (definition "SystemInfo"). */
export function encodeInfo(info: SystemInfo, apiVersion: number) {
  const limits = info.limitSupport;
  return {
    ID: info.id,
    Containers: info.containers,
    ContainersRunning: info.running,
    ContainersPaused: info.paused,
    ContainersStopped: info.stopped,
    Images: info.images,
    Driver: "overlay2",
    DriverStatus: info.driverStatus,
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: info.logDrivers,
    },
    MemoryLimit: limits.memory,
    SwapLimit: limits.swap,
    CpuCfsPeriod: limits.cpuCfs,
    CpuCfsQuota: limits.cpuCfs,
    CPUShares: limits.cpuShares,
    CPUSet: limits.cpuset,
    PidsLimit: limits.pids,
    IPv4Forwarding: info.forwarding.ipv4,
    // A limit of its own that no kernel keeps any more (engine/containers/unsupported.ts).
    KernelMemory: false,
    // Since 1.42 left out where it isn't there.
    ...((apiVersion < 42 || limits.kernelMemoryTcp) && { KernelMemoryTCP: limits.kernelMemoryTcp }),
    BridgeNfIptables: info.forwarding.bridgedIpv4,
    BridgeNfIp6tables: info.forwarding.bridgedIpv6,
    Debug: info.debug,
    NFd: info.openFiles,
    OomKillDisable: limits.oomKillDisable,
    // Of what runs side by side in the daemon there is a number too.
    NGoroutines: info.threads,
    SystemTime: new Date().toISOString(),
    LoggingDriver: info.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: String(info.cgroupVersion),
    NEventsListener: info.eventListeners,
    KernelVersion: info.kernelVersion,
    OperatingSystem: info.operatingSystem,
    OSVersion: info.osVersion,
    OSType: "linux",
    Architecture: info.architecture,
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: {
      AllowNondistributableArtifactsCIDRs: null,
      AllowNondistributableArtifactsHostnames: null,
      IndexConfigs: {
        "docker.io": { Name: "docker.io", Mirrors: info.mirrors, Secure: true, Official: true },
        ...Object.fromEntries(
          info.insecureRegistries.map((name) => [
            name,
            { Name: name, Mirrors: [], Secure: false, Official: false },
          ]),
        ),
      },
      InsecureRegistryCIDRs: ["127.0.0.0/8", "::1/128"],
      Mirrors: info.mirrors,
    },
    NCPU: info.cpus,
    MemTotal: info.memoryTotal,
    GenericResources: null,
    DockerRootDir: info.dataRoot,
    HttpProxy: info.httpProxy,
    HttpsProxy: info.httpsProxy,
    NoProxy: info.noProxy,
    Name: info.name,
    Labels: info.labels,
    ExperimentalBuild: info.experimental,
    ServerVersion: version,
    Runtimes: info.runtimes,
    DefaultRuntime: info.defaultRuntime,
    Swarm: {
      NodeID: "",
      NodeAddr: "",
      LocalNodeState: "inactive",
      ControlAvailable: false,
      Error: "",
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "gantry-monitor",
    ContainerdCommit: commit(""),
    RuncCommit: commit(info.runtimeVersion),
    InitCommit: commit(""),
    // Until 1.25 they were bare names.
    SecurityOptions: [
      ...(info.appArmor ? ["name=apparmor"] : []),
      `name=seccomp,profile=${info.seccompProfile}`,
      ...(info.usernsRemap === undefined ? [] : ["name=userns"]),
      ...(info.cgroupNamespaces ? ["name=cgroupns"] : []),
      ...(info.noNewPrivileges ? ["name=no-new-privileges"] : []),
    ].map((option) => (apiVersion < 25 ? option.replace(/^name=([\w-]+).*$/, "$1") : option)),
    ProductLicense: "",
    FirewallBackend: { Driver: "nftables", Info: [] },
    CDISpecDirs: info.cdiDirectories,
    DiscoveredDevices: info.cdiDevices.map((id) => ({ Source: "cdi", ID: id })),
    DefaultAddressPools: info.addressPools.map(({ base, size }) => ({ Base: base, Size: size })),
    Warnings: info.warnings.length > 0 ? info.warnings : null,
  };
}

/** Which build of a part runs, and which was expected. */
const commit = (id: string) => ({ ID: id, Expected: id });
