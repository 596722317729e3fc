/**
 * Templates as scripts use them (and misuse them), by Docker's client and by ours, against one engine: the same bytes and
 * the same exit codes.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BothClients, words } from "./support/both-clients.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { recentDocker } from "./support/docker-cli.ts";

let daemon: TestDaemon;
let clients: BothClients;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  clients = new BothClients(daemon);
  for (const line of setUp) await daemon.ok(words(line));
  await daemon.gantry(words("run --name ended busybox sh -c 'exit 3'"));
  await until(
    async () => (await daemon.ok(["inspect", "-f", "{{.State.Health.Status}}", "web"])) === "healthy",
    "a healthy container",
  );
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

/** A health check that is made once: what is inspected doesn't change between the two clients. */
const setUp = [
  "network create --label tier=back back",
  "volume create --label keep=yes data",
  "run -d --name web --label a=1 --label com.x.y=two -p 127.0.0.1:17683:80 -p 17684:81/udp -v data:/d -v /tmp:/host:ro -e X=1 --health-cmd true --health-interval 1h --health-start-interval 100ms --health-start-period 1h busybox top -d 9",
  "run -d --name plain --network back --memory 64m --cpus 0.5 --cap-add NET_ADMIN --ulimit nofile=100:200 --add-host a.b:1.2.3.4 busybox sleep 10000",
  "create --name never busybox true",
];

