/** dockerode against an engine: DOCKER_HOST names it. */
import { PassThrough, Readable } from "node:stream";
import Docker from "dockerode";
import { finish, refusal, step, textOf, until } from "./steps.mjs";

const docker = new Docker();

step("ping", String(await docker.ping()) === "OK");
step("version", (await docker.version()).Os === "linux");
step("info", (await docker.info()).OSType === "linux");
const images = await docker.listImages();
step(
  "images",
  images.some(({ RepoTags }) => RepoTags?.includes("busybox:latest")),
);
const busybox = docker.getImage("busybox");
step("image", (await busybox.inspect()).Os === "linux");
step("history", (await busybox.history()).length >= 1);
await busybox.tag({ repo: "node/copy", tag: "1" });
step("tag", (await docker.getImage("node/copy:1").inspect()).Id === (await busybox.inspect()).Id);
step(
  "untag",
  (await docker.getImage("node/copy:1").remove()).some(({ Untagged }) => Untagged === "node/copy:1"),
);

const network = await docker.createNetwork({ Name: "node-net", Labels: { made: "here" } });
step("network", (await network.inspect()).Labels.made === "here");
const volume = await docker.createVolume({ Name: "node-data", Labels: { made: "here" } });
step("volume", volume.name === "node-data" || volume.Name === "node-data");
step(
  "volumes",
  (await docker.listVolumes()).Volumes.some(({ Name }) => Name === "node-data"),
);

const output = new PassThrough();
let said = "";
output.on("data", (bytes) => {
  said += bytes;
});
const ran = docker.run("busybox", ["sh", "-c", "echo from inside; exit 3"], output, {
  Tty: false,
  HostConfig: { AutoRemove: false },
});
const [result, finished] = await ran;
// The end may be told before the last output has come.
step("run", result.StatusCode === 3 && (await until(async () => said.includes("from inside"))));
await finished.remove();

const web = await docker.createContainer({
  name: "node-web",
  Image: "busybox",
  Cmd: ["sh", "-c", "echo page > /www/index.html; httpd -f -p 80 -h /www"],
  Env: ["COLOR=blue"],
  Labels: { tier: "web" },
  ExposedPorts: { "80/tcp": {} },
  Healthcheck: { Test: ["CMD-SHELL", "test -f /www/index.html"], Interval: 200_000_000 },
  HostConfig: {
    NetworkMode: "node-net",
    Binds: ["node-data:/www"],
    PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
    Memory: 64 << 20,
    PidsLimit: 50,
  },
});
step("create", (await web.inspect()).State.Status === "created");
await web.start();
const { NetworkSettings } = await web.inspect();
step("start", (await web.inspect()).State.Running);
const port = NetworkSettings.Ports["80/tcp"][0].HostPort;
const page = async () =>
  (await fetch(`http://127.0.0.1:${port}/`).then(
    (response) => response.text(),
    () => "",
  )) === "page\n";
step("a published port", await until(page));
step("healthy", await until(async () => (await web.inspect()).State.Health.Status === "healthy"));
step("list", (await docker.listContainers({ filters: { label: ["tier=web"] } }))[0].Names[0] === "/node-web");
step(
  "top",
  (await web.top()).Processes.some((row) => row.join(" ").includes("httpd")),
);
step("stats", (await web.stats({ stream: false })).memory_stats.limit === 64 << 20);
const live = await web.stats({ stream: true });
const sample = await new Promise((resolve) => live.once("data", resolve));
live.destroy();
step("a stream of stats", JSON.parse(String(sample)).name === "/node-web");

/** Both streams of an exec, and its exit code. */
async function execute(options, input) {
  const exec = await web.exec({ AttachStdout: true, AttachStderr: true, ...options });
  const stream = await exec.start({ hijack: input !== undefined, stdin: input !== undefined });
  const [out, err] = [new PassThrough(), new PassThrough()];
  docker.modem.demuxStream(stream, out, err);
  if (input !== undefined) stream.end(input);
  await new Promise((resolve) => stream.once("end", resolve));
  out.end();
  err.end();
  return { out: await textOf(out), err: await textOf(err), code: (await exec.inspect()).ExitCode };
}
const both = await execute({ Cmd: ["sh", "-c", "echo $COLOR; echo e >&2; exit 5"] });
step("exec", both.out === "blue\n" && both.err === "e\n" && both.code === 5);
const cat = await execute({ Cmd: ["cat"], AttachStdin: true }, "x".repeat(300_000));
step("exec with stdin and half-close", cat.out.length === 300_000 && cat.code === 0);
step("exec as another user", (await execute({ Cmd: ["id", "-u"], User: "1000" })).out === "1000\n");

const archive = await web.getArchive({ path: "/www/index.html" });
step("get an archive", (await textOf(archive)).includes("page"));
await web.putArchive(await web.getArchive({ path: "/www/index.html" }), { path: "/tmp" });
step("put an archive", (await execute({ Cmd: ["cat", "/tmp/index.html"] })).out === "page\n");
step("archive info", (await web.infoArchive({ path: "/www" })) !== undefined);

