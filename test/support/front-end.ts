/**
 * A front end of BuildKit in a container, for tests: its file has a line for each step of a language of its own.
 * `run SCRIPT`, `env NAME=VALUE`, `platforms A,B`, `fail MESSAGE`, `leave CODE`.
 */
import { writeSync } from "node:fs";
import { duplexPair } from "node:stream";
import { createClient } from "@connectrpc/connect";
import { LLBBridge } from "../../src/api/server/buildkit/proto/gateway_pb.ts";
import { transportOver } from "../../src/api/server/buildkit/transport.ts";
import { define, exec, source } from "./llb.ts";

const options = new Map(
  Object.entries(process.env).flatMap(([name, value]) => {
    const [, key = "", rest = ""] = /^([^=]*)=(.*)$/s.exec(value ?? "") ?? [];
    return name.startsWith("BUILDKIT_FRONTEND_OPT_") ? [[key, rest] as const] : [];
  }),
);
const [inner, outer] = duplexPair();
process.stdin.on("data", (data) => outer.write(data));
outer.on("data", (data: Buffer) => {
  for (let at = 0; at < data.length; ) at += writeSync(1, data, at);
});
const gateway = createClient(LLBBridge, transportOver(inner, new AbortController().signal));
const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

async function refOf(definition: ReturnType<typeof define>): Promise<string> {
  const { result } = await gateway.solve({ definition });
  if (result?.result.case !== "ref") throw new Error("no reference");
  return result.result.value.id;
}

const file = await refOf(define(source("local://dockerfile")));
const { data } = await gateway.readFile({ ref: file, filePath: options.get("filename") ?? "Dockerfile" });
let state = source("docker-image://docker.io/library/busybox:latest");
const Env = [`ASKED=${options.get("build-arg:ASKED") ?? ""}`, `LINE=${options.get("cmdline")}`];
let platforms: string[] = [];
for (const line of Buffer.from(data).toString().split("\n")) {
  const [, word, rest = ""] = /^(\w+) ?(.*)$/.exec(line) ?? [];
  if (word === "run")
    state = exec(state, rest, { metadata: { description: { "llb.customname": `mine: ${rest}` } } });
  if (word === "env") Env.push(rest);
  if (word === "platforms") platforms = rest.split(",");
  if (word === "leave") process.exit(Number(rest));
  if (word === "fail") {
    await gateway.return({ error: { code: 3, message: rest } });
    process.exit(1);
  }
}
const configFor = (architecture: string) => bytes({ os: "linux", architecture, config: { Env } });
if (options.has("requestid")) {
  const answer = { asked: options.get("requestid") };
  await gateway.return({
    result: { metadata: { "result.json": bytes(answer), "result.txt": bytes("told") } },
  });
} else if (platforms.length > 0) {
  const refs: Record<string, { id: string }> = {};
  const metadata: Record<string, Uint8Array> = {
    "refs.platforms": bytes({
      Platforms: platforms.map((architecture) => ({
        ID: `linux/${architecture}`,
        Platform: { os: "linux", architecture },
      })),
    }),
  };
  for (const architecture of platforms) {
    refs[`linux/${architecture}`] = { id: await refOf(define(state)) };
    metadata[`containerimage.config/linux/${architecture}`] = configFor(architecture);
  }
  await gateway.return({ result: { result: { case: "refs", value: { refs } }, metadata } });
} else {
  const id = await refOf(define(state));
  const metadata = { "containerimage.config": configFor("amd64") };
  await gateway.return({ result: { result: { case: "ref", value: { id } }, metadata } });
}
process.exit(0);
