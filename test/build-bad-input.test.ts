/** Builds that can't be: refused with the line, the reason and what to do, and nothing of them stays. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { endOfArchive, formatHeader, plainEntry } from "../src/lib/tar/index.ts";
import { makeContext } from "./support/context.ts";
import { leftMounts, TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

const maxEntries = 2000;

let daemon: TestDaemon;
let mounts: number;
const directory = mkdtempSync(join(tmpdir(), "gt-bad-build-"));
beforeAll(async () => {
  daemon = await TestDaemon.start({
    config: { "gantry-layer-max-size": "64m", "gantry-layer-max-entries": maxEntries },
  });
  mounts = leftMounts(daemon.root).length;
});
afterEach(async () => {
  // A build's answer may be there a moment before its directories have gone.
  await until(
    () => Bun.deepEquals(leftovers(), nothing),
    () => `nothing left: ${JSON.stringify(leftovers())}`,
  );
  expect(await daemon.ok(["images", "-q"])).toBe(await daemon.ok(["images", "-q", "busybox"]));
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
});
afterAll(() => disposeAll(daemon, directory));

const list = (path: string) => (existsSync(path) ? readdirSync(path) : []);
const nothing = { mounts: 0, steps: [], temporary: [], ingest: [] };

function leftovers() {
  return {
    mounts: leftMounts(daemon.root).length - mounts,
    steps: list(join(daemon.execRoot, "b")),
    temporary: list(join(daemon.dataRoot, "tmp")).filter((name) => name.startsWith("build-")),
    ingest: list(join(daemon.dataRoot, "content/ingest")),
  };
}

const contextOf = (files: Record<string, string | Uint8Array>) => makeContext(directory, files);

const header = (path: string, size: number) => formatHeader(plainEntry({ path, size }));

const dockerfile = "FROM busybox\nCOPY . /c\n";
const dockerfileEntry = Buffer.concat([
  header("Dockerfile", dockerfile.length),
  Buffer.from(dockerfile.padEnd(512, "\0")),
]);

/** Both formats may follow on themselves: each piece is compressed alone, so that gigabytes of zeros take milliseconds. */
type Compress = (bytes: Uint8Array) => Buffer;
const compressions: [string, Compress][] = [
  ["gzip", (bytes) => gzipSync(bytes)],
  ["zstd", (bytes) => zstdCompressSync(bytes)],
];

/** Ten gigabytes of zeros. */
function zeros(compress: Compress): Buffer {
  const step = 8 << 20;
  const size = 10 * 2 ** 30;
  const piece = compress(Buffer.alloc(step));
  const pieces = Array.from({ length: size / step }, () => piece);
  return Buffer.concat([
    compress(Buffer.concat([dockerfileEntry, header("zeros", size)])),
    ...pieces,
    compress(endOfArchive),
  ]);
}

/** A million files with nothing in them. */
function million(compress: Compress): Buffer {
  const some = compress(
    Buffer.concat(Array.from({ length: 10_000 }, (_, n) => header(`d${n % 100}/${n}`, 0))),
  );
  return Buffer.concat([
    compress(dockerfileEntry),
    ...Array.from({ length: 100 }, () => some),
    compress(endOfArchive),
  ]);
}