const corpus = String.raw`
inspect -f '{{json .}}' web
inspect -f '{{json .State}}' web
inspect -f '{{.State}}' ended
inspect -f '{{json .Config}}' web
inspect -f '{{json .NetworkSettings.Ports}}' web
inspect -f '{{json .NetworkSettings.Networks}}' web
inspect -f '{{.State.Health.Status}}' web
inspect -f '{{.State.Health.Status}}' plain
inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' plain
inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' web
inspect -f '{{with .State.Health}}{{.Status}}{{end}}' web
inspect -f '{{with .State.Health}}{{.Status}}{{else}}x{{end}}' plain
inspect -f '{{range $k,$v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}} {{end}}' web
inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web
inspect -f '{{range .NetworkSettings.Networks}}{{.Gateway}} {{.MacAddress}}{{end}}' plain
inspect -f '{{.NetworkSettings.IPAddress}}' web
inspect -f '{{.NetworkSettings.Networks.back.IPAddress}}' plain
inspect -f '{{.NetworkSettings.Networks.nothing.IPAddress}}' plain
inspect -f '{{(index .NetworkSettings.Networks "back").IPAddress}}' plain
inspect -f '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}' web
inspect -f '{{(index (index .NetworkSettings.Ports "99/tcp") 0).HostPort}}' web
inspect -f '{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} -> {{(index $conf 0).HostPort}}{{"\n"}}{{end}}' web
inspect -f '{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> {{range $conf}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}' web
inspect -f '{{index .Config.Labels "com.x.y"}}' web
inspect -f '{{index .Config.Labels "nothing"}}' web
inspect -f '{{.Config.Labels.nothing}}' web
inspect -f '{{.Config.Labels}}' web
inspect -f '{{range $k,$v := .Config.Labels}}{{printf "%s=%s\n" $k $v}}{{end}}' web
inspect -f '{{printf "%-10s|%5d|%v|%q" .Name .State.Pid .State.Running .Path}}' ended
inspect -f '{{printf "%.12s" .Id}}' web
inspect -f '{{slice .Id 0 12}}' web
inspect -f '{{truncate .Id 12}}' web
inspect -f '{{len .Mounts}}' web
inspect -f '{{len .Config.Env}} {{len .Config.Labels}} {{len .Name}}' web
inspect -f '{{join .Config.Cmd " "}}' web
inspect -f '{{join .Config.Cmd ","}}' ended
inspect -f '{{.Config.Cmd}}' ended
inspect -f '{{.Config.Entrypoint}}' web
inspect -f '{{.Config.Env}}' web
inspect -f '{{index .Config.Env 0}}' web
inspect -f '{{index .Config.Env 9}}' web
inspect -f '{{.Args}}' web
inspect -f '{{.Mounts}}' web
inspect -f '{{range .Mounts}}{{.Type}} {{.Source}}:{{.Destination}}:{{.Mode}} {{.RW}} {{end}}' web
inspect -f '{{range .Mounts}}{{if eq .Destination "/d"}}{{.Name}}{{end}}{{end}}' web
inspect -f '{{range $i, $m := .Mounts}}{{if $i}}, {{end}}{{$m.Destination}}{{end}}' web
inspect -f '{{if and .State.Running (not .State.Paused)}}up{{else}}down{{end}}' web
inspect -f '{{if or .State.Paused .State.Dead}}x{{else if .State.Running}}y{{end}}' web
inspect -f '{{eq .State.Status "running"}} {{ne .State.ExitCode 0}}' web
inspect -f '{{if eq .State.ExitCode 3}}three{{end}} {{gt .State.ExitCode 2}} {{le .State.ExitCode 2}}' ended
inspect -f '{{eq .State.Status "running" "exited"}}' ended
inspect -f '{{lt .State.Status "running"}}' ended
inspect -f '{{eq .State.ExitCode "3"}}' ended
inspect -f '{{- .Name -}}  x  {{- println -}} y' web
inspect -f '  {{- "a" }} b {{ "c" -}}   d' web
inspect -f '{{println .Name .Id}}' never
inspect -f '{{print .Name .RestartCount 2 3 "a"}}' web
inspect -f '{{.RestartCount}} {{.SizeRw}}' web
inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuShares}}' plain
inspect -f '{{.HostConfig.MemorySwappiness}}' plain
inspect -f '{{.HostConfig.OomKillDisable}}' plain
inspect -f '{{.HostConfig.PidsLimit}}' plain
inspect -f '{{.HostConfig.Init}}' plain
inspect -f '{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}}' plain
inspect -f '{{.HostConfig.RestartPolicy}}' plain
inspect -f '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}' plain
inspect -f '{{.HostConfig.LogConfig}}' plain
inspect -f '{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}' plain
inspect -f '{{.HostConfig.NetworkMode}} {{.HostConfig.NetworkMode.IsHost}}' plain
inspect -f '{{.HostConfig.NetworkMode.IsUserDefined}}' plain
inspect -f '{{.HostConfig.Binds}}' web
inspect -f '{{.HostConfig.Binds}}' never
inspect -f '{{.HostConfig.Ulimits}}' plain
inspect -f '{{range .HostConfig.Ulimits}}{{.Name}}={{.Soft}}:{{.Hard}}{{end}}' plain
inspect -f '{{.HostConfig.ExtraHosts}}' plain
inspect -f '{{json .HostConfig.Ulimits}}' plain
inspect -f '{{.HostConfig.PortBindings}}' web
inspect -f '{{range $k,$v := .HostConfig.PortBindings}}{{$k}} {{$v}}{{end}}' web
inspect -f '{{.NetworkSettings.Ports}}' web
inspect -f '{{.NetworkSettings.Ports}}' plain
inspect -f '{{.State.StartedAt}} {{.State.FinishedAt}}' web
inspect -f '{{.Created}}' web
inspect -f '{{.GraphDriver}}' web
inspect -f '{{.GraphDriver.Name}} {{.GraphDriver.Data.MergedDir}}' web
inspect -f '{{.Config.Healthcheck}}' plain
inspect -f '{{.Config.Healthcheck.Test}} {{.Config.Healthcheck.Interval}}' web
inspect -f '{{.Config.Healthcheck.Interval.Seconds}}' web
inspect -f '{{json .Config.Healthcheck}}' plain
inspect -f '{{.Config.StopTimeout}}' plain
inspect -f '{{.Config.StopSignal}}|' plain
inspect -f '{{.Config.ExposedPorts}}' web
inspect -f '{{range $k, $_ := .Config.ExposedPorts}}{{$k}} {{end}}' web
inspect -f '{{.Config.Volumes}}' web
inspect -f '{{.ID}} {{.Id}}' web
inspect -f '{{.id}}' web
inspect -f '{{.Nothing}}' web
inspect -f '{{.State.Nothing}}' web
inspect -f '{{.Name.Nothing}}' web
inspect -f '{{.Config.Image}} {{.Image}} {{.Platform}} {{.Driver}}' web
inspect -f '{{upper .Name}} {{lower .Name}} {{title "abc def"}}' web
inspect -f '{{split .Name "/"}} {{len (split .Name "/")}} {{index (split .Name "/") 1}}' web
inspect -f '{{pad .Name 2 3}}|' web
inspect -f '{{.Name | printf "%s-%s" "x"}}' web
inspect -f '{{$n := .Name}}{{range .Mounts}}{{$n}} {{$.Id}}{{end}}' never
inspect -f '{{$x := 1}}{{$x = 2}}{{$x}}' web
inspect -f '{{range .HostConfig.Devices}}x{{else}}none{{end}}' web
inspect -f '{{with $x := .Name}}{{$x}}{{end}}' web
inspect -f '{{define "T"}}<{{.}}>{{end}}{{template "T" .Name}}' web
inspect -f '{{block "T" .Name}}[{{.}}]{{end}}' web
inspect -f '{{/* comment */}}x' web
inspect -f '{{html "<a>"}} {{urlquery "a b&c"}} {{js "it\u0027s"}}' web
inspect -f '{{call .Name}}' web
inspect -f '{{nothing .Name}}' web
inspect -f '{{.Name' web
inspect -f '{{if .Name}}x' web
inspect -f '{{end}}' web
inspect -f '{{else}}' web
inspect -f '{{range .Name}}{{.}} {{end}}' web
inspect -f '{{range 3}}{{.}}{{end}}' web
inspect -f '{{range $i := 3}}{{$i}}{{end}}' web
inspect -f '{{1.5}} {{0x10}} {{1e3}} {{true}} {{nil}}' web
inspect -f '{{1.5}} {{0x10}} {{1e3}} {{true}}' web
inspect -f '{{"a\tb"}} {{"r\n"}}' web
inspect -f '{{printf "%d %s %t %x %c %o %b %08.3f %+d %T" 5 "a" true 255 65 8 5 3.14159 7 "s"}}' web
inspect -f '{{printf "%v %v %v" .State.Running .RestartCount .Config.Labels}}' web
inspect -f '{{printf "%d" "x"}} {{printf "%s" 5}} {{printf "%s"}} {{printf "x" 1}}' web
inspect -f '{{printf "%T %T %T" .State.Running .RestartCount .Name}}' web
inspect -f '{{printf "%5t|%-8v|%08d|%+v|%#v" true "ab" 42 "x" "y"}}' web
inspect -f '{{and 1 0}} {{or 0 "x"}} {{not 0}} {{and "" .Nothing}}' web
inspect -f '{{json .Name}} {{json 1}} {{json "<&>"}}' web
inspect -f '{{if not .Config.Tty}}notty{{end}}{{break}}' web
inspect -f '{{range .Config.Env}}{{if eq . "X=1"}}{{break}}{{end}}{{.}}{{continue}}z{{end}}' web
inspect -f 'text only' web
inspect -f '' web
inspect -f 'json' ended
inspect -f '{{.Name}}\t{{.Path}}\n' web
inspect -f '{{.Name}}' web plain ended
inspect -f '{{.Name}}' web nothing plain
inspect --format='{{.LogPath}} {{.HostnamePath}} {{.ResolvConfPath}}' web
inspect -f '{{index .Mounts 0}}' plain
inspect -f '{{(index .Mounts 0).Source}}' web
inspect -f '{{.State.Pid}}' never
inspect -f '{{.State.Error}}|{{.State.OOMKilled}}' never
inspect -f '{{.ExecIDs}} {{.AppArmorProfile}}' web
inspect -f '{{json .ExecIDs}}' web
inspect -f '{{.NetworkSettings.SandboxKey}}' never
inspect -f '{{.HostConfig.Sysctls}} {{.HostConfig.Tmpfs}} {{.HostConfig.Mounts}}' web
inspect -f '{{.HostConfig.ConsoleSize}} {{.HostConfig.Dns}} {{.HostConfig.DnsOptions}}' web
inspect -f '{{.HostConfig.MaskedPaths}}' web
inspect -f '{{.Config}}' never
image inspect -f '{{.RepoTags}} {{.Os}} {{.Architecture}} {{.Size}}' busybox
image inspect -f '{{index .RepoTags 0}}' busybox
image inspect -f '{{.Config.Cmd}} {{.Config.Env}} {{.Config.Entrypoint}}' busybox
image inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' busybox
image inspect -f '{{json .Config.Labels}}' busybox
image inspect -f '{{.Config.ExposedPorts}}' busybox
image inspect -f '{{.Id}} {{.ID}} {{.Created}} {{.Comment}}|{{.Author}}' busybox
image inspect -f '{{.RepoDigests}} {{len .RepoDigests}}' busybox
image inspect -f '{{.RootFS}}' busybox
image inspect -f '{{json .}}' busybox
network inspect -f '{{.IPAM.Config}}' back
network inspect -f '{{(index .IPAM.Config 0).Subnet}}' back
network inspect -f '{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}' back
network inspect -f '{{range .Containers}}{{.Name}} {{end}}' back
network inspect -f '{{range $id, $c := .Containers}}{{printf "%.5s" $c.Name}}{{end}}' back
network inspect -f '{{.Labels}} {{.Options}} {{.Internal}} {{.Scope}} {{.EnableIPv6}}' back
network inspect -f '{{json .Containers}}' back
network inspect -f '{{.Created}}' back
network inspect -f '{{.}}' back
volume inspect -f '{{.Mountpoint}} {{.Driver}} {{.Labels}} {{.Options}} {{.Scope}}' data
volume inspect -f '{{.Labels.keep}} {{index .Labels "keep"}} {{index .Labels "z"}}' data
volume inspect -f '{{.UsageData}} {{.Status}} {{.CreatedAt}}' data
volume inspect -f '{{.}}' data
ps --format '{{.Names}}'
ps -a --format '{{json .}}'
ps -a --format '{{.ID}}\t{{.Command}}\t{{.CreatedAt}}'
ps -a --format 'table {{.ID}}\t{{.Names}}\t{{.Status}}\t{{.Ports}}'
ps -a --format 'table {{.Label "a"}}\t{{.Names}}'
ps -a --format '{{.Label "com.x.y"}}'
ps -a --format 'table {{.Label "com.x.y"}}'
ps -a --format '{{if eq .State "running"}}{{.Names}}{{end}}'
ps -a --format '{{with .Label "a"}}{{.}}{{end}}'
ps -a --format '{{range $i, $n := split .Names ","}}{{$i}}{{$n}}{{end}}'
ps -a --format '{{.Size}}'
ps -a --format '{{printf "%-20s %s" .Names .Image}}'
ps -a --format '{{.Names | upper | lower}}'
ps -a --format '{{.Names}}{{"\t"}}{{.State}}'
ps -a --format 'table {{ .Names }}	{{ .State }}'
ps -a --format 'table{{.Names}}'
ps -a --format ' table {{.Names}}'
ps -a --format 'raw'
ps -a --format 'table'
ps -a --format 'TABLE {{.Names}}'
ps -a --format 'json {{.Names}}'
ps -a --format '{{.Names}} {{len .Names}}'
ps -a --format '{{.Mounts}} {{.LocalVolumes}} {{.Networks}} {{.Labels}}'
ps -a --no-trunc --format '{{.ID}} {{.Mounts}} {{.Command}} {{.Image}}'
ps -a --format 'table {{upper .Names}}\t{{truncate .Image 3}}\t{{json .State}}'
ps -a --format '{{json .Names}}: {{json .Labels}}'
ps -a --format '{{.Platform}} {{.RunningFor}}'
ps -a --format '{{.Label}}'
ps -a --format '{{nothing}}'
ps -a --format '{{.Names'
ps -aq --format '{{.Names}}'
images --format '{{.Repository}}:{{.Tag}}'
images --format '{{.ID}} {{.Digest}} {{.CreatedSince}} {{.CreatedAt}} {{.Size}} {{.VirtualSize}} {{.SharedSize}} {{.UniqueSize}} {{.Containers}}'
images --format 'table {{.Repository}}\t{{.Digest}}'
images --format '{{json .}}'
images --format raw
network ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label "tier"}} {{.CreatedAt}}'
network ls --format '{{json .}}'
network ls --format raw
volume ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}} {{.Labels}} {{.Label "keep"}} {{.Links}} {{.Size}} {{.Availability}} {{.Group}} {{.Status}}'
volume ls --format '{{json .}}'
volume ls --format raw
system df --format '{{json .}}'
system df --format 'table {{.Type}}\t{{.Size}}\t{{.Reclaimable}}'
system df --format '{{.Type}}: {{.Size}}'
system df -v --format '{{json .}}'
system df -v --format '{{range .Images}}{{.Repository}} {{.Size}} {{.Containers}}{{"\n"}}{{end}}'
system df -v --format '{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}}{{"\n"}}{{end}}'
system df -v --format '{{range .Containers}}{{.Names}} {{.Size}}{{"\n"}}{{end}}'
system df -v --format '{{len .BuildCache}}'
info -f '{{.Driver}} {{.CgroupDriver}} {{.CgroupVersion}} {{.LoggingDriver}} {{.OSType}} {{.Architecture}}'
info -f '{{json .Plugins}}'
info -f '{{range .Plugins.Log}}{{.}} {{end}}'
info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'
info -f '{{.Runtimes}}'
info -f '{{range $k,$v := .Runtimes}}{{$k}} {{$v.Path}} {{end}}'
info -f '{{.DefaultRuntime}} {{.SecurityOptions}}'
info -f '{{range .SecurityOptions}}{{println .}}{{end}}'
info -f '{{.ClientInfo.Context}} {{.ClientInfo.Debug}}'
info -f '{{index .DriverStatus 0}}'
info -f '{{range .DriverStatus}}{{index . 0}}={{index . 1}} {{end}}'
info -f '{{.Containers}} {{.ContainersRunning}} {{.Images}} {{.MemTotal}}'
info -f '{{.DockerRootDir}} {{.Name}} {{.ID}} {{.Labels}}'
info -f '{{.Warnings}}'
version -f '{{json .Server}}'
version -f '{{.Server.KernelVersion}} {{.Server.MinAPIVersion}} {{.Server.Arch}}'
version -f '{{range .Server.Components}}{{.Name}} {{.Version}} {{end}}'
version -f '{{range .Server.Components}}{{.Name}} {{.Details.ApiVersion}}{{end}}'
version -f '{{.Server.BuildTime}} {{.Server.GitCommit}} {{.Server.Experimental}}'
history --format '{{.ID}} {{.CreatedBy}} {{.CreatedSince}} {{.CreatedAt}} {{.Size}} {{.Comment}}' busybox
history --format '{{json .}}' busybox
history --format raw busybox
stats --no-stream --format '{{.Name}} {{.PIDs}} {{.ID}} {{.Container}}' web plain
stats --no-stream --format 'table {{.Name}}\t{{.PIDs}}' web plain
context ls --format '{{.Name}} {{.Description}} {{.DockerEndpoint}} {{.Current}} {{.Error}}'
context ls --format '{{json .}}'
context inspect -f '{{json .}}' default
events --since 1h --until 0s --format '{{.Time}} {{.Action}} {{.Actor.Attributes.name}}' --filter container=ended
events --since 1h --until 0s --format '{{json .}}' --filter container=ended
events --since 1h --until 0s --format '{{.ID}} {{.Status}} {{.From}} {{.TimeNano}} {{.Scope}}' --filter container=ended
events --since 1h --until 0s --format '{{.}}' --filter container=ended
`;

