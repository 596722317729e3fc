/** Each flag of `run` that Docker's client lists, and what a container is then like: as it sees itself, or as it is told. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { removeGroups, TestDaemon } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  writeFileSync(join(daemon.root, "env"), "FROM_FILE=yes\n");
  writeFileSync(join(daemon.root, "labels"), "from.file=yes\n");
  await daemon.ok(["network", "create", "--subnet", "10.99.7.0/24", "own"]);
  await daemon.ok([
    ...["run", "-d", "--name", "peer", "--ipc", "shareable", "-v", "shared:/shared", "--network", "own"],
    ...["busybox", "sh", "-c", "hostname peered; echo mine > /dev/shm/x; exec sleep 1000"],
  ]);
});
/** Of control groups; the daemon leaves it to who named it. */
const parent = `gantry-flags-${process.pid}`;
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  removeGroups(parent);
});

/** What a script in the container prints. */
type Inside = [flags: string[], script: string, expected: string | RegExp];
/** What is told of the container: a template of `inspect`. */
type Told = [flags: string[], template: string, expected: string | RegExp];

/** A file of the container's own control group: of version 1 in the controller's directory, or of version 2. */
const group = (controller: string, first: string, second = first) =>
  `cat /sys/fs/cgroup/${controller}/${first} 2>/dev/null || cat /sys/fs/cgroup/${second}`;

