/** The monitor alone, with a shell script in the place of the OCI runtime. */
import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import fc from "fast-check";
import monitorBinary from "../../dist/gantry-monitor" with { type: "file" };
import { type MonitorCommand, RuntimeRefusal, reopenMonitored, startMonitored } from "./monitor.ts";
import { collect } from "./testing.ts";
import type { StartOptions } from "./types.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "gantry-monitor-"));
  directories.push(directory);
  return directory;
}

/** A "runtime" that leaves `script` running with its own stdio, as `run --detach` does. */
function detached(script: string): string[] {
  // The script waits for its parent to be gone: a shell reaps any child, which an OCI runtime wouldn't.
  return [
    "sh",
    "-c",
    `exec 3<&0; (exec <&3 3<&-; while kill -0 $$ 2>/dev/null; do :; done; ${script}) & echo $! > pid`,
  ];
}

function start(script: string, more: Partial<StartOptions> = {}, command: Partial<MonitorCommand> = {}) {
  const options = { stateDir: newDirectory(), stdio: { openStdin: false, stdinOnce: false }, ...more };
  const full = { binary: monitorBinary, runtime: detached(script), terminal: false, ...command };
  return startMonitored(full, options);
}

interface LogLine {
  log: string;
  stream: string;
  time: string;
}

const parseLog = (path: string) =>
  readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as LogLine);

/** The bytes of stdout as the log has them. */
async function logOf(
  content: Uint8Array,
  more: { maxSize?: number; maxFiles?: number } = {},
): Promise<string> {
  const stateDir = newDirectory();
  writeFileSync(join(stateDir, "content"), content);
  const path = join(stateDir, "json.log");
  const process = await start("cat content", { stateDir, log: { driver: "json-file", path, ...more } });
  await process.exited;
  return path;
}

/** What Docker's log keeps of some bytes: lines, cut at 16 KiB, each decoded by itself. */
function expectedLines(content: Buffer): string[] {
  const lines: string[] = [];
  for (let at = 0; at < content.length; ) {
    const newline = content.indexOf(10, at);
    const whole = newline >= 0 && newline - at < 16384;
    const end = whole ? newline : Math.min(at + 16384, content.length);
    lines.push(toWellFormed(content.subarray(at, end)) + (whole ? "\n" : ""));
    at = whole ? end + 1 : end;
  }
  return lines;
}

/** Go's decoder gives one U+FFFD for each byte that isn't part of valid UTF-8. */
function toWellFormed(bytes: Buffer): string {
  let text = "";
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length; ) {
    const valid = [1, 2, 3, 4].find((length) => {
      try {
        return at + length <= bytes.length && strict.decode(bytes.subarray(at, at + length)).length > 0;
      } catch {
        return false;
      }
    });
    text += valid ? strict.decode(bytes.subarray(at, at + valid)) : "\ufffd";
    at += valid ?? 1;
  }
  return text;
}

test("any bytes come through the log as Docker would keep them", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => Buffer.from(text)),
    fc
      .constantFrom("\n", "\r\n", "\t", '"\\', "<>&", "\u2028\u2029", "\u2030", "\ufffd", "\0\x1f\x7f")
      .map((text) => Buffer.from(text)),
    fc
      .constantFrom("c080", "eda080", "f4908080", "e28f", "f0", "e2a8", "ff")
      .map((hex) => Buffer.from(hex, "hex")),
    fc.constantFrom(16383, 16384, 16385, 40000).map((length) => Buffer.alloc(length, "x")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const content = Buffer.concat(pieces);
      expect(parseLog(await logOf(content)).map(({ log }) => log)).toEqual(expectedLines(content));
    }),
    { numRuns: 30 },
  );
});

