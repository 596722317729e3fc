/**
 * The same command lines by Docker's client and by ours, against one engine: what they print and how they end must be
 * the same, but for the program's name.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BothClients, words } from "./support/both-clients.ts";
import { TestDaemon } from "./support/daemon.ts";
import { recentDocker } from "./support/docker-cli.ts";

let daemon: TestDaemon;
let clients: BothClients;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  clients = new BothClients(daemon);
  const ok = (line: string) => daemon.ok(words(line));
  await ok("network create --label tier=back back");
  await ok("volume create --label keep=yes data");
  await ok(
    "run -d --name web --label a=1 --label b=two -p 127.0.0.1:17681:80 -v data:/d -e X=1 busybox top -d 9",
  );
  await ok("run -d --name held --network back busybox sleep 1000");
  await ok("pause held");
  await daemon.gantry(words("run --name ended busybox sh -c 'echo out; sleep 0.1; echo err >&2; exit 3'"));
  await ok("create --name never busybox true");
  await ok("tag busybox app:1");
  mkdirSync(join(daemon.root, "formats"));
  const formats = {
    psFormat: "{{.Names}}: {{.Image}}",
    imagesFormat: "{{.Repository}}",
    networksFormat: "table {{.Name}}\t{{.Driver}}",
    volumesFormat: "{{.Name}}",
    statsFormat: "{{.Name}}",
  };
  writeFileSync(join(daemon.root, "formats/config.json"), JSON.stringify(formats));
  writeFileSync(join(daemon.root, "env"), "# comment\nA=1\nB\n");
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const looking = [
  "ps",
  "ps -a",
  "ps -aq",
  "ps -a --no-trunc",
  "ps -as --filter name=web",
  "ps -n 2",
  "ps -l",
  "ps -a --format json",
  "ps -a --format '{{.ID}} {{.Names}} {{.Ports}} {{.Labels}} {{.Mounts}} {{.Networks}} {{.LocalVolumes}}'",
  "ps -a --format 'table {{.Names}}\\t{{.State}}\\t{{.Label `a`}}\\t{{.RunningFor}}'",
  "ps -a --format '{{upper .Names}} {{.Image | printf `%-10s|`}} {{json .Labels}} {{.Platform}}'",
  "ps -a --filter status=exited --format {{.Names}}",
  "ps -a --filter exited=3 --format {{.Names}}",
  "ps -a --filter label=a=1 --filter network=bridge --format {{.Names}}",
  "ps -a --filter volume=data --filter ancestor=busybox --format {{.Names}}",
  "ps -a --filter before=never --format {{.Names}}",
  "ps -a --filter since=web --format {{.Names}}",
  "ps -a --filter publish=17681 --format {{.Names}}",
  "ps -a --filter health=none --format {{.Names}}",
  "ps --filter nonsense=1",
  "ps --filter nonsense",
  "ps --format '{{.Nothing}}'",
  "ps --format '{{.ID'",
  "container ls -a --format '{{.Status}}'",
  "images",
  "images -q --no-trunc",
  "images --digests",
  "images --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}' busybox",
  "image ls --format json",
  "image inspect -f '{{.Os}}/{{.Architecture}} {{len .RootFS.Layers}}' busybox",
  "history busybox",
  "history --no-trunc --format '{{.CreatedBy}}' busybox",
  "network ls",
  "network ls --no-trunc --format json",
  "network ls -q --filter driver=bridge",
  "network inspect -f '{{.Name}} {{.Driver}} {{.Labels.tier}}' back",
  "network inspect back",
  "volume ls",
  "volume ls --format json",
  "volume ls -q --filter label=keep",
  "volume inspect data",
  "inspect web",
  "inspect --size -f '{{.SizeRw}} {{.Name}}' web",
  "inspect --type network -f '{{.Name}}' back",
  "inspect --type volume nothing",
  "inspect --type nonsense web",
  "inspect --type network --size -f '{{.Name}}' back",
  "inspect -f '{{range .Config.Env}}{{println .}}{{end}}' web",
  "inspect -f '{{index .Config.Labels `a`}} {{json .State.Status}} {{json .HostConfig.PortBindings}}' web",
  "inspect -f '{{.HostConfig.PortBindings}}' web",
  "inspect web nothing",
  "container inspect -f '{{.State.ExitCode}}' ended",
  "inspect -f '{{.Nothing}}' web",
  "logs ended",
  "logs --tail 1 ended",
  "logs -n 0 ended",
  "logs nothing",
  "port web",
  "port web 80/tcp",
  "port web 81",
  "top web -o pid,comm",
  "top ended",
  "diff ended",
  "stats --no-stream --format '{{.Name}} {{.ID}}' web",
  "stats --no-stream nothing",
  "system df --format '{{.Type}} {{.TotalCount}} {{.Active}}'",
  "system df",
  "system df -v",
  "info -f '{{.ServerVersion}} {{.NCPU}}'",
  "version -f '{{.Server.Version}} {{.Server.APIVersion}}'",
  "events --since 1h --until 0s --filter type=volume",
  "events --since 1h --until 0s --filter container=ended --format json",
  "events --since 1h --until 0s --filter event=die --format '{{.Type}} {{.Actor.Attributes.exitCode}}'",
  "context ls",
  "context ls --format json",
  "context show",
  "context inspect -f {{.Name}}",
  "wait ended",
  "--config formats ps -a",
  "--config formats ps -aq",
  "--config formats ps --format table",
  "--config formats images",
  "--config formats network ls",
  "--config formats volume ls",
  "--config formats stats --no-stream web",
];

const doing = [
  "run --rm busybox echo hi",
  "run --rm busybox sh -c 'echo out; echo err >&2; exit 5'",
  "run --rm -i busybox cat",
  "run --rm busybox sh -c 'kill -9 0; exit 1'",
  "run --rm --init busybox sh -c 'kill -TERM $$'",
  "run -d --name ME busybox true",
  "wait ME",
  "rename ME ME2",
  "start -a ME2",
  "rm ME2",
  "rm ME2",
  "rm -f ME2",
  "create --name ME -e B=2 --env-file env --label-file env --stop-signal INT busybox sleep 99",
  "inspect -f '{{.Config.Env}} {{.Config.Labels}} {{.Config.StopSignal}}' ME",
  "start ME",
  "restart -t 0 ME",
  "exec ME sh -c 'exit 9'",
  "exec -w /tmp -e Q=1 -u 1:1 ME sh -c 'pwd; echo $Q; id -u'",
  "exec ME nothing",
  "exec nothing true",
  "exec ended true",
  "update --restart on-failure:3 ME",
  "update ME",
  "pause ME",
  "exec ME true",
  "unpause ME",
  "unpause ME",
  "kill -s KILL ME",
  "kill ME",
  "stop ME",
  "cp ME:/etc/hostname -",
  "cp ME:/nothing .",
  "cp nothing:/x .",
  "commit -c 'LABEL x=y' ME ME:1",
  "tag ME:1 ME:2",
  "tag nothing ME:3",
  "rmi nothing",
  "rm ME",
  "volume create ME",
  "volume rm ME",
  "volume rm ME",
  "volume rm data",
  "volume update data",
  "network create ME",
  "network connect ME ended",
  "network disconnect ME ended",
  "network rm ME",
  "network rm nothing",
  "network rm -f nothing",
  "volume rm -f nothing",
  "rmi -f nothing",
  "network rm back",
  "context create ME --docker host=tcp://127.0.0.1:1 --description text",
  "context inspect -f '{{.Endpoints.docker.Host}}' ME",
  "context export ME -",
  "context rm ME",
  "context rm ME",
  "run --rm busybox nothing",
  "run --rm busybox /etc",
  "run --rm --pull never nothing",
  "run --rm -p x busybox",
  "run --rm --memory 1 busybox true",
  "run --rm --network nothing busybox true",
  "run -d --rm --restart always busybox",
  "run --cidfile env busybox",
  "run --attach nonsense busybox",
  "run",
  "rm",
  "ps extra",
  "start",
  "attach ended",
  "attach held",
  "container nonsense",
  "ps --nonsense",
  "ps -z",
  "run --memory x busybox",
  "run --dns x busybox",
  "run --label '' busybox",
  "run --sysctl kernel.foo=1 busybox",
  "logout reg.invalid",
];

/** Where the clients differ, and why that is right. */
const differences: Record<string, string> = {
  "inspect -f '{{.HostConfig.PortBindings}}' web": "Go prints structs without the names of their fields",
  "context export ME -": "Docker's archive lacks the blocks of zeros at its end",
};

/** What is said of failures differs: Docker's templates name the place, and some lines say nothing. */
const saidOtherwise = new Set([
  "ps --format '{{.Nothing}}'",
  "ps --format '{{.ID'",
  "inspect -f '{{.Nothing}}' web",
  // Docker has more types.
  "inspect --type nonsense web",
  // Docker adds "exit status 1".
  "network rm nothing",
  "network rm back",
  // We add what may have been meant.
  "container nonsense",
]);

const lines = [...looking, ...doing].filter((line) => !Object.hasOwn(differences, line));
test.skipIf(!recentDocker).each(lines)("%s", async (line) => {
  const { docker, gantry } = looking.includes(line) ? await clients.agreed(line) : await clients.both(line);
  if (saidOtherwise.has(line)) gantry.stderr = docker.stderr;
  expect(gantry).toEqual(docker);
});