describe("an archive that is small and unpacks to more than the disk", () => {
  const tooLarge = "the archive unpacks to more than 67108864 bytes (daemon.json: gantry-layer-max-size)";
  const tooMany = `the archive has more than ${maxEntries} entries (daemon.json: gantry-layer-max-entries)`;

  test.each(compressions)("as context: %s", async (name, compress) => {
    for (const [bomb, message] of [
      [zeros(compress), tooLarge],
      [million(compress), tooMany],
    ] as const) {
      const api = await daemon.request("/build?t=bomb", { method: "POST", body: new Blob([bomb]) });
      expect([api.status, await api.json()]).toEqual([413, { message }]);
      const file = join(directory, `bomb-${name}`);
      writeFileSync(file, bomb);
      for (const client of ["gantry", "docker"] as const) {
        const refused = await daemon[client](["build", "-t", "bomb", "-"], { stdin: Bun.file(file) });
        expect(refused.code).toBe(1);
        expect(refused.stderr).toContain(message);
      }
    }
  });

  test("as context that the engine fetches", async () => {
    const bomb = zeros(gzipSync);
    using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(bomb) });
    const { code, stderr } = await daemon.gantry(["build", `http://127.0.0.1:${server.port}/bomb.tar.gz`]);
    expect(code).toBe(1);
    expect(stderr).toContain(tooLarge);
  });

  test("below ADD", async () => {
    const context = contextOf({
      "zeros.tar.gz": zeros(gzipSync),
      "million.tar.zst": million(zstdCompressSync),
      Dockerfile: "FROM busybox\nADD zeros.tar.gz /\n",
      Second: "FROM busybox\nADD million.tar.zst /\n",
    });
    for (const [file, message] of [
      ["Dockerfile", `ADD failed: cannot unpack zeros.tar.gz: ${tooLarge}`],
      ["Second", `ADD failed: cannot unpack million.tar.zst: ${tooMany}`],
    ] as const) {
      const { code, stderr } = await daemon.gantry(["build", "-f", join(context, file), context]);
      expect(code).toBe(1);
      expect(stderr).toContain(message);
      expect(stderr).toContain(`${file}:2`);
    }
  });
});

/** Each kind of mistake, and what is said of it; the line is the last of the Dockerfile unless it says so. */
const mistakes: [string, string, number?][] = [
  ["FROM busybox\nCOPPY a /", "unknown instruction: COPPY (did you mean COPY?)"],
  ["FROM", "FROM requires either one or three arguments"],
  ["FROM busybox AS", "FROM requires either one or three arguments"],
  ["FROM --platfrom=linux/amd64 busybox", "unknown flag: --platfrom (did you mean platform?)"],
  ["FROM busybox\nRUN", "RUN requires at least one argument"],
  ["FROM busybox\nRUN --mont=type=cache,target=/c true", "unknown flag: --mont (did you mean mount?)"],
  [
    "FROM busybox\nRUN --mount=type=chache,target=/c true",
    'unsupported mount type "chache" (did you mean cache?)',
  ],
  ["FROM busybox\nRUN --network=hots true", 'unsupported network mode "hots"'],
  ["FROM busybox\nRUN <<EOF\ntrue", "unterminated heredoc <<EOF", 2],
  ["FROM busybox\nCOPY a", "COPY requires at least two arguments, but only one was provided"],
  ["FROM busybox\nCOPY --form=b a /", "unknown flag: --form (did you mean from?)"],
  ["FROM busybox\nADD --checksm=x a /", "unknown flag: --checksm (did you mean checksum?)"],
  ["FROM busybox\nENV a", "ENV must have two arguments"],
  ["FROM busybox\nLABEL", "LABEL requires at least one argument"],
  ["FROM busybox\nARG", "ARG requires at least one argument"],
  ["FROM busybox\nEXPOSE eighty", "invalid containerPort: eighty"],
  ["FROM busybox\nVOLUME", "VOLUME requires at least one argument"],
  ["FROM busybox\nWORKDIR", "WORKDIR requires exactly one argument"],
  ["FROM busybox\nUSER", "USER requires exactly one argument"],
  ["FROM busybox\nSHELL bash", "SHELL requires the arguments to be in JSON form"],
  ["FROM busybox\nSTOPSIGNAL", "STOPSIGNAL requires exactly one argument"],
  ["FROM busybox\nHEALTHCHECK CDM true", 'Unknown type "CDM" in HEALTHCHECK (try CMD)'],
  ["FROM busybox\nHEALTHCHECK --intervall=1s CMD true", "unknown flag: --intervall (did you mean interval?)"],
  ["FROM busybox\nONBUILD FROM busybox", "FROM isn't allowed as an ONBUILD trigger"],
  ["FROM busybox\nMAINTAINER", "MAINTAINER requires exactly one argument"],
  ["FROM busybox\nENV a=${b", "missing '}'"],
  ["RUN true\nFROM busybox", "no build stage in current context", 1],
  ["FROM busybox AS builder\nFROM busybox\nCOPY --from=9 /a /", "invalid stage index 9"],
  ["FROM localhost:1/base AS builder\nFROM bulider", "did you mean the stage builder?"],
  [
    "FROM busybox AS a\nCOPY --from=b /x /\nFROM busybox AS b\nCOPY --from=a /x /",
    "circular dependency detected on stage: a",
    2,
  ],
  ["FROM localhost:1/none", "connection refused"],
  ["FROM busybox\nCOPY readme /", "stat readme: file does not exist (did you mean README?)"],
  ["FROM busybox\nCOPY hidden /", "file not found in build context or excluded by .dockerignore"],
  [
    "FROM busybox\nCOPY ../README /",
    "forbidden path outside the build context: ../README () (files come from below",
  ],
  ["FROM busybox\nCOPY out/passwd /", "file not found in build context"],
  ["FROM busybox\nADD broken.tar.gz /", "cannot unpack broken.tar.gz: "],
  ["FROM busybox\nCOPY --chown=nobdy README /", "unable to find user nobdy"],
  ["FROM busybox\nUSER nobdy\nRUN true", "unable to find user nobdy: no matching entries in passwd file"],
  [
    "FROM busybox\nRUN --mount=type=secret,id=token,required true",
    "secret token: not found (give it with --secret id=token)",
  ],
  [
    "FROM busybox\nRUN --mount=type=secret,id=token cat /run/secrets/token",
    "the build was given no secret token (give it with --secret id=token)",
  ],
  [
    "FROM busybox\nRUN --mount=type=ssh,required true",
    "unset ssh forward key default (give it with --ssh default)",
  ],
  [
    "FROM busybox\nRUN --mount=type=bind,from=busybox,source=/none,target=/x true",
    "failed to mount: stat /none: file does not exist",
  ],
  ["FROM busybox\nRUN false", "The command '/bin/sh -c false' returned a non-zero code: 1"],
  ['FROM busybox\nRUN ["flase"]', 'exec: "flase": executable file not found in $PATH'],
];

