import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Cancelled, Forbidden } from "../lib/errors.ts";
import { BuildStepFailed, DockerfileError } from "./index.ts";
import { BuildLab, nothingLeft } from "./testing.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => lab[Symbol.asyncDispose]());
afterEach(async () => expect(await lab.settled()).toEqual(nothingLeft));

const text = (root: string, path: string) => readFileSync(join(root, path), "utf8");

describe("an image", () => {
  test("of every instruction", async () => {
    const built = await lab.build(
      {
        Dockerfile: `
FROM busybox
ARG VERSION=1
ENV A=b C="$A d" V=$VERSION
LABEL one=1 two="2 3"
WORKDIR /srv
WORKDIR app
COPY app.txt ./
RUN echo ran > out && pwd && echo $VERSION
EXPOSE 80 53/udp
VOLUME /data
USER app
SHELL ["/bin/sh", "-ec"]
CMD echo hi
ENTRYPOINT ["/bin/echo"]
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
ONBUILD RUN echo later
MAINTAINER me <me@example.org>
`,
        "app.txt": "hello",
      },
      { buildArgs: { VERSION: "7" }, labels: { extra: "x" }, tags: ["all:latest"] },
    );
    const config = lab.config(built);
    expect(config.config).toEqual({
      Env: ["PATH=/bin", "BASE=1", "A=b", "C= d", "V=7"],
      Labels: { one: "1", two: "2 3", extra: "x" },
      WorkingDir: "/srv/app",
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
      Volumes: { "/data": {} },
      User: "app",
      Shell: ["/bin/sh", "-ec"],
      Cmd: ["/bin/sh", "-ec", "echo hi"],
      Entrypoint: ["/bin/echo"],
      StopSignal: "SIGINT",
      Healthcheck: { Test: ["CMD-SHELL", "true"], Interval: 5e9 },
      OnBuild: ["RUN echo later"],
    });
    expect(config.author).toBe("me <me@example.org>");
    expect(built.output).toBe("/srv/app\n7\n");
    const history = config.history!;
    expect(history.length).toBe(18);
    expect(history.filter(({ empty_layer }) => !empty_layer).length).toBe(config.rootfs.diff_ids.length);
    expect(history.map(({ created_by }) => created_by)).toContain(
      "RUN |1 VERSION=7 /bin/sh -c echo ran > out && pwd && echo $VERSION",
    );
    expect(lab.backend.store.images.byName("all:latest")!.id).toBe(built.imageId);
    lab.look(built, (root) => {
      expect([text(root, "srv/app/app.txt"), text(root, "srv/app/out")]).toEqual(["hello", "ran\n"]);
    });
  });

  test("of directories for the user of the steps", async () => {
    const built = await lab.build({ Dockerfile: "FROM busybox\nUSER app\nWORKDIR /w/x\nUSER 5\nWORKDIR y" });
    lab.look(built, (root) => {
      const owners = ["w", "w/x", "w/x/y"]
        .map((path) => statSync(join(root, path)))
        .map((s) => [s.uid, s.gid]);
      expect(owners).toEqual([
        [1000, 1001],
        [1000, 1001],
        [5, 5],
      ]);
    });
    const unknown = await lab.build({ Dockerfile: "FROM busybox\nUSER nobody\nWORKDIR /w" });
    lab.look(unknown, (root) => expect(statSync(join(root, "w")).uid).toBe(0));
  });

  test("of nothing", async () => {
    const built = await lab.build({ Dockerfile: "FROM scratch\nCOPY a /", a: "1" });
    expect(lab.config(built).rootfs.diff_ids.length).toBe(1);
    lab.look(built, (root) => expect(readdirSync(root)).toEqual(["a"]));
  });

  test("of a Dockerfile from elsewhere, and of one by another name", async () => {
    const text = await lab.build({}, { dockerfile: { text: "FROM busybox\nCMD a" } });
    expect(lab.run(text).Cmd).toEqual(["/bin/sh", "-c", "a"]);
    const named = await lab.build({ "d/other": "FROM busybox\nCMD b" }, { dockerfile: { path: "d/other" } });
    expect(lab.run(named).Cmd).toEqual(["/bin/sh", "-c", "b"]);
  });

  test("its layers unpack elsewhere to the same tree", async () => {
    const built = await lab.build({ Dockerfile: "FROM scratch\nCOPY a /x/\nCOPY b /x/", a: "1", b: "2" });
    const { store } = lab.backend;
    const { config, layers } = store.images.get(built.imageId)!;
    for (const [i, { descriptor }] of layers.entries()) {
      const plain = Bun.gunzipSync(Buffer.from(await store.content.bytes(descriptor.digest)));
      const digest = new Bun.CryptoHasher("sha256").update(plain).digest("hex");
      expect(`sha256:${digest}`).toBe(config.rootfs.diff_ids[i]!);
    }
  });
});

