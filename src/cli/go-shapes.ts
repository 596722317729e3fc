/**
 * The engine's answers in the types that Docker's client decodes them into (Moby's api/types, 28.x): which fields a
 * template can ask for, what they are when the answer lacks them, and in which order they are shown.
 */
import { declareTypes } from "./template/go-types.ts";

export const shapes = declareTypes({
  "container.InspectResponse": `
    *ContainerJSONBase
    Mounts []MountPoint
    Config *Config
    NetworkSettings *NetworkSettings
    ImageManifestDescriptor *Descriptor ,omitempty`,
  "container.ContainerJSONBase": `
    ID string Id
    Created string
    Path string
    Args []string
    State *State
    Image string
    ResolvConfPath string
    HostnamePath string
    HostsPath string
    LogPath string
    Name string
    RestartCount int
    Driver string
    Platform string
    MountLabel string
    ProcessLabel string
    AppArmorProfile string
    ExecIDs []string
    HostConfig *HostConfig
    GraphDriver DriverData
    SizeRw *int ,omitempty
    SizeRootFs *int ,omitempty`,
  "container.State": `
    Status string
    Running bool
    Paused bool
    Restarting bool
    OOMKilled bool
    Dead bool
    Pid int
    ExitCode int
    Error string
    StartedAt string
    FinishedAt string
    Health *Health ,omitempty`,
  "container.Health": `
    Status string
    FailingStreak int
    Log []*HealthcheckResult`,
  "container.HealthcheckResult": `
    Start time
    End time
    ExitCode int
    Output string`,
  "storage.DriverData": `
    Data map[]string
    Name string`,
  "container.MountPoint": `
    Type string ,omitempty
    Name string ,omitempty
    Source string
    Destination string
    Driver string ,omitempty
    Mode string
    RW bool
    Propagation string`,
  "container.Config": `
    Hostname string
    Domainname string
    User string
    AttachStdin bool
    AttachStdout bool
    AttachStderr bool
    ExposedPorts map[]empty ,omitempty
    Tty bool
    OpenStdin bool
    StdinOnce bool
    Env []string
    Cmd []string
    Healthcheck *HealthcheckConfig ,omitempty
    ArgsEscaped bool ,omitempty
    Image string
    Volumes map[]empty
    WorkingDir string
    Entrypoint []string
    NetworkDisabled bool ,omitempty
    MacAddress string ,omitempty
    OnBuild []string
    Labels map[]string
    StopSignal string ,omitempty
    StopTimeout *int ,omitempty
    Shell []string ,omitempty`,
  "v1.HealthcheckConfig": `
    Test []string ,omitempty
    Interval duration ,omitempty
    Timeout duration ,omitempty
    StartPeriod duration ,omitempty
    StartInterval duration ,omitempty
    Retries int ,omitempty`,
  "container.HostConfig": `
    Binds []string
    ContainerIDFile string
    LogConfig LogConfig
    NetworkMode NetworkMode
    PortBindings map[][]PortBinding
    RestartPolicy RestartPolicy
    AutoRemove bool
    VolumeDriver string
    VolumesFrom []string
    ConsoleSize []int
    Annotations map[]string ,omitempty
    CapAdd []string
    CapDrop []string
    CgroupnsMode CgroupnsMode
    DNS []string Dns
    DNSOptions []string DnsOptions
    DNSSearch []string DnsSearch
    ExtraHosts []string
    GroupAdd []string
    IpcMode IpcMode
    Cgroup string
    Links []string
    OomScoreAdj int
    PidMode PidMode
    Privileged bool
    PublishAllPorts bool
    ReadonlyRootfs bool
    SecurityOpt []string
    StorageOpt map[]string ,omitempty
    Tmpfs map[]string ,omitempty
    UTSMode HostMode
    UsernsMode HostMode
    ShmSize int
    Sysctls map[]string ,omitempty
    Runtime string
    Isolation string
    Resources
    Mounts []Mount ,omitempty
    MaskedPaths []string
    ReadonlyPaths []string
    Init *bool ,omitempty`,
  "container.LogConfig": `
    Type string
    Config map[]string`,
  "nat.PortBinding": `
    HostIP string HostIp
    HostPort string`,
  "container.RestartPolicy": `
    Name string
    MaximumRetryCount int`,
  "container.Resources": `
    CPUShares int CpuShares
    Memory int
    NanoCPUs int NanoCpus
    CgroupParent string
    BlkioWeight int
    BlkioWeightDevice []*WeightDevice
    BlkioDeviceReadBps []*ThrottleDevice
    BlkioDeviceWriteBps []*ThrottleDevice
    BlkioDeviceReadIOps []*ThrottleDevice
    BlkioDeviceWriteIOps []*ThrottleDevice
    CPUPeriod int CpuPeriod
    CPUQuota int CpuQuota
    CPURealtimePeriod int CpuRealtimePeriod
    CPURealtimeRuntime int CpuRealtimeRuntime
    CpusetCpus string
    CpusetMems string
    Devices []DeviceMapping
    DeviceCgroupRules []string
    DeviceRequests []DeviceRequest
    KernelMemory int ,omitempty
    KernelMemoryTCP int ,omitempty
    MemoryReservation int
    MemorySwap int
    MemorySwappiness *int
    OomKillDisable *bool
    PidsLimit *int
    Ulimits []*Ulimit
    CPUCount int CpuCount
    CPUPercent int CpuPercent
    IOMaximumIOps int
    IOMaximumBandwidth int`,
  "blkiodev.WeightDevice": `
    Path string
    Weight int`,
  "blkiodev.ThrottleDevice": `
    Path string
    Rate int`,
  "container.DeviceMapping": `
    PathOnHost string
    PathInContainer string
    CgroupPermissions string`,
  "container.DeviceRequest": `
    Driver string
    Count int
    DeviceIDs []string
    Capabilities [][]string
    Options map[]string`,
  "units.Ulimit": `
    Name string
    Hard int
    Soft int`,
  "mount.Mount": `
    Type string ,omitempty
    Source string ,omitempty
    Target string ,omitempty
    ReadOnly bool ,omitempty
    Consistency string ,omitempty
    BindOptions *BindOptions ,omitempty
    VolumeOptions *VolumeOptions ,omitempty
    ImageOptions *ImageOptions ,omitempty
    TmpfsOptions *TmpfsOptions ,omitempty
    ClusterOptions *empty ,omitempty`,
  "mount.BindOptions": `
    Propagation string ,omitempty
    NonRecursive bool ,omitempty
    CreateMountpoint bool ,omitempty
    ReadOnlyNonRecursive bool ,omitempty
    ReadOnlyForceRecursive bool ,omitempty`,
  "mount.VolumeOptions": `
    NoCopy bool ,omitempty
    Labels map[]string ,omitempty
    Subpath string ,omitempty
    DriverConfig *Driver ,omitempty`,
  "mount.Driver": `
    Name string ,omitempty
    Options map[]string ,omitempty`,
  "mount.ImageOptions": `
    Subpath string ,omitempty`,
  "mount.TmpfsOptions": `
    SizeBytes int ,omitempty
    Mode int ,omitempty
    Options [][]string ,omitempty`,
  "container.NetworkSettings": `
    NetworkSettingsBase
    DefaultNetworkSettings
    Networks map[]*EndpointSettings`,
  "container.NetworkSettingsBase": `
    Bridge string
    SandboxID string
    SandboxKey string
    Ports map[][]PortBinding
    HairpinMode bool
    LinkLocalIPv6Address string
    LinkLocalIPv6PrefixLen int
    SecondaryIPAddresses []Address
    SecondaryIPv6Addresses []Address`,
  "container.DefaultNetworkSettings": `
    EndpointID string
    Gateway string
    GlobalIPv6Address string
    GlobalIPv6PrefixLen int
    IPAddress string
    IPPrefixLen int
    IPv6Gateway string
    MacAddress string`,
  "network.Address": `
    Addr string
    PrefixLen int`,
  "network.EndpointSettings": `
    IPAMConfig *EndpointIPAMConfig
    Links []string
    Aliases []string
    MacAddress string
    DriverOpts map[]string
    GwPriority int
    NetworkID string
    EndpointID string
    Gateway string
    IPAddress string
    IPPrefixLen int
    IPv6Gateway string
    GlobalIPv6Address string
    GlobalIPv6PrefixLen int
    DNSNames []string`,
  "network.EndpointIPAMConfig": `
    IPv4Address string ,omitempty
    IPv6Address string ,omitempty
    LinkLocalIPs []string ,omitempty`,
  "v1.Descriptor": `
    MediaType string mediaType
    Digest string digest
    Size int size
    URLs []string urls,omitempty
    Annotations map[]string annotations,omitempty
    Data string data,omitempty
    Platform *Platform platform,omitempty
    ArtifactType string artifactType,omitempty`,
  "v1.Platform": `
    Architecture string architecture
    OS string os
    OSVersion string os.version,omitempty
    OSFeatures []string os.features,omitempty
    Variant string variant,omitempty`,
  "image.InspectResponse": `
    ID string Id
    RepoTags []string
    RepoDigests []string
    Parent string
    Comment string
    Created string ,omitempty
    Container string ,omitempty
    ContainerConfig *Config ,omitempty
    DockerVersion string
    Author string
    Config *DockerOCIImageConfig
    Architecture string
    Variant string ,omitempty
    Os string
    OsVersion string ,omitempty
    Size int
    VirtualSize int ,omitempty
    GraphDriver DriverData
    RootFS RootFS
    Metadata Metadata
    Descriptor *Descriptor ,omitempty
    Manifests []any ,omitempty`,
  "v1.DockerOCIImageConfig": `
    ImageConfig
    DockerOCIImageConfigExt`,
  "v1.ImageConfig": `
    User string ,omitempty
    ExposedPorts map[]empty ,omitempty
    Env []string ,omitempty
    Entrypoint []string ,omitempty
    Cmd []string ,omitempty
    Volumes map[]empty ,omitempty
    WorkingDir string ,omitempty
    Labels map[]string ,omitempty
    StopSignal string ,omitempty
    ArgsEscaped bool ,omitempty`,
  "v1.DockerOCIImageConfigExt": `
    Healthcheck *HealthcheckConfig ,omitempty
    OnBuild []string ,omitempty
    Shell []string ,omitempty`,
  "image.RootFS": `
    Type string ,omitempty
    Layers []string ,omitempty`,
  "image.Metadata": `
    LastTagTime time ,omitempty`,
  "network.Inspect": `
    Name string
    ID string Id
    Created time
    Scope string
    Driver string
    EnableIPv4 bool
    EnableIPv6 bool
    IPAM IPAM
    Internal bool
    Attachable bool
    Ingress bool
    ConfigFrom ConfigReference
    ConfigOnly bool
    Containers map[]EndpointResource
    Options map[]string
    Labels map[]string
    Peers []any ,omitempty
    Services map[]any ,omitempty`,
  "network.IPAM": `
    Driver string
    Options map[]string
    Config []IPAMConfig`,
  "network.IPAMConfig": `
    Subnet string ,omitempty
    IPRange string ,omitempty
    Gateway string ,omitempty
    AuxAddress map[]string AuxiliaryAddresses,omitempty`,
  "network.ConfigReference": `
    Network string`,
  "network.EndpointResource": `
    Name string
    EndpointID string
    MacAddress string
    IPv4Address string
    IPv6Address string`,
  "volume.Volume": `
    ClusterVolume *empty ,omitempty
    CreatedAt string ,omitempty
    Driver string
    Labels map[]string
    Mountpoint string
    Name string
    Options map[]string
    Scope string
    Status map[]any ,omitempty
    UsageData *UsageData ,omitempty`,
  "volume.UsageData": `
    RefCount int
    Size int`,
});