const talker = await docker.createContainer({
  name: "node-talk",
  Image: "busybox",
  Cmd: ["sh", "-c", "for i in 1 2 3; do echo line $i; done; cat"],
  OpenStdin: true,
  Tty: true,
});
const attached = await talker.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
let seen = "";
attached.on("data", (bytes) => {
  seen += bytes;
});
await talker.start();
await talker.resize({ h: 20, w: 60 });
step("attach", await until(async () => seen.includes("line 3")));
attached.write("typed\n");
step("stdin of a terminal", await until(async () => seen.includes("typed\r\n")));
step("logs", String(await talker.logs({ stdout: true, stderr: true })).startsWith("line 1\r\n"));
const follow = await talker.logs({ stdout: true, stderr: true, follow: true, tail: 1 });
const followed = new Promise((resolve) => follow.once("data", resolve));
step("follow", String(await followed).includes("typed"));
follow.destroy();
await talker.pause();
step("pause", (await talker.inspect()).State.Paused);
await talker.unpause();
step("unpause", !(await talker.inspect()).State.Paused);
await talker.rename({ name: "node-renamed" });
step("rename", (await docker.getContainer("node-renamed").inspect()).Id === talker.id);
await talker.update({ Memory: 32 << 20, MemorySwap: 64 << 20 });
step("update", (await talker.inspect()).HostConfig.Memory === 32 << 20);
const waiting = talker.wait();
await talker.kill({ signal: "SIGKILL" });
step("wait and kill", (await waiting).StatusCode === 137);
step(
  "changes",
  (await web.changes()).some(({ Path, Kind }) => Path === "/tmp/index.html" && Kind === 1),
);
const { Id: committed } = await talker.commit({
  repo: "node/made",
  tag: "1",
  comment: "note",
  changes: "ENV A=b",
});
step("commit", (await docker.getImage(committed).inspect()).Config.Env.includes("A=b"));
await talker.restart();
step("restart", (await talker.inspect()).State.Running);
await talker.stop({ t: 0 });
step("stop", !(await talker.inspect()).State.Running);
step("export", (await textOf(await talker.export())).length > 100_000);
await network.connect({ Container: talker.id, EndpointConfig: { Aliases: ["friend"] } });
step("connect", (await talker.inspect()).NetworkSettings.Networks["node-net"] !== undefined);
await network.disconnect({ Container: talker.id });
step("disconnect", (await talker.inspect()).NetworkSettings.Networks["node-net"] === undefined);

/** Waits for the end of a stream of JSON messages. */
const follows = (stream) =>
  new Promise((resolve, reject) => {
    docker.modem.followProgress(stream, (error, messages) => (error ? reject(error) : resolve(messages)));
  });
const built = await follows(
  await docker.buildImage(
    { context: import.meta.dirname, src: ["Dockerfile"] },
    { t: "node/built:1", buildargs: { WHO: "node" } },
  ),
);
step(
  "build",
  built.some(({ stream }) => stream?.includes("Successfully tagged node/built:1")),
);
const saved = await docker.getImage("node/built:1").get();
const bytes = [];
for await (const chunk of saved) bytes.push(chunk);
await docker.getImage("node/built:1").remove({ force: true });
const loaded = await follows(await docker.loadImage(Readable.from(bytes)));
step(
  "save and load",
  loaded.some(({ stream }) => stream?.includes("node/built:1")),
);
const missing = await refusal(() => docker.getContainer("nobody").inspect());
step("nobody", missing?.statusCode === 404 && missing.message.includes("No such container: nobody"));
const taken = await refusal(() => docker.createContainer({ name: "node-web", Image: "busybox" }));
step("a taken name", taken?.statusCode === 409);
const now = Math.floor(Date.now() / 1000);
const past = await docker.getEvents({
  since: now - 60,
  until: now + 1,
  filters: { container: ["node-web"] },
});
step("events", (await textOf(past)).includes('"Action":"start"'));
const mounted = await docker.getEvents({
  since: now - 60,
  until: now + 1,
  filters: { type: ["volume"], volume: ["node-data"] },
});
step("events of volumes", (await textOf(mounted)).includes('"read/write":"true"'));
const apart = await docker.createContainer({
  Image: "busybox",
  Cmd: ["true"],
  NetworkingConfig: { EndpointsConfig: { "node-net": {} } },
});
const seen2 = await apart.inspect();
step(
  "a network without a mode is the only one",
  Object.keys(seen2.NetworkSettings.Networks).join() === "node-net",
);
step("hidden paths are told", seen2.HostConfig.MaskedPaths.includes("/proc/kcore"));
await apart.remove();
const badPort = await refusal(() =>
  docker.createContainer({
    Image: "busybox",
    HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "abc" }] } },
  }),
);
step(
  "a port that is none",
  badPort?.statusCode === 400 && badPort.message.includes('invalid port specification: "abc"'),
);
step("disk usage", (await docker.df()).Images.length >= 1);
for (const container of [web, talker]) await container.remove({ force: true, v: true });
await network.remove();
await docker.getVolume("node-data").remove();
step("remove", (await docker.listContainers({ all: true })).length === 0);
step("prune", (await docker.pruneImages()).SpaceReclaimed >= 0);
finish();