describe("the cache", () => {
  const files = {
    Dockerfile:
      "FROM busybox\nWORKDIR /w\nCOPY a .\nRUN cat a > c1\nCOPY b .\nRUN cat b > c2\nENV x=y\nRUN echo $x > c3",
    a: "cached-a",
    b: "cached-b",
  };
  const steps = files.Dockerfile.split("\n").slice(1);

  test("gives the same image for the same input, whatever the times", async () => {
    const first = await lab.build(files);
    expect(first.cached).toEqual([]);
    await Bun.sleep(5);
    const second = await lab.build(files);
    expect(second.cached).toEqual(steps);
    expect(second.imageId).toBe(first.imageId);
    expect(second.image!.descriptor).toEqual(first.image!.descriptor);
  });

  test("loses only what reads a changed file, and what comes after", async () => {
    await lab.build(files);
    const changed = await lab.build({ ...files, b: "changed" });
    expect(changed.cached).toEqual(steps.slice(0, 3));
    expect(changed.done.slice(1)).toEqual(steps.slice(3));
    const unread = await lab.build({ ...files, unread: "1" });
    expect(unread.done).toEqual(["FROM busybox"]);
  });

  test("a label costs no RUN after it", async () => {
    await lab.build(files);
    const Dockerfile = files.Dockerfile.replace("WORKDIR", "LABEL l=1\nWORKDIR");
    const labelled = await lab.build({ ...files, Dockerfile });
    expect(labelled.done).toEqual(["FROM busybox", "LABEL l=1", "ENV x=y"]);
  });

  test("an ARG counts from its first use on", async () => {
    const Dockerfile = "FROM busybox\nRUN echo before-arg\nARG V\nRUN echo v$V";
    await lab.build({ Dockerfile }, { buildArgs: { V: "1" } });
    const other = await lab.build({ Dockerfile }, { buildArgs: { V: "2" } });
    expect(other.output).toBe("v2\n");
    const again = await lab.build({ Dockerfile }, { buildArgs: { V: "1" } });
    expect(again.output).toBe("");
  });

  test("an ignored file changes nothing", async () => {
    const Dockerfile = "FROM busybox\nCOPY . /ctx/";
    const one = await lab.build({ Dockerfile, ".dockerignore": "*.log\n", a: "1", "x.log": "1" });
    const two = await lab.build({ Dockerfile, ".dockerignore": "*.log\n", a: "1", "x.log": "2" });
    expect(two.imageId).toBe(one.imageId);
    lab.look(two, (root) =>
      expect(readdirSync(join(root, "ctx")).sort()).toEqual([".dockerignore", "Dockerfile", "a"]),
    );
  });

  test("a copy from a stage depends on the files, not on how they were made", async () => {
    const dockerfile = (how: string) =>
      `FROM busybox AS b\nRUN ${how} > /out\nFROM busybox\nCOPY --from=b /out /o\nRUN cat /o`;
    await lab.build({ Dockerfile: dockerfile("echo same-output") });
    const other = await lab.build({ Dockerfile: dockerfile("printf 'same-output\\n'") });
    expect(other.cached).toEqual(["COPY --from=b /out /o", "RUN cat /o"]);
  });

  test("no cache does everything again, and later builds take what it made", async () => {
    const first = await lab.build(files);
    const fresh = await lab.build(files, { noCache: true });
    expect(fresh.cached).toEqual([]);
    expect(fresh.imageId).not.toBe(first.imageId);
    const after = await lab.build(files);
    expect(after.cached).toEqual(steps);
    expect(after.imageId).toBe(fresh.imageId);
  });

  test("is listed, and pruned without harm to images", async () => {
    const built = await lab.build({ Dockerfile: "FROM busybox\nRUN echo prune-me > /p" });
    const record = (await lab.builder.usage()).find(({ description }) => description.includes("prune-me"))!;
    expect(record).toMatchObject({ inUse: false, shared: true });
    expect(record.size).toBeGreaterThan(0);
    expect((await lab.builder.prune({ all: false })).removed).not.toContain(record.id);
    expect((await lab.builder.prune({ all: true })).removed).toContain(record.id);
    expect(await lab.builder.usage()).toEqual([]);
    lab.look(built, (root) => expect(text(root, "p")).toBe("prune-me\n"));
    const again = await lab.build({ Dockerfile: "FROM busybox\nRUN echo prune-me > /p" });
    expect(again.cached).toEqual([]);
  });

  test("is not shared with an image that came from elsewhere with the same content", async () => {
    const dockerfile = "FROM busybox\nRUN echo twice > /t && touch -d @0 /t /";
    const { imageId } = await lab.build({ Dockerfile: dockerfile });
    const { images } = lab.backend.store;
    const { manifest, manifestMediaType } = images.get(imageId!)!;
    const record = async () =>
      (await lab.builder.usage()).find(({ description }) => description.includes("twice"))!;
    expect(await record()).toMatchObject({ shared: true });
    // As after a pull of it: the layer is unpacked where none of the builder's is below.
    using lease = images.lease();
    for (const digest of [
      manifest,
      imageId!,
      ...images.get(imageId!)!.layers.map((of) => of.descriptor.digest),
    ])
      lease.addBlob(digest);
    images.remove(imageId!);
    await images.collect();
    const size = lab.backend.store.content.size(manifest);
    await images.register({ mediaType: manifestMediaType, digest: manifest, size });
    expect(await record()).toMatchObject({ shared: false });
  });

  test("of mounts is listed with its size, and collected by type and size", async () => {
    const write = (n: number) =>
      `FROM busybox\nRUN --mount=type=cache,target=/c,id=gc head -c 100000 /dev/zero > /c/${n} && echo gc-${n} > /p`;
    await lab.build({ Dockerfile: write(1) });
    const mountsOf = async () => (await lab.builder.usage()).filter(({ type }) => type === "exec.cachemount");
    const [mount] = (await mountsOf()).filter(({ description }) => description.includes("gc"));
    expect(mount).toMatchObject({ size: 100_000, usageCount: 1, inUse: false });
    await lab.build({ Dockerfile: write(2) });
    expect((await mountsOf()).find(({ id }) => id === mount!.id)).toMatchObject({
      size: 200_000,
      usageCount: 2,
    });
    const kept = await lab.builder.prune({ all: false, filters: { id: [mount!.id] }, maxUsedSpace: 2 ** 40 });
    expect(kept).toEqual({ removed: [], bytes: 0 });
    const gone = await lab.builder.prune({
      all: false,
      filters: { id: [mount!.id], type: ["exec.cachemount"] },
    });
    expect(gone.removed).toEqual([mount!.id]);
    expect(gone.bytes).toBeGreaterThanOrEqual(200_000);
    expect((await mountsOf()).map(({ id }) => id)).not.toContain(mount!.id);
  });

  test("survives the store's garbage collection", async () => {
    const built = await lab.build(files);
    lab.backend.store.images.remove(built.imageId);
    await lab.backend.store.images.collect();
    const again = await lab.build(files);
    expect(again.cached).toEqual(steps);
    expect(again.imageId).toBe(built.imageId);
    lab.look(again, (root) => expect(text(root, "w/c2")).toBe("cached-b"));
  });
});