const inside: Inside[] = [
  [
    ["--add-host", "a.b:1.2.3.4", "--add-host", "gate=host-gateway"],
    "grep -c -e '1.2.3.4.*a.b' -e 'gate$' /etc/hosts",
    "2",
  ],
  [["--cap-drop", "ALL"], "grep CapEff /proc/self/status", /\t0+$/],
  [["--cap-drop", "ALL", "--cap-add", "CHOWN"], "grep CapEff /proc/self/status", /\t0+1$/],
  [["--cgroup-parent", `/${parent}`], `grep -c ${parent} /proc/1/cgroup`, /^[1-9]/],
  [["--cgroupns", "private"], "grep -v -c ':/$' /proc/self/cgroup", "0"],
  [["--cpu-shares", "512"], group("cpu", "cpu.shares", "cpu.weight"), /^(512|20|59)$/],
  [["-c", "256"], group("cpu", "cpu.shares", "cpu.weight"), /^(256|10|35)$/],
  [
    ["--cpu-period", "50000", "--cpu-quota", "25000"],
    group("cpu", "cpu.cfs_quota_us", "cpu.max"),
    /^25000( 50000)?$/,
  ],
  [["--cpus", "0.5"], group("cpu", "cpu.cfs_quota_us", "cpu.max"), /^50000( 100000)?$/],
  [["--cpuset-cpus", "0"], "grep Cpus_allowed_list /proc/self/status", /\t0$/],
  [["--cpuset-mems", "0"], "grep Mems_allowed_list /proc/self/status", /\t0$/],
  [
    ["--device", "/dev/zero:/dev/nought:r"],
    "head -c 2 /dev/nought | wc -c; echo 2>&1 > /dev/nought; true",
    /^2/,
  ],
  [["--device-cgroup-rule", "c 1:5 rm"], "mknod /tmp/z c 1 5 && head -c 3 /tmp/z | wc -c", "3"],
  [
    ["--dns", "9.9.9.9", "--dns-search", "q.r", "--dns-option", "ndots:3"],
    "grep -v '^#' /etc/resolv.conf | tr '\\n' ' '",
    /nameserver 9.9.9.9 search q.r options ndots:3/,
  ],
  [["--domainname", "d.e", "-h", "h1"], "hostname; hostname -d", "h1\nd.e"],
  [["--hostname", "h2"], "hostname; cat /etc/hostname", "h2\nh2"],
  [["-e", "A=1", "--env", "B=2"], "echo $A$B", "12"],
  [["--env-file", "env"], "echo $FROM_FILE", "yes"],
  [["--group-add", "7", "--group-add", "nogroup"], "id -G", "0 7 65534"],
  [["--init"], "cat /proc/1/cmdline | tr '\\0' ' '", /init|monitor/],
  [["--network", "own", "--ip", "10.99.7.77"], "ip -4 -o addr show dev eth0", / 10\.99\.7\.77\/24 /],
  [
    ["--network", "own", "--mac-address", "02:11:22:33:44:55"],
    "cat /sys/class/net/eth0/address",
    "02:11:22:33:44:55",
  ],
  [["--network", "own", "--network-alias", "known"], "nslookup known >/dev/null && echo found", "found"],
  [["--network", "own"], "nslookup peer >/dev/null && echo found", "found"],
  [["--ipc", "container:peer"], "cat /dev/shm/x", "mine"],
  [["--ipc", "none"], "grep -c ' /dev/shm ' /proc/mounts; true", "0"],
  [["-m", "50m"], group("memory", "memory.limit_in_bytes", "memory.max"), "52428800"],
  [
    ["-m", "50m", "--memory-swap", "60m"],
    group("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
    /^(62914560|10485760)$/,
  ],
  [
    ["-m", "50m"],
    group("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
    /^(104857600|52428800)$/,
  ],
  [
    ["-m", "50m", "--memory-reservation", "40m"],
    group("memory", "memory.soft_limit_in_bytes", "memory.low"),
    "41943040",
  ],
  [
    ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700"],
    "df -k /t | tail -1; stat -c %a /t",
    / 1024 [\s\S]*\n700$/,
  ],
  [["--network", "none"], "ls /sys/class/net", "lo"],
  [["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", "500"],
  [["--pid", "container:peer"], "ps -o args | grep -c '[s]leep 1000'", "1"],
  [["--pids-limit", "77"], group("pids", "pids.max"), "77"],
  [
    ["--privileged"],
    "grep CapEff /proc/self/status; mount -t tmpfs x /mnt 2>/dev/null || mkdir /mnt && mount -t tmpfs x /mnt && echo mounted",
    /mounted$/,
  ],
  [
    ["--read-only", "--tmpfs", "/t:size=1m"],
    "touch /x 2>/dev/null || echo refused; touch /t/x && echo fine",
    "refused\nfine",
  ],
  [["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status", /1$/],
  [["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status", /0$/],
  [[], "grep Seccomp: /proc/self/status", /2$/],
  [["--shm-size", "2m"], "df -k /dev/shm | tail -1", / 2048 /],
  [["--sysctl", "net.ipv4.ip_forward=0"], "cat /proc/sys/net/ipv4/ip_forward", "0"],
  [["-t"], "test -t 1 && echo terminal", /^terminal\r?$/],
  [["--ulimit", "nofile=99:199"], "ulimit -Sn; ulimit -Hn", "99\n199"],
  [["-u", "1000:7"], "id -u; id -g", "1000\n7"],
  [["--user", "nobody"], "id -un", "nobody"],
  [["--uts", "host"], "hostname", hostname()],
  [
    ["-v", "shared:/s", "-v", "/etc:/host:ro"],
    "test -d /s && touch /host/x 2>/dev/null || echo refused",
    "refused",
  ],
  [["--volume", "/anonymous"], "grep -c ' /anonymous ' /proc/mounts", "1"],
  [["--volumes-from", "peer:ro"], "touch /shared/x 2>/dev/null || echo refused", "refused"],
  [["-w", "/made/here"], "pwd", "/made/here"],
  [["--entrypoint", "echo"], "said", "-c said"],
];

const told: Told[] = [
  [["--annotation", "a=b"], "{{json .HostConfig.Annotations}}", '{"a":"b"}'],
  [
    ["-a", "stderr"],
    "{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}}",
    "false false true",
  ],
  [["--attach", "stdin"], "{{.Config.AttachStdin}}", "true"],
  [["--blkio-weight", "300"], "{{.HostConfig.BlkioWeight}}", /^(300|0)$/],
  [["--blkio-weight-device", "BLOCK:200"], "{{len .HostConfig.BlkioWeightDevice}}", /^[01]$/],
  [["--device-read-bps", "BLOCK:1mb"], "{{range .HostConfig.BlkioDeviceReadBps}}{{.Rate}}{{end}}", "1048576"],
  [["--device-read-iops", "BLOCK:10"], "{{range .HostConfig.BlkioDeviceReadIOps}}{{.Rate}}{{end}}", "10"],
  [
    ["--device-write-bps", "BLOCK:2mb"],
    "{{range .HostConfig.BlkioDeviceWriteBps}}{{.Rate}}{{end}}",
    "2097152",
  ],
  [["--device-write-iops", "BLOCK:20"], "{{range .HostConfig.BlkioDeviceWriteIOps}}{{.Rate}}{{end}}", "20"],
  [["--expose", "81-82/udp"], "{{json .Config.ExposedPorts}}", '{"81/udp":{},"82/udp":{}}'],
  [
    ["--gpus", "all"],
    "{{range .HostConfig.DeviceRequests}}{{.Count}} {{.Capabilities}}{{end}}",
    "-1 [[gpu]]",
  ],
  [
    [
      ...[
        "--health-cmd",
        "true",
        "--health-interval",
        "2s",
        "--health-timeout",
        "3s",
        "--health-retries",
        "4",
      ],
      ...["--health-start-period", "5s", "--health-start-interval", "6s"],
    ],
    "{{with .Config.Healthcheck}}{{.Test}} {{.Interval}} {{.Timeout}} {{.Retries}} {{.StartPeriod}} {{.StartInterval}}{{end}}",
    "[CMD-SHELL true] 2s 3s 4 5s 6s",
  ],
  [["--no-healthcheck"], "{{.Config.Healthcheck.Test}}", "[NONE]"],
  [["-i"], "{{.Config.OpenStdin}} {{.Config.StdinOnce}}", "true true"],
  [["--isolation", "default"], "{{.HostConfig.Isolation}}", "default"],
  [["-l", "a=b", "--label-file", "labels"], "{{json .Config.Labels}}", '{"a":"b","from.file":"yes"}'],
  [
    ["--link", "peer:other", "--network", "own"],
    "{{json .NetworkSettings.Networks.own.Links}}",
    '["peer:other"]',
  ],
  [
    ["--network", "own", "--link-local-ip", "169.254.7.7"],
    "{{.NetworkSettings.Networks.own.IPAMConfig.LinkLocalIPs}}",
    "[169.254.7.7]",
  ],
  [
    ["--log-driver", "local", "--log-opt", "max-size=1m"],
    "{{.HostConfig.LogConfig}}",
    "{local map[max-size:1m]}",
  ],
  [["--memory-swappiness", "10"], "{{.HostConfig.MemorySwappiness}}", /^(10|<nil>)$/],
  [["--oom-kill-disable", "-m", "50m"], "{{.HostConfig.OomKillDisable}}", /^(true|<nil>)$/],
  [
    ["-p", "127.0.0.1:17690:80/tcp"],
    "{{json .HostConfig.PortBindings}}",
    '{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"17690"}]}',
  ],
  [["-P"], "{{.HostConfig.PublishAllPorts}}", "true"],
  [["--platform", "linux/PLATFORM"], "{{.Platform}}", "linux"],
  [["--restart", "on-failure:3"], "{{.HostConfig.RestartPolicy}}", "{on-failure 3}"],
  [["--rm"], "{{.HostConfig.AutoRemove}}", "true"],
  [["--runtime", "runc"], "{{.HostConfig.Runtime}}", "runc"],
  [
    ["--stop-signal", "INT", "--stop-timeout", "7"],
    "{{.Config.StopSignal}} {{.Config.StopTimeout}}",
    "INT 7",
  ],
  [["--userns", "host"], "{{.HostConfig.UsernsMode}}", "host"],
  [["--volume-driver", "local", "-v", "shared:/s"], "{{.HostConfig.VolumeDriver}}", "local"],
  [["--name", "called"], "{{.Name}}", "/called"],
  [["--pull", "never", "-q"], "{{.Config.Image}}", "busybox"],
];

/** What another test has, or why there is nothing to see. */
const elsewhere: Record<string, string> = {
  "--cidfile": "below",
  "--detach": "below",
  "--detach-keys": "terminal.test.ts",
  "--sig-proxy": "terminal.test.ts",
  "--help": "src/cli/main.test.ts",
  "--ip6": "IPv6 in containers: networking.md",
  "--storage-opt": "mistakes.test.ts: refused, as Docker refuses it on this storage",
  "--use-api-socket": "src/cli/reference.test.ts: why it is not there",
  "--cpu-rt-period": "kernel-support.test.ts: few kernels have it",
  "--cpu-rt-runtime": "kernel-support.test.ts: few kernels have it",
  ...Object.fromEntries(
    ["--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops"].map((flag) => [flag, "Windows'"]),
  ),
};

/** A disk to limit. */
const block = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"].find(
  (path) => existsSync(path) && statSync(path).isBlockDevice(),
);
const architecture = { x64: "amd64", arm64: "arm64" }[process.arch as string] ?? process.arch;
const filled = (flags: string[]) =>
  flags.map((flag) => flag.replace("BLOCK", block ?? "").replace("PLATFORM", architecture));
const matches = (text: string, expected: string | RegExp) =>
  expected instanceof RegExp ? expect(text).toMatch(expected) : expect(text).toBe(expected);

test.each(inside)("run %j", async (flags, script, expected) => {
  // An entry point of its own takes the script as arguments.
  const shell = flags.includes("--entrypoint") ? ["-c", script] : ["sh", "-c", script];
  const { stdout, stderr } = await daemon.gantry(["run", "--rm", ...filled(flags), "busybox", ...shell], {
    cwd: daemon.root,
  });
  expect(stderr).toBe("");
  matches(stdout.trimEnd(), expected);
});

test.each(told)("create %j", async (flags, template, expected) => {
  if (flags.join().includes("BLOCK") && block === undefined) return;
  const id = await daemon.ok(["create", ...filled(flags), "busybox", "true"], { cwd: daemon.root });
  try {
    matches(await daemon.ok(["inspect", "-f", template, id]), expected);
  } finally {
    await daemon.ok(["rm", id]);
  }
});

test("run -d --cidfile", async () => {
  const file = join(daemon.root, "cid");
  const id = await daemon.ok(["run", "--detach", "--cidfile", file, "busybox", "true"]);
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  expect(readFileSync(file, "utf8")).toBe(id);
  await daemon.ok(["rm", "-f", id]);
});

test("no flag of Docker's is without a case", () => {
  const rows = readFileSync(join(import.meta.dir, "reference/cli-flags.tsv"), "utf8")
    .split("\n")
    .map((line) => line.split("\t"))
    .filter(([command]) => command === "docker run" || command === "docker container run");
  expect(rows.length).toBeGreaterThan(90);
  const tried = new Set([...inside, ...told].flatMap(([flags]) => flags));
  const untried = rows
    .filter(([, short, long]) => !tried.has(long!) && !(short && tried.has(short)))
    .map(([, , long]) => long!)
    .filter((long) => !Object.hasOwn(elsewhere, long));
  expect([...new Set(untried)]).toEqual([]);
});
