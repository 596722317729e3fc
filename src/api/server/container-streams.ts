/** Container endpoints whose answers go on: attach, logs, stats, archives (Engine API, tag "Container"). */

import { type Duplex, type Readable, Transform, type Writable } from "node:stream";
import type { PathStat } from "../../engine/types.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { Demultiplexer, frame } from "../../lib/stdcopy.ts";
import { encodeStats } from "./encode-stats.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./router.ts";
import { parseTimestamp, rfc3339Nano } from "./times.ts";
import { handshake, WebSocketStream } from "./websocket.ts";

const raw = "application/vnd.docker.raw-stream";
const multiplexed = "application/vnd.docker.multiplexed-stream";

/** What a stream of a container's output is called; the name for frames came with 1.42. */
export const streamType = (tty: boolean, version: number) => (tty || version < 42 ? raw : multiplexed);

/**
 * Connects a hijacked connection with a process's stdio. The client's end of input is the process's, the process's
 * end of output the connection's; a client that leaves altogether lets go of the process.
 * @param shown what the client gets of the output
 */
export function splice(
  { input, output }: { input: Readable; output: Writable },
  stdio: Duplex,
  shown: Readable = stdio,
): void {
  input.on("error", () => stdio.destroy());
  output.on("error", () => stdio.destroy());
  output.once("close", () => stdio.destroy());
  stdio.on("error", () => output.end());
  input.pipe(stdio);
  shown.pipe(output);
}

/** The data of stdcopy frames, one after the other. */
function withoutFrames(): Transform {
  const demultiplexer = new Demultiplexer((_, data) => transform.push(data));
  const transform = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      demultiplexer.push(chunk);
      done();
    },
  });
  return transform;
}

export const containerStreamRoutes: Route[] = [
  {
    method: "POST",
    path: "/containers/{id}/attach",
    async handle(x) {
      const { config } = x.engine.containers.get(x.params.id!);
      const stdio = await x.engine.containers.attach(x.params.id!, {
        stdin: x.flag("stdin"),
        stdout: x.flag("stdout"),
        stderr: x.flag("stderr"),
        stream: x.flag("stream"),
        logs: x.flag("logs"),
        detachKeys: x.text("detachKeys"),
      });
      splice(x.hijack(streamType(config.Tty, x.version)), stdio);
    },
  },
  {
    // The output comes without frames, both streams as one.
    method: "GET",
    path: "/containers/{id}/attach/ws",
    async handle(x) {
      const fields = handshake(x.request);
      // Until 1.42 it was always all three streams.
      const wants = (stream: string) => x.version < 42 || x.flag(stream);
      const stdio = await x.engine.containers.attach(x.params.id!, {
        stdin: wants("stdin"),
        stdout: wants("stdout"),
        stderr: wants("stderr"),
        stream: x.flag("stream"),
        logs: x.flag("logs"),
        detachKeys: x.text("detachKeys"),
      });
      const { Tty } = x.engine.containers.get(x.params.id!).config;
      const client = new WebSocketStream(x.switchProtocols(fields), x.version < 28 ? "text" : "binary");
      splice({ input: client, output: client }, stdio, Tty ? stdio : stdio.pipe(withoutFrames()));
    },
  },
  {
    method: "GET",
    path: "/containers/{id}/logs",
    handle: logs,
  },
  {
    method: "GET",
    path: "/containers/{id}/stats",
    async handle(x) {
      const record = x.engine.containers.get(x.params.id!);
      const stream = x.flag("stream", true);
      let before: Parameters<typeof encodeStats>[2];
      if (!stream) {
        const sample = () => x.engine.containers.sample(record.id);
        // The parameter came with 1.41. A container that doesn't run has nothing to compare.
        if (!(x.flag("one-shot") && x.version >= 41)) before = sample();
        if (before) await Bun.sleep(1000);
        return x.json(encodeStats(record, sample(), before));
      }
      const output = x.open("application/json");
      for await (const sample of x.engine.containers.stats(record.id, x.signal)) {
        await output.write(`${JSON.stringify(encodeStats(record, sample, before))}\n`);
        before = sample;
      }
      output.end();
    },
  },
  {
    method: "GET",
    path: "/containers/{id}/export",
    async handle(x) {
      await x.stream(await x.engine.containers.export(x.params.id!), "application/octet-stream");
    },
  },
  {
    method: "HEAD",
    path: "/containers/{id}/archive",
    async handle(x) {
      x.empty(200, statHeader(await x.engine.containers.statPath(x.params.id!, archivePath(x))));
    },
  },
  {
    method: "GET",
    path: "/containers/{id}/archive",
    async handle(x) {
      const { stat, tar } = await x.engine.containers.getArchive(x.params.id!, archivePath(x));
      await x.stream(tar, "application/x-tar", statHeader(stat));
    },
  },
  {
    method: "PUT",
    path: "/containers/{id}/archive",
    async handle(x) {
      await x.engine.containers.putArchive(x.params.id!, archivePath(x), x.request, {
        noOverwriteDirNonDir: x.flag("noOverwriteDirNonDir"),
        copyUidGid: x.flag("copyUIDGID"),
      });
      x.empty(200);
    },
  },
];

async function logs(x: Exchange): Promise<void> {
  const record = x.engine.containers.get(x.params.id!);
  const [stdout, stderr, follow] = [x.flag("stdout"), x.flag("stderr"), x.flag("follow")];
  if (!stdout && !stderr) throw new InvalidParameter("Bad parameters: you must choose at least one stream");
  const [timestamps, details] = [x.flag("timestamps"), x.flag("details")];
  const tail = x.text("tail");
  const entries = x.engine.containers.logs(
    record.id,
    {
      follow,
      stdout,
      stderr,
      since: parseTimestamp(x.text("since")),
      until: parseTimestamp(x.text("until")),
      tail: /^\d+$/.test(tail) ? Number(tail) : undefined,
    },
    x.signal,
  );
  const iterator = entries[Symbol.asyncIterator]();
  // Asked for before the head is sent, so that what is wrong with the log still gets a status. One that is followed
  // may have nothing to say for long, and its head can't wait.
  const first = iterator.next();
  if (!follow) await first;
  const { Tty } = record.config;
  const output = x.open(streamType(Tty, x.version));
  for (let next = await first; !next.done; next = await iterator.next()) {
    const { stream, timeNs, data, attributes } = next.value;
    const head = `${timestamps ? `${rfc3339Nano(timeNs)} ` : ""}${details ? `${detailsOf(attributes)} ` : ""}`;
    const line = head === "" ? data : Buffer.concat([Buffer.from(head), data]);
    await output.write(Tty ? line : frame(stream, line));
  }
  output.end();
}

/** `name=value,...` of what the log's options tell of the container. */
function detailsOf(attributes: Record<string, string> = {}): string {
  const escaped = (text: string) => encodeURIComponent(text).replaceAll("%20", "+");
  return Object.entries(attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .join(",");
}

function archivePath(x: Exchange): string {
  const path = x.text("path");
  if (path === "") throw new InvalidParameter("bad parameter: path cannot be empty");
  return path;
}

/** The path's stat as base64 of JSON (Engine API, "ContainerArchiveInfo"). */
function statHeader(stat: PathStat): Record<string, string> {
  const encoded = {
    name: stat.name,
    size: stat.size,
    mode: stat.mode,
    mtime: new Date(stat.mtime).toISOString(),
    linkTarget: stat.linkTarget,
  };
  return { "X-Docker-Container-Path-Stat": Buffer.from(JSON.stringify(encoded)).toString("base64") };
}