describe("RUN", () => {
  test("in shell form, exec form and heredocs", async () => {
    const Dockerfile = `FROM busybox
RUN echo shell $0
RUN ["/bin/echo", "exec", "$0"]
RUN <<EOF
echo here
echo "doc $BASE"
EOF
RUN <<-END cat > /piped && cat /piped
\tto cat
END
RUN <<'RAW'
#!/bin/cat
script text
RAW
SHELL ["/bin/sh", "-xc"]
RUN echo traced`;
    const { events } = await lab.build({ Dockerfile });
    // The trace comes on stderr, and two streams have no order between them.
    const said = (stream: 1 | 2) =>
      Buffer.concat(
        events.flatMap((event) => (event.type === "log" && event.stream === stream ? [event.data] : [])),
      ).toString();
    expect(said(1)).toBe("shell /bin/sh\nexec $0\nhere\ndoc 1\nto cat\n#!/bin/cat\nscript text\ntraced\n");
    expect(said(2)).toBe("+ echo traced\n");
  });

  test("as the user, in the directory, with the environment", async () => {
    const Dockerfile = `FROM busybox
ENV X=1
ARG Y=2
ARG X=3
USER app:staff
WORKDIR /tmp/w
RUN id -u && id -g && pwd && echo $X $Y $BASE $http_proxy && env`;
    const { output } = await lab.build({ Dockerfile }, { buildArgs: { http_proxy: "p" } });
    expect(output).toStartWith("1000\n50\n/tmp/w\n3 2 1 p\n");
    expect(output).toContain("\nHOME=/home/app\n");
  });

  test("leaves no trace of its mounts in the layer", async () => {
    const built = await lab.build({
      Dockerfile:
        "FROM busybox\nRUN --mount=type=tmpfs,target=/not/there cat /etc/hosts /etc/resolv.conf && touch /only",
    });
    expect(built.output).toBe("127.0.0.1\tlocalhostnameserver 127.0.0.11\n");
    const { store } = lab.backend;
    const top = store.images.get(built.imageId)!.layers.at(-1)!.descriptor;
    const names = Bun.spawnSync(["tar", "-tzf", store.content.path(top.digest)]).stdout.toString();
    expect(
      names
        .trim()
        .split("\n")
        .map((name) => name.replace(/^\.?\//, ""))
        .filter(Boolean),
    ).toEqual(["only"]);
  });

  test("that changes nothing makes no layer", async () => {
    const built = await lab.build({ Dockerfile: "FROM busybox\nRUN true\nRUN echo x > /after-nothing" });
    expect(lab.config(built).rootfs.diff_ids.length).toBe(2);
    expect(lab.config(built).history!.map(({ empty_layer }) => empty_layer ?? false)).toEqual([
      false,
      true,
      false,
    ]);
  });

  test("removes files of layers below", async () => {
    const built = await lab.build({
      Dockerfile: "FROM busybox\nRUN mkdir /d && echo > /d/f\nRUN rm -r /d /bin/hostname",
    });
    lab.look(built, (root) => {
      expect([
        existsSync(join(root, "d")),
        existsSync(join(root, "bin/hostname")),
        existsSync(join(root, "bin/sh")),
      ]).toEqual([false, false, true]);
    });
  });

  test("that fails stops the build with its code and command", async () => {
    const Dockerfile = "FROM busybox\nRUN echo before\nRUN echo out; echo err >&2; exit 3\nRUN echo never";
    const seen: string[] = [];
    const failing = lab.build({ Dockerfile }, {}, undefined, (event) => {
      if (event.type === "log") seen.push(`${event.stream}:${Buffer.from(event.data)}`);
      if (event.type === "vertex" && event.state === "failed") seen.push(`failed ${event.name}`);
    });
    const error: unknown = await failing.catch((error) => error);
    expect(error).toBeInstanceOf(BuildStepFailed);
    const { message, exitCode, line, file } = error as BuildStepFailed;
    expect({ message, exitCode, line, file }).toEqual({
      message: "The command '/bin/sh -c echo out; echo err >&2; exit 3' returned a non-zero code: 3",
      exitCode: 3,
      line: 3,
      file: "Dockerfile",
    });
    expect(seen.sort()).toEqual(
      ["1:before\n", "1:out\n", "2:err\n", "failed [3/4] RUN echo out; echo err >&2; exit 3"].sort(),
    );
  });

  test("with mounts: cache, bind from context and stage, secret", async () => {
    const Dockerfile = `FROM busybox AS src
RUN echo from-stage > /f
FROM busybox
RUN --mount=type=cache,target=/cache,mode=0700 echo kept > /cache/k && stat -c %a /cache
RUN --mount=type=cache,target=/cache,sharing=locked cat /cache/k
RUN --mount=type=bind,target=/ctx,source=sub cat /ctx/file && ! touch /ctx/x 2>/dev/null
RUN --mount=from=src,target=/src,rw cat /src/f && touch /src/new
RUN --mount=type=bind,target=/ctx ls /ctx
RUN --mount=type=secret,id=s --mount=type=secret,id=e,env=E cat /run/secrets/s && echo $E && stat -c %a /run/secrets/s
RUN --mount=type=secret,id=none ls /run/secrets 2>/dev/null || echo no secret`;
    const secrets = new Map([
      ["s", Buffer.from("hush")],
      ["e", Buffer.from("envy")],
    ]);
    const files = {
      Dockerfile,
      "sub/file": "from-context\n",
      ".dockerignore": "ignored\nDockerfile\n.dockerignore",
      ignored: "",
    };
    const built = await lab.build(files, { secret: async (id) => secrets.get(id) });
    expect(built.output).toBe("700\nkept\nfrom-context\nfrom-stage\nsub\nhushenvy\n400\nno secret\n");
    lab.look(built, (root) => expect(readdirSync(root).sort()).toEqual(["bin", "etc", "tmp"]));
  });
});

describe("COPY and ADD", () => {
  test("wildcards, owners by name and number, modes, inline files", async () => {
    const built = await lab.build({
      Dockerfile: `FROM busybox
COPY *.txt /t/
COPY --chown=app a.txt /named
COPY --chown=app:staff dir /owned
COPY --chown=5 a.txt /number
COPY --chmod=u=rwx,go= a.txt /mode
ENV NAME=world
COPY <<EOF <<'RAW' /inline/
hello $NAME
EOF
hello $NAME
RAW`,
      "a.txt": "A",
      "b.txt": "B",
      "dir/x": "X",
    });
    lab.look(built, (root) => {
      const owner = (path: string) => [statSync(join(root, path)).uid, statSync(join(root, path)).gid];
      expect(readdirSync(join(root, "t")).sort()).toEqual(["a.txt", "b.txt"]);
      expect(["t/a.txt", "named", "owned", "owned/x", "number"].map(owner)).toEqual([
        [0, 0],
        [1000, 1001],
        [1000, 50],
        [1000, 50],
        [5, 5],
      ]);
      expect(statSync(join(root, "mode")).mode & 0o777).toBe(0o700);
      expect([text(root, "inline/EOF"), text(root, "inline/RAW")]).toEqual([
        "hello world\n",
        "hello $NAME\n",
      ]);
    });
  });

  test("--from keeps owners, and takes stages by name and number and images", async () => {
    const built = await lab.build({
      Dockerfile: `FROM busybox AS One
RUN mkdir /d && echo 1 > /d/f && chown app /d/f && ln -s f /d/l
FROM busybox
COPY --from=one /d /a
COPY --from=0 --chown=0:0 /d/f /b
COPY --from=busybox /etc/passwd /c`,
    });
    lab.look(built, (root) => {
      expect([statSync(join(root, "a/f")).uid, statSync(join(root, "b")).uid]).toEqual([1000, 0]);
      expect(lstatSync(join(root, "a/l")).isSymbolicLink()).toBe(true);
      expect(text(root, "c")).toContain("app:x:1000");
    });
  });

  test("links in the image lead inside the image", async () => {
    const built = await lab.build({
      Dockerfile:
        "FROM busybox\nRUN ln -s /tmp/real /link && mkdir /tmp/real && ln -s ../../../../../.. /up\nCOPY a /link/\nCOPY a /up/escaped",
      a: "A",
    });
    lab.look(built, (root) => expect([text(root, "tmp/real/a"), text(root, "escaped")]).toEqual(["A", "A"]));
  });

  test.each(["-cf", "-czf", "-cJf", "-cjf"])("ADD unpacks tar %s, COPY does not", async (how) => {
    const request = lab.request({
      Dockerfile: "FROM busybox\nADD a.tar /x\nCOPY a.tar /y/\nADD plain.gz /x/",
      "t/f": "F",
      "plain.gz": "no gzip",
    });
    Bun.spawnSync(["tar", "-C", join(request.contextDir, "t"), how, join(request.contextDir, "a.tar"), "f"]);
    const { image } = await lab.builder.build(request, () => {}, new AbortController().signal);
    lab.look({ imageId: image!.configDigest }, (root) => {
      expect([text(root, "x/f"), existsSync(join(root, "y/a.tar")), text(root, "x/plain.gz")]).toEqual([
        "F",
        true,
        "no gzip",
      ]);
    });
  });

  test("ADD of a URL", async () => {
    using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: ({ url }) =>
        url.endsWith("/f.txt")
          ? new Response("remote", { headers: { "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT" } })
          : new Response("", { status: 404 }),
    });
    const url = `http://127.0.0.1:${server.port}`;
    const built = await lab.build({ Dockerfile: `FROM busybox\nADD ${url}/f.txt /x/` });
    lab.look(built, (root) => {
      const stat = statSync(join(root, "x/f.txt"));
      expect([text(root, "x/f.txt"), stat.mode & 0o777, stat.mtime.getUTCFullYear()]).toEqual([
        "remote",
        0o600,
        2015,
      ]);
    });
    const wrong = `sha256:${"0".repeat(64)}`;
    expect(
      lab.build({ Dockerfile: `FROM busybox\nADD --checksum=${wrong} ${url}/f.txt /x/` }),
    ).rejects.toThrow("digest mismatch");
    await expect(lab.build({ Dockerfile: `FROM busybox\nADD ${url}/none /x/` })).rejects.toThrow(
      "with status 404",
    );
  });
});