/** Where the clients differ, and why that is right. */
const differences: Record<string, string> = {
  "inspect -f '{{.NetworkSettings.Networks}}' plain":
    "Docker prints where in its memory an endpoint is; we what it is",
  "inspect -f '{{.HostConfig}}' never": "the same",
  "info -f '{{.}}'": "the same",
  "ps -a --format '{{.}}'": "Docker prints its client's own structs; we the fields of the row",
  "ps -a --format '{{slice .ID 0 3}}'": "Docker runs the template over an empty row first, and fails there",
};

/** Docker says before a failure in a list whether it was in reading the template or in running it. */
const saidOtherwise = new Set([
  "ps -a --format '{{.Label}}'",
  "ps -a --format '{{nothing}}'",
  "ps -a --format '{{.Names'",
]);

const lines = corpus.trim().split("\n");
test.skipIf(!recentDocker).each(lines)("%s", async (line) => {
  const { docker, gantry } = await clients.agreed(line);
  if (saidOtherwise.has(line)) gantry.stderr = docker.stderr;
  expect(gantry).toEqual(docker);
});

test.skipIf(!recentDocker).each(Object.keys(differences))("differs: %s", async (line) => {
  const { docker, gantry } = await clients.both(line);
  expect(gantry.code).toBe(0);
  expect(gantry.stdout).not.toBe(docker.stdout);
});