test("each mistake has its line and its reason, and leaves no image", async () => {
  const cut = gzipSync(Buffer.concat([dockerfileEntry, header("half", 4096), Buffer.alloc(512)]));
  const files = { README: "", hidden: "", ".dockerignore": "hidden", "broken.tar.gz": cut };
  const context = contextOf(files);
  symlinkSync("/etc", join(context, "out"));
  const file = join(context, "Dockerfile");
  const images = await daemon.ok(["images", "-aq"]);
  for (const [source, message, line = source.split("\n").length] of mistakes) {
    writeFileSync(file, `${source}\n`);
    const { code, stdout, stderr } = await daemon.gantry(["build", "-t", "wrong", context]);
    expect([source, code, stdout]).toEqual([source, 1, ""]);
    expect(stderr).toContain(message);
    // The place by name, and the lines around it with the one that is meant.
    expect(stderr).toContain(`\nDockerfile:${line}\n`);
    expect(stderr).toMatch(
      new RegExp(`^ *${line} \\| >>> ${RegExp.escape(source.split("\n")[line - 1]!)}$`, "m"),
    );
  }
  expect(await daemon.ok(["images", "-aq"])).toBe(images);
});

test.each([
  [["-f", "Dockerfil"], /lstat .*\/Dockerfil: no such file or directory \(did you mean Dockerfile\?\)/],
  [["-o", "typ=local,dest=x"], /type is required for output: typ=local,dest=x \(type=local,dest=DIRECTORY\)/],
  [["-o", "type=locl,dest=x"], /unknown output type "locl" \(did you mean local\?\)/],
  [["-o", "type=image,dest=x"], /dest is not supported for output type=image/],
])("%p", async (flags, message) => {
  const context = contextOf({ Dockerfile: "FROM busybox" });
  const { code, stderr } = await daemon.gantry(["build", ...flags, "."], { cwd: context });
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
});