describe("stages", () => {
  test("begin from each other and carry config, ARGs and files; only the needed are built", async () => {
    const Dockerfile = `ARG G=global
FROM busybox AS base
ARG G
ARG L=local
ENV E=env
RUN echo $G > /g
FROM base AS child
RUN echo $G $L $E
FROM busybox AS unneeded
RUN exit 1
FROM busybox
ARG L
RUN echo "[$L]"
COPY --from=child /g /g`;
    const built = await lab.build({ Dockerfile });
    expect(built.output.split("\n").sort()).toEqual(["", "[]", "global local env"]);
    lab.look(built, (root) => expect(text(root, "g")).toBe("global\n"));
    const target = await lab.build({ Dockerfile }, { target: "child" });
    expect(lab.run(target).Env).toContain("E=env");
  });

  test("that do not need each other run at the same time", async () => {
    // Each waits for the other's file in a shared cache mount: one after the other would never end.
    const meet = (own: string, other: string) =>
      `RUN --mount=type=cache,id=meet,target=/m touch /m/${own}; for i in $(true; echo ${Array.from({ length: 200 }, (_, i) => i).join(" ")}); do test -e /m/${other} && exit 0; sleep 0.05; done; exit 1`;
    const Dockerfile = `FROM busybox AS a\n${meet("a", "b")}\nFROM busybox AS b\n${meet("b", "a")}\nFROM busybox\nCOPY --from=a /etc/group /1\nCOPY --from=b /etc/group /2`;
    await lab.build({ Dockerfile });
  });

  test("waiting for one is no part of a step's time", async () => {
    const { events } = await lab.build({
      Dockerfile:
        "FROM busybox AS a\nRUN echo slow > /f\nFROM a AS b\nFROM busybox\nCOPY --from=a /f /1\nRUN --mount=from=b,target=/b true",
    });
    const order = events.flatMap((event) => (event.type === "vertex" ? `${event.state} ${event.name}` : []));
    const done = order.indexOf("done [a 2/2] RUN echo slow > /f");
    expect(done).toBeGreaterThan(0);
    for (const later of ["[b 1/1] FROM a AS b", "[stage-2 2/3] COPY --from=a /f /1"])
      expect([later, order.indexOf(`started ${later}`) > done]).toEqual([later, true]);
  });

  test("a failure in one stops the others", async () => {
    const Dockerfile =
      "FROM busybox AS a\nRUN sleep 100\nFROM busybox AS b\nRUN exit 4\nFROM busybox\nCOPY --from=a / /\nCOPY --from=b / /";
    await expect(lab.build({ Dockerfile })).rejects.toThrow("returned a non-zero code: 4");
  });

  test("triggers of the base image run first, and only once", async () => {
    const parent = await lab.build(
      { Dockerfile: "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f" },
      { tags: ["parent"] },
    );
    expect(lab.run(parent).OnBuild).toEqual(["COPY f /f", "RUN cat /f"]);
    const child = await lab.build({ Dockerfile: "FROM parent AS p\nFROM p\nRUN echo own", f: "triggered\n" });
    expect(child.output).toBe("triggered\nown\n");
    expect(lab.run(child).OnBuild ?? null).toBeNull();
  });
});

