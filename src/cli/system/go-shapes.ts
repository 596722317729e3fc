/** What `info`, `version` and `events` show, in the types of Docker's client: see ../go-shapes.ts. */
import { declareTypes } from "../template/go-types.ts";

export const systemShapes = declareTypes({
  "system.dockerInfo": `
    *Info
    ServerErrors []string ,omitempty
    UserName string -
    ClientInfo *clientInfo
    ClientErrors []string ,omitempty`,
  "system.Info": `
    ID string
    Containers int
    ContainersRunning int
    ContainersPaused int
    ContainersStopped int
    Images int
    Driver string
    DriverStatus [][]string
    SystemStatus [][]string ,omitempty
    Plugins PluginsInfo
    MemoryLimit bool
    SwapLimit bool
    KernelMemory bool ,omitempty
    KernelMemoryTCP bool ,omitempty
    CPUCfsPeriod bool CpuCfsPeriod
    CPUCfsQuota bool CpuCfsQuota
    CPUShares bool
    CPUSet bool
    PidsLimit bool
    IPv4Forwarding bool
    Debug bool
    NFd int
    OomKillDisable bool
    NGoroutines int
    SystemTime string
    LoggingDriver string
    CgroupDriver string
    CgroupVersion string ,omitempty
    NEventsListener int
    KernelVersion string
    OperatingSystem string
    OSVersion string
    OSType string
    Architecture string
    IndexServerAddress string
    RegistryConfig any
    NCPU int
    MemTotal int
    GenericResources []any
    DockerRootDir string
    HTTPProxy string HttpProxy
    HTTPSProxy string HttpsProxy
    NoProxy string
    Name string
    Labels []string
    ExperimentalBuild bool
    ServerVersion string
    Runtimes map[]RuntimeWithStatus
    DefaultRuntime string
    Swarm SwarmInfo
    LiveRestoreEnabled bool
    Isolation string
    InitBinary string
    ContainerdCommit Commit
    RuncCommit Commit
    InitCommit Commit
    SecurityOptions []string
    ProductLicense string ,omitempty
    DefaultAddressPools []NetworkAddressPool ,omitempty
    FirewallBackend *FirewallInfo ,omitempty
    CDISpecDirs []string
    DiscoveredDevices []any ,omitempty
    Containerd *any ,omitempty
    Warnings []string`,
  "system.PluginsInfo": `
    Volume []string
    Network []string
    Authorization []string
    Log []string`,
  "system.RuntimeWithStatus": `
    Runtime
    Status map[]string status,omitempty`,
  "system.Runtime": `
    Path string path,omitempty
    Args []string runtimeArgs,omitempty
    Type string runtimeType,omitempty
    Options map[]any options,omitempty`,
  "swarm.SwarmInfo": `
    NodeID string
    NodeAddr string
    LocalNodeState string
    ControlAvailable bool
    Error string
    RemoteManagers []any
    Nodes int ,omitempty
    Managers int ,omitempty
    Cluster *any ,omitempty
    Warnings []string ,omitempty`,
  "system.Commit": `
    ID string
    Expected string ,omitempty`,
  "system.NetworkAddressPool": `
    Base string
    Size int`,
  "system.FirewallInfo": `
    Driver string
    Info [][]string ,omitempty`,
  "system.clientInfo": `
    Debug bool
    clientVersion
    Plugins []any
    Warnings []string`,
  "system.clientVersion": `
    Platform *VersionPlatform ,omitempty
    Version string ,omitempty
    APIVersion string ApiVersion,omitempty
    DefaultAPIVersion string ,omitempty
    GitCommit string ,omitempty
    Runtime string ,omitempty
    Os string ,omitempty
    Arch string ,omitempty
    BuildTime string ,omitempty
    Context string`,
  "types.VersionPlatform": `
    Name string`,
  "system.versionInfo": `
    Client clientVersion
    Server *Version`,
  "types.Version": `
    Platform VersionPlatform ,omitempty
    Components []ComponentVersion ,omitempty
    Version string
    APIVersion string ApiVersion
    MinAPIVersion string ,omitempty
    GitCommit string
    GoVersion string
    Os string
    Arch string
    KernelVersion string ,omitempty
    Experimental bool ,omitempty
    BuildTime string ,omitempty`,
  "types.ComponentVersion": `
    Name string
    Version string
    Details map[]string ,omitempty`,
  "events.Message": `
    Status string status,omitempty
    ID string id,omitempty
    From string from,omitempty
    Type string
    Action string
    Actor Actor
    Scope string scope,omitempty
    Time int time,omitempty
    TimeNano int timeNano,omitempty`,
  "events.Actor": `
    ID string
    Attributes map[]string`,
});
