"""docker-py against an engine: DOCKER_HOST names it. Prints a line for each step and stops at the first that fails."""

import io
import socket
import sys
import tarfile
import time

import docker
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker.types import Healthcheck, IPAMConfig, IPAMPool, LogConfig, Mount, Ulimit

client = docker.from_env(timeout=120)
steps = 0


def step(name, holds):
    global steps
    steps += 1
    print(f"{'ok' if holds else 'FAILED'} {steps} {name}", flush=True)
    if not holds:
        sys.exit(1)


def raises(kind, call):
    try:
        call()
    except kind:
        return True
    return False


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


step("ping", client.ping())
step("version", client.version()["ApiVersion"] >= "1.41")
step("info", client.info()["OSType"] == "linux")
step("images", any("busybox:latest" in image.tags for image in client.images.list()))
busybox = client.images.get("busybox")
step("image attributes", busybox.attrs["Os"] == "linux" and busybox.id.startswith("sha256:"))
step("image history", len(busybox.history()) >= 1)
step("tag", busybox.tag("py/copy", "1") and client.images.get("py/copy:1").id == busybox.id)
client.images.remove("py/copy:1")
step("remove a tag", raises(ImageNotFound, lambda: client.images.get("py/copy:1")))
pushed = list(client.images.push("py/none", stream=True, decode=True, auth_config={}))
step("push of nothing is told in the stream", "does not exist locally" in pushed[-1].get("error", ""))
step("a pull that finds nobody fails", raises(APIError, lambda: client.images.pull("127.0.0.1:9/none", "1")))

step("run to the end", client.containers.run("busybox", "echo hello", remove=True) == b"hello\n")
step("stderr", client.containers.run("busybox", ["sh", "-c", "echo e >&2"], stdout=False, stderr=True, remove=True) == b"e\n")
try:
    client.containers.run("busybox", ["sh", "-c", "echo why >&2; exit 3"], remove=True)
    failure = None
except ContainerError as error:
    failure = error
step("a failing command", failure is not None and failure.exit_status == 3 and b"why" in failure.stderr)

network = client.networks.create(
    "py-net", driver="bridge", labels={"made": "here"},
    ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="10.240.7.0/24", gateway="10.240.7.1")]),
)
step("network", client.networks.get("py-net").attrs["IPAM"]["Config"][0]["Subnet"] == "10.240.7.0/24")
volume = client.volumes.create("py-data", labels={"made": "here"})
step("volume", client.volumes.get("py-data").attrs["Labels"] == {"made": "here"})

web = client.containers.run(
    "busybox", ["sh", "-c", "echo page > /www/index.html; httpd -f -p 80 -h /www"], name="py-web", detach=True,
    network="py-net", hostname="web-host", environment={"COLOR": "blue"}, labels={"tier": "web"},
    ports={"80/tcp": ("127.0.0.1", None)}, volumes={"py-data": {"bind": "/www", "mode": "rw"}}, mem_limit="64m",
    nano_cpus=500_000_000, ulimits=[Ulimit(name="nofile", soft=100, hard=200)], read_only=True, cap_drop=["NET_RAW"],
    tmpfs={"/scratch": "size=1m"}, extra_hosts={"elsewhere": "10.1.2.3"}, log_config=LogConfig(type="json-file", config={"max-size": "1m"}),
    healthcheck=Healthcheck(test=["CMD", "test", "-f", "/www/index.html"], interval=200_000_000), init=True,
    restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
)
step("run detached", web.status == "created" and (web.reload() or web.status == "running"))
step("configuration", web.attrs["HostConfig"]["Memory"] == 64 << 20 and web.attrs["Config"]["Hostname"] == "web-host")
step("list by label", [c.name for c in client.containers.list(filters={"label": "tier=web"})] == ["py-web"])
port = int(web.ports["80/tcp"][0]["HostPort"])


def page():
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"page" in connection.makefile("rb").read()
    except OSError:
        return False


step("a published port", until(page))
peer = client.containers.run("busybox", "wget -qO- http://py-web/", network="py-net", remove=True)
step("a name on the network", peer == b"page\n")
step("health", until(lambda: web.reload() or web.attrs["State"].get("Health", {}).get("Status") == "healthy"))
step("top", any("httpd" in " ".join(row) for row in web.top()["Processes"]))
stats = web.stats(stream=False)
step("stats", stats["memory_stats"]["limit"] == 64 << 20 and stats["pids_stats"]["current"] >= 1)

code, output = web.exec_run("sh -c 'echo $COLOR; ulimit -n'")
step("exec", code == 0 and output == b"blue\n100\n")
code, output = web.exec_run("sh -c 'echo o; echo e >&2; exit 5'", demux=True)
step("exec with both streams", code == 5 and output == (b"o\n", b"e\n"))
step("exec as another user", web.exec_run("id -u", user="1000").output == b"1000\n")
handle = client.api.exec_create(web.id, "cat", stdin=True)["Id"]
raw = client.api.exec_start(handle, socket=True)._sock
raw.sendall(b"through\n")
raw.shutdown(socket.SHUT_WR)
echoed = b""
while chunk := raw.recv(4096):
    echoed += chunk