test("vertices and steps have Docker's names", async () => {
  const { events } = await lab.build({
    Dockerfile: "FROM busybox AS one\nRUN echo named-1\nFROM busybox\nCMD x\nCOPY --from=one /etc/group /g",
  });
  const started = events.flatMap((e) =>
    e.type === "vertex" && e.state === "started"
      ? [e.step ? `${e.step.number}/${e.step.total} ${e.name}` : e.name]
      : [],
  );
  expect(started.slice(0, 2)).toEqual([
    "[internal] load build definition from Dockerfile",
    "[internal] load .dockerignore",
  ]);
  expect(started.at(-1)).toBe("exporting to image");
  expect(started.slice(2, -1).sort()).toEqual([
    "1/5 [one 1/2] FROM busybox AS one",
    "2/5 [one 2/2] RUN echo named-1",
    "3/5 [stage-1 1/2] FROM busybox",
    "4/5 [stage-1] CMD x",
    "5/5 [stage-1 2/2] COPY --from=one /etc/group /g",
  ]);
});

describe("cancelled", () => {
  test("while a step runs: the process is gone, nothing is left", async () => {
    const controller = new AbortController();
    const build = lab.build(
      { Dockerfile: "FROM busybox\nRUN echo started && sleep 100" },
      {},
      controller.signal,
      (event) => {
        if (event.type === "log") controller.abort();
      },
    );
    await expect(build).rejects.toThrow(Cancelled);
  });

  test("at whatever instant", async () => {
    const files = {
      Dockerfile:
        "FROM busybox AS a\nRUN echo $RANDOM > /r\nFROM busybox\nCOPY . /c/\nCOPY --from=a /r /r\nRUN cat /r",
      big: "x".repeat(2e6),
    };
    for (let n = 0; n < 12; n++) {
      const controller = new AbortController();
      let count = 0;
      const build = lab.build(files, { noCache: true }, controller.signal, () => {
        if (count++ === n) setTimeout(() => controller.abort(), n % 3 === 0 ? 0 : n * 2);
      });
      const outcome = await build.then(
        () => "built",
        (error: unknown) => error,
      );
      if (outcome !== "built") expect(outcome).toBeInstanceOf(Cancelled);
      expect(await lab.settled()).toEqual(nothingLeft);
    }
  });

  test("before it begins", async () => {
    await expect(lab.build({ Dockerfile: "FROM busybox" }, {}, AbortSignal.abort())).rejects.toThrow(
      Cancelled,
    );
  });
});

