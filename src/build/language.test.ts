/** Corners of the language that were looked up by trying: each is what dockerd 28.5 does with the same file. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BuildLab } from "./testing.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => lab[Symbol.asyncDispose]());

const text = (root: string, path: string) => readFileSync(join(root, path), "utf8");
const attributes = (root: string, path: string) => {
  const { mode, uid, gid } = statSync(join(root, path));
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
};

describe("directories that COPY makes on the way", () => {
  test("have the owner and an octal mode; a symbolic mode and what is there stay", async () => {
    const built = await lab.build({
      Dockerfile: `FROM busybox
COPY --chmod=2770 --chown=3:4 a /octal/deep/
COPY --chmod=2770 --chown=3:4 d /octal/dir
COPY --chmod=go-rwx d /symbolic/dir
COPY --chmod=700 d /octal/deep/
COPY --chmod=600 <<inline /inline/
text
inline`,
      a: "A",
      "d/f": "F",
    });
    lab.look(built, (root) => {
      for (const path of ["octal", "octal/deep", "octal/deep/a", "octal/dir"])
        expect([path, attributes(root, path)]).toEqual([path, "2770 3:4"]);
      expect(attributes(root, "symbolic")).toBe("755 0:0");
      expect(attributes(root, "symbolic/dir")).toBe("755 0:0");
      expect(attributes(root, "symbolic/dir/f")).toBe("600 0:0");
      expect(attributes(root, "inline")).toBe("600 0:0");
    });
  });
});

test("a link named as the destination is followed; one that is met is replaced", async () => {
  const built = await lab.build({
    Dockerfile: `FROM busybox
RUN ln -s /etc/issue /l && ln -s nowhere/deep /n && mkdir -p /d && ln -s /etc/group /d/f && ln -s ../../../../out /o
COPY a /l
COPY a /o
COPY <<EOF /n
text
EOF
COPY d /d`,
    a: "A",
    "d/f": "F",
  });
  lab.look(built, (root) => {
    const found = ["etc/issue", "out", "nowhere/deep", "d/f"].map((path) => text(root, path));
    expect(found).toEqual(["A", "A", "text\n", "F"]);
    expect(text(root, "etc/group")).not.toBe("F");
  });
});

test("pipes, sockets and devices are copied as they are", async () => {
  const request = lab.request({
    Dockerfile:
      "FROM busybox AS src\nCOPY . /src\nFROM busybox\nCOPY --from=src --chown=3:4 /src /x\nCOPY p /y/",
  });
  const at = (name: string) => join(request.contextDir, name);
  expect(Bun.spawnSync(["mkfifo", "-m", "640", at("p")]).success).toBe(true);
  expect(Bun.spawnSync(["mknod", at("null"), "c", "1", "3"]).success).toBe(true);
  const { image } = await lab.builder.build(request, () => {}, new AbortController().signal);
  lab.look({ imageId: image!.configDigest }, (root) => {
    expect(statSync(join(root, "x/p")).isFIFO()).toBe(true);
    expect([attributes(root, "x/p"), attributes(root, "y/p")]).toEqual(["640 3:4", "640 0:0"]);
    expect(statSync(join(root, "x/null")).rdev).toBe(statSync("/dev/null").rdev);
  });
});

test("ADD --chown counts for what comes out of an archive", async () => {
  const request = lab.request({
    Dockerfile: "FROM busybox\nADD --chown=3:4 a.tar /x/\nADD a.tar /kept/",
    "t/d/f": "F",
  });
  const archive = ["--owner=7", "--group=8", "-cf", join(request.contextDir, "a.tar"), "d"];
  expect(Bun.spawnSync(["tar", "-C", join(request.contextDir, "t"), ...archive]).success).toBe(true);
  const { image } = await lab.builder.build(request, () => {}, new AbortController().signal);
  lab.look({ imageId: image!.configDigest }, (root) => {
    const owners = ["x", "x/d", "x/d/f", "kept/d/f"].map((path) => attributes(root, path).split(" ")[1]);
    expect(owners).toEqual(["3:4", "3:4", "3:4", "7:8"]);
  });
});

test("triggers bring their heredocs along", async () => {
  const parent = await lab.build(
    {
      Dockerfile: `FROM busybox
ONBUILD ARG WHO=you
ONBUILD COPY <<one <<-'two' /d/
hello $WHO
one
	$WHO
	two
ONBUILD RUN <<END
cat /d/one /d/two
END`,
    },
    { tags: ["parent"] },
  );
  expect(lab.run(parent).OnBuild).toEqual([
    "ARG WHO=you",
    "COPY <<one <<-'two' /d/\nhello $WHO\none\n$WHO\ntwo",
    "RUN <<END\ncat /d/one /d/two\nEND",
  ]);
  const child = await lab.build({ Dockerfile: "FROM parent" }, { buildArgs: { WHO: "world" } });
  expect(child.output).toBe("hello world\n$WHO\n");
});

test("triggers of a stage run in those that begin from it, once", async () => {
  const { output, imageId } = await lab.build({
    Dockerfile: `FROM busybox AS a
ONBUILD ARG X=3
ONBUILD ENV Y=$X
ONBUILD RUN echo triggered $X >> /log
FROM a AS b
FROM b
RUN echo own $Y >> /log && cat /log
FROM a AS unused
RUN false
FROM busybox
COPY --from=2 /log /log`,
  });
  expect(output).toBe("triggered 3\nown 3\n");
  lab.look({ imageId }, (root) => expect(text(root, "log")).toBe("triggered 3\nown 3\n"));
  const last = await lab.build({ Dockerfile: "FROM busybox AS a\nONBUILD RUN true\nFROM a" });
  expect(lab.run(last).OnBuild ?? null).toBeNull();
});

test("in heredocs of COPY a backslash makes the next character literal, whatever the escape is", async () => {
  const built = await lab.build({
    Dockerfile: `# escape=\`
FROM busybox
ARG A=1
COPY <<END <<../up /d/
$A \\$A \\x \\\\ \`$A "$A" '\\"'
END
up
../up`,
  });
  lab.look(built, (root) => {
    expect(text(root, "d/END")).toBe(`1 $A x \\ \`1 "1" '"'\n`);
    expect([existsSync(join(root, "up")), text(root, "d/up")]).toEqual([false, "up\n"]);
  });
});

test("of ENV and ARG the later one counts, also over the base image's", async () => {
  await lab.build(
    { Dockerfile: "FROM busybox\nENV A=env B=env\nARG A=arg\nARG NONE\nARG B\nLABEL r=$A$B" },
    { tags: ["base"], buildArgs: { B: "given" } },
  );
  const built = await lab.build({
    Dockerfile: `FROM base AS mid
RUN echo $A $B
ARG A=arg
LABEL mid=$A
RUN echo $A $B
FROM mid
RUN echo still $A $B
ENV A=env2 C=$A
LABEL last=$A
RUN echo $A $B
ARG A
RUN echo $A`,
  });
  expect(built.output).toBe("env env\narg env\nstill arg env\nenv2 env\nenv2\n");
  expect(lab.run(built).Labels).toEqual({ r: "arggiven", mid: "arg", last: "env2" });
  expect(lab.run(built).Env?.filter((line) => /^[ABC]=/.test(line))).toEqual(["A=env2", "B=env", "C=arg"]);
});

test("a proxy that is given is there in both cases; a secret that is not is an empty variable", async () => {
  const { output } = await lab.build(
    {
      Dockerfile: `FROM busybox
RUN echo $http_proxy $HTTP_PROXY $no_proxy $NO_PROXY
RUN --mount=type=secret,id=none,env=S env | grep ^S=`,
    },
    { buildArgs: { http_proxy: "http://a", NO_PROXY: "b", no_proxy: "c" } },
  );
  expect(output).toBe("http://a http://a c b\nS=\n");
});