test("a log line is Docker's, byte for byte", async () => {
  const text = readFileSync(await logOf(Buffer.from("a<b>&\t\u2028é\x01\xff\n", "latin1")), "utf8");
  expect(text).toMatch(
    /^\{"log":"a\\u003cb\\u003e\\u0026\\u0009\(\ufffd|^\{"log":"a\\u003cb\\u003e\\u0026\\u0009/,
  );
  const exact = readFileSync(await logOf(Buffer.from('q"\\\r\u2028é\n')), "utf8");
  expect(exact).toMatch(
    /^\{"log":"q\\"\\\\\\r\\u2028é\\n","stream":"stdout","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"\}\n$/,
  );
});

test("parts of a long line share the time of the first", async () => {
  const lines = parseLog(await logOf(Buffer.concat([Buffer.alloc(50_000, "y"), Buffer.from("\nshort\n")])));
  expect(lines.map(({ log }) => log.length)).toEqual([16384, 16384, 16384, 50_000 - 3 * 16384 + 1, 6]);
  expect(new Set(lines.slice(0, 4).map(({ time }) => time)).size).toBe(1);
  expect(Math.abs(Date.parse(lines[0]!.time) - Date.now())).toBeLessThan(60_000);
});

test("stdout and stderr are logged apart, unfinished lines at the end", async () => {
  const path = join(newDirectory(), "log");
  await (
    await start("printf a; printf b >&2; sleep 0.1; printf 'c\\n'", { log: { driver: "json-file", path } })
  ).exited;
  expect(parseLog(path).map(({ log, stream }) => [stream, log])).toEqual([
    ["stdout", "ac\n"],
    ["stderr", "b"],
  ]);
});

test("the log rotates by size and keeps so many files", async () => {
  const numbers = Array.from({ length: 2000 }, (_, index) => `line ${index}\n`).join("");
  const path = await logOf(Buffer.from(numbers), { maxSize: 10_000, maxFiles: 3 });
  const directory = join(path, "..");
  expect(
    readdirSync(directory)
      .filter((name) => name.startsWith("json.log"))
      .sort(),
  ).toEqual(["json.log", "json.log.1", "json.log.2"]);
  const kept = [`${path}.2`, `${path}.1`, path].flatMap(parseLog).map(({ log }) => log);
  expect(kept).toEqual(
    Array.from({ length: kept.length }, (_, index) => `line ${2000 - kept.length + index}\n`),
  );
  for (const name of [`${path}.2`, `${path}.1`, path]) expect(readFileSync(name).length).toBeLessThan(10_200);
  expect(readFileSync(`${path}.1`).length).toBeGreaterThanOrEqual(10_000);
  const single = await logOf(Buffer.from(numbers), { maxSize: 10_000, maxFiles: 1 });
  expect(existsSync(`${single}.1`)).toBeFalse();
  expect(parseLog(single).at(-1)!.log).toBe("line 1999\n");
});

/** A syslog on a stream's socket that takes connections and reads nothing until it is told to. */
async function stalledSyslog() {
  const address = `unix:${join(newDirectory(), "log")}`;
  const come = Promise.withResolvers<Socket>();
  const server = createServer({ pauseOnConnect: true }, come.resolve).listen(address.slice(5));
  await once(server, "listening");
  const remote = { address, format: "unix", facility: 3, tag: "t", host: "h" } as const;
  return { remote, connection: come.promise, [Symbol.dispose]: () => void server.close() };
}

const numbered = "seq -f 'line %06.0f' 1 200000";

test("with a buffer a receiver that reads nothing never stops the process, and has the newest lines later", async () => {
  using syslog = await stalledSyslog();
  const log = { driver: "none", path: "", remote: syslog.remote, buffer: 65_536 } as const;
  const process = await start(numbered, { log });
  expect((await process.exited).exitCode).toBe(0);
  let text = "";
  for await (const chunk of await syslog.connection) text += String(chunk);
  const got = [...text.matchAll(/line (\d+)\n/g)].map(([, number]) => Number(number));
  expect(got.at(-1)).toBe(200_000);
  expect(got.length).toBeLessThan(100_000);
  expect(got).toEqual(got.toSorted((a, b) => a - b));
});

test("without one it stops the process, whose end is seen all the same", async () => {
  using syslog = await stalledSyslog();
  const stateDir = newDirectory();
  const log = { driver: "none", path: "", remote: syslog.remote } as const;
  const process = await start(`${numbered}; touch through`, { stateDir, log });
  (await syslog.connection).unref();
  globalThis.process.kill(process.pid, "SIGKILL");
  expect((await process.exited).exitCode).toBe(137);
  expect(existsSync(join(stateDir, "through"))).toBeFalse();
});

test("a receiver that reads has every line, however fast they come", async () => {
  using syslog = await stalledSyslog();
  const process = await start(numbered, { log: { driver: "none", path: "", remote: syslog.remote } });
  let lines = 0;
  for await (const chunk of await syslog.connection) for (const byte of chunk) if (byte === 10) lines++;
  expect([(await process.exited).exitCode, lines]).toEqual([0, 200_000]);
});

test("with a buffer a file that takes nothing never stops the process", async () => {
  const path = join(newDirectory(), "log");
  Bun.spawnSync(["mkfifo", path]);
  const reader = openSync(path, "r+");
  try {
    const process = await start(numbered, { log: { driver: "json-file", path, buffer: 65_536 } });
    expect((await process.exited).exitCode).toBe(0);
  } finally {
    closeSync(reader);
  }
});

test("a buffered log is whole when the exit is told", async () => {
  const content = "x".repeat(40_000);
  const path = join(newDirectory(), "log");
  const log = { driver: "json-file", path, buffer: 1 << 20 } as const;
  const process = await start(`echo ${content}; printf end`, { log });
  await process.exited;
  expect(parseLog(path).map(({ log }) => log)).toEqual([
    ...expectedLines(Buffer.from(`${content}\n`)),
    "end",
  ]);
});

test("a stuck attacher stops the output; when it disconnects the process goes on, and its log is whole", async () => {
  const path = join(newDirectory(), "log");
  let stuck: Duplex | undefined;
  const process = await start("head -c 3000000 /dev/zero | tr '\\0' 'z'; echo; echo end > done", {
    log: { driver: "json-file", path },
    onAttachable: async ({ attach }) => {
      stuck = await attach({ stdin: false, stdout: true, stderr: true });
    },
  });
  const size = () => (existsSync(path) ? readFileSync(path).length : 0);
  let before = -1;
  while (size() !== before || before === 0) {
    before = size();
    await Bun.sleep(100);
  }
  expect(before).toBeLessThan(2_500_000);
  stuck!.destroy();
  expect((await process.exited).exitCode).toBe(0);
  expect(parseLog(path).reduce((sum, { log }) => sum + log.length, 0)).toBe(3_000_001);
});

test("the exit is recorded though an attacher has not read the rest, which it can read later", async () => {
  let slow: Duplex | undefined;
  const process = await start("head -c 600000 /dev/zero; echo x >&2", {
    onAttachable: async ({ attach }) => {
      slow = await attach({ stdin: false, stdout: true, stderr: true });
    },
  });
  expect((await process.exited).exitCode).toBe(0);
  const { stdout, stderr } = await collect(slow!);
  expect([stdout.length, stderr]).toEqual([600_000, "x\n"]);
});

test("several attachers each get everything from when they came", async () => {
  const outputs: Promise<{ stdout: string }>[] = [];
  const process = await start("seq 1 20000", {
    onAttachable: async ({ attach }) => {
      for (let i = 0; i < 5; i++)
        outputs.push(collect(await attach({ stdin: false, stdout: true, stderr: true })));
    },
  });
  await process.exited;
  const expected = Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join("");
  for (const output of outputs) expect((await output).stdout === expected).toBeTrue();
});

test("stdin given before the process is there is not lost", async () => {
  let output: Promise<{ stdout: string }> | undefined;
  await start("cat", {
    stdio: { openStdin: true, stdinOnce: true },
    onAttachable: async ({ attach }) => {
      const stream = await attach({ stdin: true, stdout: true, stderr: true });
      output = collect(stream);
      stream.end("early");
      await Bun.sleep(50);
    },
  });
  expect((await output!).stdout).toBe("early");
});

test("a process that closes its stdin early doesn't hold up the attacher's writes", async () => {
  let written: Promise<void> | undefined;
  const process = await start("exec <&-; sleep 0.3", {
    stdio: { openStdin: true, stdinOnce: true },
    onAttachable: async ({ attach }) => {
      const stream = await attach({ stdin: true, stdout: true, stderr: true });
      stream.resume();
      written = new Promise((resolve) => stream.end(Buffer.alloc(5_000_000), () => resolve()));
    },
  });
  await written;
  expect((await process.exited).exitCode).toBe(0);
});

test("what the runtime says when it fails is handed on", async () => {
  const failed = start("", {}, { runtime: ["sh", "-c", "echo no such thing >&2; exit 1"] });
  expect(failed).rejects.toThrow(RuntimeRefusal);
  expect(failed).rejects.toThrow("no such thing");
  expect(start("", {}, { runtime: ["/nonexistent/runtime"] })).rejects.toThrow("No such file");
  expect(start("", {}, { runtime: ["true"] })).rejects.toThrow("wrote no pid");
  await Promise.allSettled([failed]);
});

test("a runtime that says more than a pipe holds is heard, and fails", async () => {
  const failed = start(
    "",
    {},
    { runtime: ["sh", "-c", "head -c 200000 /dev/zero | tr '\\0' e >&2; exit 1"] },
  );
  const { message } = (await failed.catch((error: Error) => error)) as Error;
  expect(message).toMatch(/^e{4000,}$/);
});

test("what a process says while its runtime is slow is not lost", async () => {
  const path = join(newDirectory(), "log");
  const say = "seq -f 'line %0100.0f' 1 2000 >&2";
  const process = await start(
    "",
    { log: { driver: "json-file", path } },
    { runtime: ["sh", "-c", `(${say}; exit 4) & echo $! > pid; exec sleep 0.5`] },
  );
  expect((await process.exited).exitCode).toBe(4);
  const lines = parseLog(path);
  expect(lines.map(({ log }) => Number(log.slice(5)))).toEqual(
    Array.from({ length: 2000 }, (_, at) => at + 1),
  );
  expect(new Set(lines.map(({ stream }) => stream))).toEqual(new Set(["stderr"]));
});

test("the output of a process that exits before its runtime does is not lost", async () => {
  let output: Promise<{ stdout: string }> | undefined;
  const runtime = ["sh", "-c", "(sleep 0.1; echo quick; exit 4) & echo $! > pid; exec sleep 0.3"];
  const process = await start(
    "",
    {
      onAttachable: async ({ attach }) => {
        output = collect(await attach({ stdin: false, stdout: true, stderr: true }));
      },
    },
    { runtime },
  );
  expect((await process.exited).exitCode).toBe(4);
  expect((await output!).stdout).toBe("quick\n");
});

test("without a daemon to say go, nothing is started and nothing stays", async () => {
  const stateDir = newDirectory();
  const failed = start("touch ran", {
    stateDir,
    onAttachable: async () => {
      throw new Error("the daemon changed its mind");
    },
  });
  expect(failed).rejects.toThrow("changed its mind");
  await failed.catch(() => undefined);
  while (existsSync(`${stateDir}/monitor.sock`)) await Bun.sleep(5);
  expect(await reopenMonitored(stateDir)).toBeUndefined();
  expect(existsSync(`${stateDir}/ran`)).toBeFalse();
});

test("an exit is found by whoever comes later, and the monitor is gone by then", async () => {
  const stateDir = newDirectory();
  const process = await start("exit 11", { stateDir });
  expect((await process.exited).exitCode).toBe(11);
  const again = await reopenMonitored(stateDir);
  expect(await again!.exited).toEqual(await process.exited);
  expect([again!.pid, again!.startedAt]).toEqual([process.pid, process.startedAt]);
  expect(existsSync(`${stateDir}/monitor.sock`)).toBeFalse();
});

test("garbage on the socket harms nobody", async () => {
  const stateDir = newDirectory();
  const process = await start("while [ ! -e end ]; do sleep 0.02; done; exit 2", { stateDir });
  for (const garbage of [
    "",
    "X",
    "A",
    "A9",
    `C${"x".repeat(500)}`,
    "Cresize a b\nresize 1\nnonsense\n",
    "CA7",
  ]) {
    const socket = await Bun.connect({ unix: `${stateDir}/monitor.sock`, socket: { data() {} } });
    socket.write(garbage);
    socket.flush();
    setTimeout(() => socket.terminate(), 50);
  }
  writeFileSync(`${stateDir}/end`, "");
  expect((await process.exited).exitCode).toBe(2);
});