step("exec with stdin and half-close", echoed.endswith(b"through\n") and client.api.exec_inspect(handle)["ExitCode"] == 0)

archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("uploaded")
    entry.size = 4
    tar.addfile(entry, io.BytesIO(b"data"))
step("put an archive", web.put_archive("/www", archive.getvalue()))
stream, stat = web.get_archive("/www/uploaded")
with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
    content = tar.extractfile("uploaded").read()
step("get an archive", content == b"data" and stat["name"] == "uploaded" and stat["size"] == 4)

talker = client.containers.run("busybox", ["sh", "-c", "for i in 1 2 3; do echo line $i; done; sleep 1000"], detach=True, name="py-talk")
step("logs", until(lambda: talker.logs() == b"line 1\nline 2\nline 3\n"))
step("the last line", talker.logs(tail=1) == b"line 3\n")
step("logs with times", talker.logs(timestamps=True).split(b"\n")[0].endswith(b"Z line 1"))
follow = talker.logs(stream=True, follow=True)
step("follow", b"".join(next(follow) for _ in range(3)).startswith(b"line 1\n"))
follow.close()
step("pause", (talker.pause(), talker.reload(), talker.status)[-1] == "paused")
step("unpause", (talker.unpause(), talker.reload(), talker.status)[-1] == "running")
talker.rename("py-renamed")
step("rename", client.containers.get("py-renamed").id == talker.id)
step("update", talker.update(mem_limit="32m", memswap_limit="64m") is not None and (talker.reload() or talker.attrs["HostConfig"]["Memory"] == 32 << 20))
step("diff", talker.diff() in (None, []) or isinstance(talker.diff(), list))
step("kill", (talker.kill(signal="SIGKILL"), talker.wait()["StatusCode"])[-1] == 137)
talker.start()
step("start again", (talker.reload(), talker.status)[-1] == "running")
talker.restart(timeout=0)
step("restart", (talker.reload(), talker.status)[-1] == "running")
talker.stop(timeout=0)
step("stop", (talker.reload(), talker.status)[-1] == "exited")
image = talker.commit("py/made", "1", message="note", changes="ENV ADDED=yes")
step("commit", client.containers.run(image.id, "env", remove=True).find(b"ADDED=yes") >= 0)
step("export", len(b"".join(talker.export())) > 100_000)

dockerfile = io.BytesIO(b"FROM busybox\nARG WHO=nobody\nRUN echo $WHO > /who\nCMD [\"cat\", \"/who\"]\n")
built, messages = client.images.build(fileobj=dockerfile, tag="py/built:1", buildargs={"WHO": "docker-py"}, rm=True)
step("build", any("stream" in message for message in messages) and client.containers.run("py/built:1", remove=True) == b"docker-py\n")
saved = b"".join(built.save(named=True))
client.images.remove("py/built:1", force=True)
loaded = client.images.load(saved)
step("save and load", loaded[0].id == built.id and "py/built:1" in loaded[0].tags)

mounted = client.containers.run(
    "busybox", "cat /m/uploaded", remove=True, mounts=[Mount(target="/m", source="py-data", type="volume", read_only=True)]
)
step("mounts", mounted == b"data")
network.connect(talker, aliases=["friend"])
talker.start()
step("connect", (talker.reload(), "py-net" in talker.attrs["NetworkSettings"]["Networks"])[-1])
network.disconnect(talker)
step("disconnect", (talker.reload(), "py-net" not in talker.attrs["NetworkSettings"]["Networks"])[-1])
tty = client.api.create_container("busybox", "sh", tty=True, stdin_open=True, name="py-tty")
attached = client.api.attach_socket(tty["Id"], params={"stdin": 1, "stdout": 1, "stream": 1})._sock
client.api.start(tty["Id"])
client.api.resize(tty["Id"], height=10, width=33)
attached.sendall(b"stty size; exit 4\n")
seen = b""
while chunk := attached.recv(4096):
    seen += chunk
step("a terminal", b"10 33" in seen and client.api.wait(tty["Id"])["StatusCode"] == 4)

events = client.api.events(since=int(time.time()) - 60, until=int(time.time()) + 1, decode=True, filters={"container": "py-web"})
actions = [event["Action"] for event in events]
step("events", "create" in actions and "start" in actions and "exec_create: cat " in actions)
step("nobody", raises(NotFound, lambda: client.containers.get("nobody")))
step("a taken name", raises(APIError, lambda: client.containers.create("busybox", name="py-web")))
step("disk usage", len(client.df()["Images"]) >= 1)
for container in client.containers.list(all=True, filters={"name": "py-"}):
    container.remove(force=True, v=True)
step("remove", client.containers.list(all=True, filters={"name": "py-"}) == [])
network.remove()
volume.remove()
step("remove network and volume", raises(NotFound, lambda: client.networks.get("py-net")) and raises(NotFound, lambda: client.volumes.get("py-data")))
step("prune", "ContainersDeleted" in client.containers.prune() and "ImagesDeleted" in client.images.prune())
print(f"{steps} steps")
