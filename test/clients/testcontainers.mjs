/** Testcontainers for Node against an engine: DOCKER_HOST names it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GenericContainer, Network, Wait } from "testcontainers";
import { finish, refusal, step, textOf, until } from "./steps.mjs";

const scratch = mkdtempSync(join(tmpdir(), "gt-testcontainers-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
writeFileSync(join(scratch, "page.html"), "from the host\n");
const serve = ["sh", "-c", "echo ready to serve; cd /www && httpd -f -v -p 80"];
const box = () => new GenericContainer("busybox");

const network = await new Network().start();
step("network", network.getId().length === 64);

const web = await box()
  .withName("tc-web")
  .withCommand(serve)
  .withExposedPorts(80)
  .withEnvironment({ COLOR: "blue" })
  .withLabels({ tier: "web" })
  .withNetwork(network)
  .withNetworkAliases("pages")
  .withBindMounts([{ source: scratch, target: "/bind", mode: "ro" }])
  .withTmpFs({ "/scratch": "rw,size=1m" })
  .withCopyFilesToContainer([{ source: join(scratch, "page.html"), target: "/www/index.html" }])
  .withCopyContentToContainer([{ content: "written here\n", target: "/www/content.html" }])
  .withHealthCheck({
    test: ["CMD-SHELL", "test -f /www/index.html"],
    interval: 200,
    timeout: 30_000,
    retries: 5,
  })
  .withResourcesQuota({ memory: 0.064, cpu: 0.5 })
  .withUlimits({ nofile: { soft: 100, hard: 200 } })
  .withAddedCapabilities("NET_ADMIN")
  .withDroppedCapabilities("NET_RAW")
  .withUser("0")
  .withWorkingDir("/")
  .withExtraHosts([{ host: "elsewhere", ipAddress: "10.1.2.3" }])
  .withSharedMemorySize(1 << 20)
  .withWaitStrategy(
    Wait.forAll([Wait.forHealthCheck(), Wait.forLogMessage("ready to serve"), Wait.forListeningPorts()]),
  )
  .start();
step("start, with three things waited for", web.getName().endsWith("tc-web"));
const page = async (path = "/") => {
  const response = await fetch(`http://${web.getHost()}:${web.getMappedPort(80)}${path}`);
  return response.text();
};
step("a copied file over a mapped port", (await page()) === "from the host\n");
step("copied content", (await page("/content.html")) === "written here\n");
const run = async (...command) => (await web.exec(command)).output;
step("exec", (await run("sh", "-c", "echo $COLOR")) === "blue\n");
step("exit code", (await web.exec(["sh", "-c", "exit 7"])).exitCode === 7);
step("stderr", (await web.exec(["sh", "-c", "echo e >&2"])).stderr === "e\n");
step(
  "exec with options",
  (
    await web.exec(["sh", "-c", "echo $X $(id -u) $(pwd)"], {
      env: { X: "1" },
      user: "1000",
      workingDir: "/tmp",
    })
  ).output === "1 1000 /tmp\n",
);
step("bind mount", (await run("cat", "/bind/page.html")) === "from the host\n");
step("bind mount is read-only", (await web.exec(["touch", "/bind/x"])).exitCode !== 0);
step("tmpfs", (await run("sh", "-c", "grep ' /scratch tmpfs' /proc/mounts")).includes("size=1024k"));
step("ulimit", (await run("sh", "-c", "ulimit -n")) === "100\n");
step("extra host", (await run("grep", "elsewhere", "/etc/hosts")).startsWith("10.1.2.3"));
step("shared memory", (await run("df", "-k", "/dev/shm")).includes(" 1024 "));
step("labels", web.getLabels().tier === "web");
step("address on the network", /^\d+\.\d+\.\d+\.\d+$/.test(web.getIpAddress(network.getName())));

const client = await box()
  .withNetwork(network)
  .withCommand(["sh", "-c", "wget -qO- http://pages/ && sleep 1000"])
  .withWaitStrategy(Wait.forLogMessage("from the host"))
  .start();
step("an alias on the network", client.getId().length === 64);
const lines = await client.logs();
const first = await new Promise((resolve) => lines.once("data", resolve));
step("logs", String(first).includes("from the host"));
await client.stop();

await web.copyContentToContainer([{ content: "later\n", target: "/www/later.html" }]);
step("copy into a running container", (await page("/later.html")) === "later\n");
step(
  "copy out of it",
  (await textOf(await web.copyArchiveFromContainer("/www/later.html"))).includes("later\n"),
);
await web.restart();
step("restart", await until(async () => (await page().catch(() => "")) === "from the host\n"));
const image = await web.commit({ repo: "tc/made", tag: "1", deleteOnExit: false });
step("commit", image.length > 0);
step("stop", (await web.stop()).getId() === web.getId());

const built = await GenericContainer.fromDockerfile(import.meta.dirname)
  .withBuildArgs({ WHO: "testcontainers" })
  .build("tc/built:1", { deleteOnExit: false });
const ran = await built.withWaitStrategy(Wait.forOneShotStartup()).start();
step("build and run once", (await textOf(await ran.logs())).includes("testcontainers"));
await ran.stop();
const quick = await box()
  .withCommand(["sh", "-c", "touch /there; sleep 1000"])
  .withWaitStrategy(Wait.forSuccessfulCommand("test -f /there"))
  .start();
step("wait for a command", true);
await quick.stop();
const slow = await refusal(() =>
  box()
    .withCommand(["sleep", "1000"])
    .withWaitStrategy(Wait.forLogMessage("never"))
    .withStartupTimeout(500)
    .start(),
);
step("a wait in vain ends", slow?.message.includes("never"));
const failing = await refusal(() => box().withCommand(["no-such-command"]).start());
step("a command that isn't there", failing?.message.includes("no-such-command"));
const reused = () => box().withCommand(["sleep", "1000"]).withReuse().start();
const [one, two] = [await reused(), await reused()];
step("reuse", one.getId() === two.getId());
await one.stop();
await network.stop();
step("the network is gone", true);
finish();
