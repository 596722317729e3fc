import type { SystemInfo } from "../../engine/types.ts";

/** What this program calls its own version. */
export const version = "0.1.0";

/** What `docker info` shows (definition "SystemInfo"). */
export function encodeInfo(info: SystemInfo, apiVersion: number) {
  return {
    ID: info.id,
    Containers: info.containers,
    ContainersRunning: info.running,
    ContainersPaused: info.paused,
    ContainersStopped: info.stopped,
    Images: info.images,
    Driver: "overlay2",
    DriverStatus: [["Backing Filesystem", "overlayfs"]],
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "null"],
      Authorization: null,
      Log: info.logDrivers,
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    KernelMemory: false,
    KernelMemoryTCP: false,
    BridgeNfIptables: false,
    BridgeNfIp6tables: false,
    Debug: info.debug,
    NFd: 0,
    OomKillDisable: info.cgroupVersion === "1",
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: info.logDriver,
    CgroupDriver: "cgroupfs",
    CgroupVersion: info.cgroupVersion,
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
      `name=seccomp,profile=${info.seccompProfile}`,
      ...(info.noNewPrivileges ? ["name=no-new-privileges"] : []),
      ...(info.usernsRemap === undefined ? [] : ["name=userns"]),
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