describe("errors", () => {
  test.each<[string, string, number]>([
    [
      "FROM busybox\nCOPY app /",
      "COPY failed: file not found in build context or excluded by .dockerignore: stat app: file does not exist",
      2,
    ],
    [
      "FROM busybox\nCOPY a b /x",
      "When using COPY with more than one source file, the destination must be a directory and end with a /",
      2,
    ],
    ["FROM busybox\nCOPY --chown=nobody a /x", "unable to find user nobody", 2],
    ["FROM busybox\nCOPY --chmod=wat a /x", "invalid chmod parameter: 'wat'", 2],
    ["FROM busybox\nCOPY a /etc/passwd/x", "COPY failed: cannot copy to non-directory", 2],
    ["FROM busybox\nWORKDIR /etc/passwd", "Cannot mkdir: /etc/passwd is not a directory", 2],
    [
      "FROM busybox\nRUN --mount=type=chache,target=/c x",
      'unsupported mount type "chache" (did you mean cache?)',
      2,
    ],
    [
      "FROM busybox\nRUN --mount=type=cache,tarrget=/c x",
      "unexpected key 'tarrget' in 'tarrget=/c' (did you mean target?)",
      2,
    ],
    ["FROM busybox\nENV a=${b", "missing '}'", 2],
    ["FROM busybox\n\nEXPOSE x", "invalid containerPort: x", 3],
  ])("%p", async (Dockerfile, message, line) => {
    const error: unknown = await lab.build({ Dockerfile, a: "", b: "" }).catch((error) => error);
    expect(error).toBeInstanceOf(DockerfileError);
    expect((error as DockerfileError).message).toContain(message);
    expect(error).toMatchObject({ line, file: "Dockerfile" });
  });

  test("a right that the build was not given is refused", async () => {
    const error = await lab.build({ Dockerfile: "FROM busybox\nRUN --security=insecure x" }).catch((e) => e);
    expect(error).toBeInstanceOf(Forbidden);
    expect(error.message).toBe("security.insecure is not allowed\nDockerfile:2: RUN --security=insecure x");
  });

  test("no Dockerfile, an empty one, no base, no target", async () => {
    await expect(lab.build({ dockerfile: "" })).rejects.toThrow(
      "failed to read dockerfile: open Dockerfile: no such file or directory (did you mean dockerfile?)",
    );
    await expect(lab.build({ Dockerfile: "\n" })).rejects.toThrow(
      "the Dockerfile (Dockerfile) cannot be empty",
    );
    await expect(lab.build({ Dockerfile: "@/etc/passwd" })).rejects.toThrow("no such file");
    await expect(lab.build({ Dockerfile: "FROM nowhere" })).rejects.toThrow("pull access denied for nowhere");
    await expect(lab.build({ Dockerfile: "FROM busybox" }, { target: "x" })).rejects.toThrow(
      'target stage "x" could not be found',
    );
  });

  test("arguments that nothing takes are warned of", async () => {
    const { warnings } = await lab.build(
      { Dockerfile: "FROM busybox\nARG A" },
      { buildArgs: { A: "1", B: "2", HTTP_PROXY: "p" } },
    );
    expect(warnings).toEqual(["One or more build-args [B] were not consumed"]);
  });
});
