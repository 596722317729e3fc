/** Command lines with mistakes in them, by Docker's client and by ours: the same words and the same exit codes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { BothClients } from "./support/both-clients.ts";
import { TestDaemon } from "./support/daemon.ts";
import { recentDocker } from "./support/docker-cli.ts";

let daemon: TestDaemon;
let clients: BothClients;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  clients = new BothClients(daemon);
  await daemon.ok(["create", "--name", "ended", "busybox"]);
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const corpus = `
create nope/nope/nope:x --pull never
create --pull never nope
create --pull bad busybox
create --name '-x' busybox
create -m 1 busybox
create -m x busybox
create --cpus x busybox
create --memory-swap 5 busybox
create --memory 10m --memory-swap 5m busybox
create --memory-swappiness 200 busybox
create --ulimit x busybox
create --ulimit nofile=5:1 busybox
create --ulimit nope=1 busybox
create --device nope busybox
create --device /dev/null:/dev/x:q busybox
create --device-cgroup-rule x busybox
create --device-read-bps x busybox
create --device-read-bps /dev/null busybox
create --blkio-weight-device x busybox
create -v x:y:z:w busybox
create -v rel:/a:nope busybox
create --mount x busybox
create --mount type=nope,dst=/a busybox
create --mount type=bind,dst=/a busybox
create --mount type=bind,src=/nope,dst=/a busybox
create --mount type=bind,src=/tmp,dst=/a,nope=1 busybox
create --mount type=bind,src=/tmp,dst=/a,readonly=x busybox
create --mount type=tmpfs,src=/x,dst=/a busybox
create --mount type=tmpfs,dst=/a,bind-propagation=shared busybox
create --mount type=image,src=nope,dst=/a busybox
create --tmpfs rel busybox
create --tmpfs /a:nope busybox
create -e '=x' busybox
create -e '' busybox
create --env-file nope busybox
create -l '=x' busybox
create --label-file nope busybox
create --network container:nope busybox
create --network a,b busybox
create --network nope busybox
create --ip 1.2.3.4 busybox
create --link nope busybox
create --link a:b:c busybox
create --add-host x busybox
create --add-host x:y busybox
create --dns x busybox
create -p x busybox
create -p 80:x busybox
create -p 1.2.3.4.5:80:80 busybox
create -p 99999:80 busybox
create -p 80:80/nope busybox
create --restart nope busybox
create --restart always:3 busybox
create --restart on-failure:x busybox
create --rm --restart always busybox
create --stop-signal NOPE busybox
create --stop-timeout x busybox
create --health-interval 1us busybox
create --health-interval x busybox
create --health-retries -1 busybox
create --no-healthcheck --health-cmd x busybox
create --security-opt nope busybox
create --security-opt no-new-privileges=maybe busybox
create --cap-add nope busybox
create --cap-drop nope busybox
create --userns nope busybox
create --uts nope busybox
create --pid nope busybox
create --ipc nope busybox
create --cgroupns nope busybox
create --isolation nope busybox
create --runtime nope busybox
create --log-driver nope busybox
create --log-driver none --log-opt x=1 busybox
create --log-opt nope busybox
create --log-opt max-size=x busybox
create --sysctl x busybox
create --sysctl kernel.foo=1 busybox
create --shm-size x busybox
create --storage-opt x busybox
create --storage-opt size=1g busybox
create --oom-score-adj 5000 busybox
create --pids-limit x busybox
create --workdir rel busybox
create --platform linux/s390x busybox
create --cidfile /nope/x busybox
create -a nope busybox
create --volumes-from nope busybox
create --volume-driver nope -v x:/a busybox
ps -a -f id=nope
ps -a -f since=nope
inspect nope nope2
container inspect nope
logs --tail 5 -t nope
port nope
top nope
diff nope
stats --no-stream --format json nope
wait nope
rename nope x
kill nope
stop nope
start nope
start nope nope2
start -a nope
start -ai ended nope
restart nope
pause nope
unpause nope
rm nope
rm -f nope
rm -v nope
update nope --memory 100m
attach nope
cp nope:/x /tmp
export nope
commit nope
container prune --filter nope=1 -f
system nope
context rm nope
context create bad1 --docker host=nope
context create bad1 --docker nope=1
--context nope ps
-c nope ps
volume inspect nope
network inspect nope
inspect
logs
port
top
diff
wait
kill
stop
restart
pause
exec
attach
cp
export
commit
create
run -d -a stdout busybox
export -o /nope/x ended
rename nothing x
logs ended extra
logs --since x ended
commit
port
cp
run --rm busybox sh -c 'exit 255'
run --rm -u nope busybox true
run --rm -w /new/dir busybox pwd
run --rm --entrypoint '' busybox echo x
run --rm --domainname d.e -h host1 busybox hostname -d
run --rm --stop-signal 9 busybox true
`;

test.skipIf(!recentDocker).each(corpus.trim().split("\n"))("%s", async (line) => {
  const { docker, gantry } = await clients.both(line);
  expect(gantry).toEqual(docker);
});
