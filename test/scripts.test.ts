/** What scripts written for Docker rely on, and would notice: the same by Docker's client and by ours. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Result, run, TestDaemon, until } from "./support/daemon.ts";

let daemon: TestDaemon;
beforeAll(async () => {
  daemon = await TestDaemon.start();
  await Bun.write(join(daemon.root, "file"), "of the host\n");
});
afterAll(() => daemon?.[Symbol.asyncDispose]());

const clients: [string, (args: string[]) => Promise<Result>][] = [
  ["gantry", (args) => daemon.gantry(args)],
  ["docker", (args) => daemon.docker(args)],
];

describe.each(clients)("%s", (name, client) => {
  const c = (suffix: string) => `${name}-${suffix}`;
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await client(args);
    if (code !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
    return stdout.trimEnd();
  };
  const once = (flags: string[], ...command: string[]) => ok("run", "--rm", ...flags, "busybox", ...command);

  test("a file of the host is there, also read-only", async () => {
    const file = join(daemon.root, "file");
    expect(await once(["-v", `${file}:/etc/f`], "cat", "/etc/f")).toBe("of the host");
    for (const flags of [
      ["-v", `${file}:/etc/f:ro`],
      ["--mount", `type=bind,src=${file},dst=/etc/f,readonly`],
    ]) {
      expect(await once(flags, "cat", "/etc/f")).toBe("of the host");
      const touched = await client(["run", "--rm", ...flags, "busybox", "touch", "/etc/f"]);
      expect(touched.stderr).toContain("Read-only file system");
    }
  });

  test("a volume at /etc leaves the container its names", async () => {
    const found = await once(["-v", `${c("etc")}:/etc:nocopy`], "cat", "/etc/hosts");
    expect(found).toContain("localhost");
    await ok("volume", "rm", c("etc"));
  });

  test("with the host's network goes the host's name", async () => {
    expect(await once(["--network", "host"], "hostname")).toBe(hostname());
  });

  test("who joins a container's network has its name, its hosts and its resolver", async () => {
    await ok("network", "create", c("net"));
    const sleeper = (suffix: string, ...flags: string[]) =>
      ok("run", "-d", "--name", c(suffix), "--network", c("net"), ...flags, "busybox", "sleep", "1000");
    await sleeper("main", "--hostname", "leader");
    await sleeper("other");
    const joined = await once(
      ["--network", `container:${c("main")}`],
      ...["sh", "-c", `hostname; grep -c leader /etc/hosts; cat /etc/resolv.conf; ping -c1 ${c("other")}`],
    );
    expect(joined).toStartWith("leader\n1\n");
    expect(joined).toContain("nameserver 127.0.0.11");
    expect(joined).toContain("1 packets received");
    // What the joined one wrote and left is the first one's still.
    expect(await ok("exec", c("main"), "hostname")).toBe("leader");
    await ok("rm", "-f", c("main"), c("other"));
    await ok("network", "rm", c("net"));
  });

  test("the way out is the network that leads out, whichever is named first or left", async () => {
    const [inner, outer] = [c("inner"), c("outer")] as const;
    await ok("network", "create", "--internal", inner);
    await ok("network", "create", outer);
    await ok(
      "create",
      "--name",
      c("two"),
      "--network",
      inner,
      "-p",
      "127.0.0.1::80",
      "busybox",
      "httpd",
      "-f",
    );
    await ok("network", "connect", outer, c("two"));
    await ok("start", c("two"));
    const routes = async () =>
      (await ok("exec", c("two"), "ip", "route")).split("\n").filter((line) => line.startsWith("default"))
        .length;
    const answers = async () => {
      const { stdout: address } = await client(["port", c("two"), "80"]);
      if (address.trim() === "") return undefined;
      return fetch(`http://${address.trim()}/`).then(
        ({ status }) => status,
        () => "refused",
      );
    };
    await until(async () => (await answers()) === 404, "the server");
    expect([await routes(), await answers()]).toEqual([1, 404]);
    await ok("network", "disconnect", outer, c("two"));
    expect([await routes(), await answers()]).toEqual([0, undefined]);
    await ok("network", "connect", outer, c("two"));
    expect([await routes(), await answers()]).toEqual([1, 404]);
    await ok("network", "connect", "bridge", c("two"));
    await ok("network", "disconnect", outer, c("two"));
    expect([await routes(), await answers()]).toEqual([1, 404]);
    await ok("rm", "-f", c("two"));
    await ok("network", "rm", inner, outer);
  });

  test("diff and volume sizes do not follow what a container links to", async () => {
    await ok("run", "--name", c("links"), "busybox", "ln", "-s", "/etc", "/out");
    expect((await ok("diff", c("links"))).split("\n")).toEqual(["A /out"]);
    await ok("rm", c("links"));
  });

  test("a user's own group is among its groups", async () => {
    expect(await once(["-u", "1000:1000", "--group-add", "7"], "id", "-G")).toBe("1000 7");
  });

  test("stats of a container that does not run come at once", async () => {
    await ok("create", "--name", c("idle"), "busybox");
    expect(await ok("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}}", c("idle"))).toBe(
      `${c("idle")} 0.00%`,
    );
    await ok("rm", c("idle"));
  });

  test("exec tells in the stream what hinders it, and by its code", async () => {
    await ok("run", "-d", "--name", c("busy"), "busybox", "sleep", "1000");
    const nobody = await client(["exec", "-u", "nosuch", c("busy"), "true"]);
    expect(nobody.code).toBe(126);
    expect(nobody.stdout + nobody.stderr).toContain(
      "unable to find user nosuch: no matching entries in passwd file",
    );
    await ok("rm", "-f", c("busy"));
  });

  test("start -a of one that runs already attaches", async () => {
    await ok("run", "-d", "--name", c("runs"), "busybox", "sh", "-c", "sleep 1; echo late; exit 3");
    expect(await client(["start", "-a", c("runs")])).toMatchObject({ code: 3, stdout: "late\n" });
    await ok("rm", c("runs"));
  });

  test("what moves files in and out is an event", async () => {
    const since = (Date.now() / 1000).toFixed(3);
    await ok("create", "--name", c("copied"), "busybox");
    await ok("cp", join(daemon.root, "file"), `${c("copied")}:/tmp/file`);
    await ok("cp", `${c("copied")}:/tmp/file`, join(daemon.root, c("back")));
    await ok("export", "-o", join(daemon.root, c("tar")), c("copied"));
    const end = ((Date.now() + 10) / 1000).toFixed(3);
    const told = await ok(
      ...["events", "--since", since, "--until", end, "-f", `container=${c("copied")}`],
      ...["--format", "{{.Action}}"],
    );
    expect(told.split("\n")).toEqual(["create", "extract-to-dir", "archive-path", "export"]);
    await ok("rm", c("copied"));
  });

  /** Of these Docker's client must never take a refusal for a missing image, and pull. */
  test.each([
    ["--network nosuch busybox", "network nosuch not found"],
    ["--network container:nosuch busybox", "No such container: nosuch"],
    ["--volumes-from nosuch busybox", "No such container: nosuch"],
    [
      "--network none --ip 1.2.3.4 busybox",
      "user specified IP address is supported on user defined networks only",
    ],
    ["--tmpfs /x:foo=bar busybox", 'invalid tmpfs option ["foo" "bar"]'],
    ["--restart foo busybox", "invalid restart policy: unknown policy 'foo'"],
    ["--mount type=foo,dst=/x busybox", 'invalid mount config for type "foo": mount type unknown'],
    [
      "--mount type=bind,dst=/x busybox",
      'invalid mount config for type "bind": field Source must not be empty',
    ],
    [
      "--mount type=tmpfs,src=x,dst=/x busybox",
      'invalid mount config for type "tmpfs": field Source must not be specified',
    ],
    ["-v /tmp:/x:rx busybox", "invalid volume specification: '/tmp:/x:rx': invalid mode: rx"],
    [
      "-v /tmp:/ busybox",
      `invalid volume specification: '/tmp:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`,
    ],
    [
      "-v /tmp:relative busybox",
      `invalid volume specification: '/tmp:relative': invalid mount config for type "bind": invalid mount path: 'relative' mount path must be absolute`,
    ],
    [
      "--pull never --platform linux/s390x busybox",
      "image with reference busybox was found but its platform (linux/amd64) does not match the specified platform (linux/s390x)",
    ],
  ])("run %s", async (line, message) => {
    const { code, stderr } = await client(["run", ...line.split(" ")]);
    expect(code).toBe(125);
    expect(stderr.toLowerCase()).toContain(message.toLowerCase());
    expect(stderr).not.toContain("Unable to find image");
    expect(await ok("ps", "-aq")).toBe("");
  });
});

test("a file that can't be opened is named, in the words of other programs", async () => {
  const { code, stderr } = await run([
    ...[join(import.meta.dir, "../dist/gantry"), "run", "--env-file", "/nosuch/file", "busybox"],
  ]);
  expect(code).toBe(125);
  expect(stderr).toContain("open /nosuch/file: no such file or directory");
});
