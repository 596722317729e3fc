/** `--output`, `--push` and `--load`: what becomes of the result, and where files go on this machine. */
import { createWriteStream, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ApiClient } from "../../api/client/index.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";
import { unpackCopy } from "../container/copy-files.ts";
import { removePlainFile } from "../output-file.ts";
import { isTerminal, stdoutFd, writeAll } from "../terminal.ts";
import type { BuildValues } from "./flags.ts";

/** An output as the engine is asked for it. */
export interface Output {
  Type: string;
  Attrs: Record<string, string>;
}

export interface Outputs {
  /** For the query of `POST /build`; undefined: an image that the engine keeps. */
  query: Output[] | undefined;
  /** Fetches what the engine has ready, and puts it where the user wants it. @throws what writing throws */
  receive(client: ApiClient, ready: { Id: string; Index: number }): Promise<void>;
}

/** Where an output's files go: a directory, a file, or `-` for stdout. */
type Place = { directory: string } | { file: string } | undefined;

/** @throws InvalidParameter in buildx's words */
export function parseOutputs(flags: BuildValues): Outputs {
  const parsed = flags.output.map(parseOutput);
  if (flags.push && flags.load && parsed.length === 0)
    throw new InvalidParameter("push and load may not be set together at the moment");
  const images = parsed.filter(({ output }) => output.Type === "image" || output.Type === "registry");
  if (flags.push) for (const { output } of images) output.Attrs.push = "true";
  if (flags.push && images.length === 0)
    parsed.push({ output: { Type: "image", Attrs: { push: "true" } }, place: undefined });
  if (flags.load && !parsed.some(({ output }) => output.Type === "image") && parsed.length > 0)
    parsed.push({ output: { Type: "image", Attrs: {} }, place: undefined });
  const annotations = annotationAttributes(flags.annotation);
  if (flags.annotation.length > 0 && parsed.length === 0)
    parsed.push({ output: { Type: "image", Attrs: {} }, place: undefined });
  for (const { output } of parsed)
    if (["image", "registry", "oci", "docker"].includes(output.Type))
      Object.assign(output.Attrs, annotations);
  return {
    query: parsed.length > 0 ? parsed.map(({ output }) => output) : undefined,
    async receive(client, { Id, Index }) {
      const place = parsed[Index]?.place;
      if (!place) throw new InvalidParameter(`the engine has an output that was not asked for: ${Index}`);
      const { status, body } = await client.send("GET", `/build/output/${Id}`);
      if (status !== 200) throw new InvalidParameter(`the output could not be fetched: status ${status}`);
      await put(body, place);
    },
  };
}

/** `type=tar,dest=out.tar`; a path alone is `type=local`, `-` alone an archive on stdout. */
function parseOutput(text: string): { output: Output; place: Place } {
  if (text === "-") return { output: { Type: "tar", Attrs: {} }, place: fileAt("-") };
  const fields = splitCsv(text);
  if (fields.length === 1 && !text.includes("="))
    return { output: { Type: "local", Attrs: {} }, place: { directory: resolve(text) } };
  const { type, dest, ...Attrs } = Object.fromEntries(
    fields.map((field) => {
      const equals = field.indexOf("=");
      if (equals < 0) throw new InvalidParameter(`invalid value ${text}`);
      return [field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1)];
    }),
  );
  if (!type) throw new InvalidParameter(`type is required for output: ${text} (type=local,dest=DIRECTORY)`);
  // Without a place of its own the archive is the engine's to load.
  if (type === "docker" && dest === undefined) return { output: { Type: "image", Attrs }, place: undefined };
  if (type === "local" || Attrs.tar === "false") {
    if (!dest) throw new InvalidParameter(`dest is required for ${type} output`);
    // How the files lie here is no matter of the engine's.
    const { tar: _, ...rest } = Attrs;
    return { output: { Type: type, Attrs: rest }, place: { directory: resolve(dest) } };
  }
  const isFile = ["tar", "oci", "docker"].includes(type);
  // Of a type that there isn't the engine tells.
  if (["image", "registry", "cacheonly"].includes(type) && dest !== undefined)
    throw new InvalidParameter(`dest is not supported for output type=${type}`);
  return { output: { Type: type, Attrs }, place: isFile ? fileAt(dest ?? "-") : undefined };
}

function fileAt(path: string): Place {
  if (path === "-" && isTerminal(stdoutFd))
    throw new InvalidParameter("dest file is required for this output: refusing to write to a terminal");
  return { file: path === "-" ? path : resolve(path) };
}

/** `[TYPE:]KEY=VALUE`, of the image's manifest where no type is said. */
function annotationAttributes(annotations: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    annotations.map((text) => {
      const [, levels = "", key = "", value = ""] =
        /^(?:((?:manifest|index|manifest-descriptor|index-descriptor)(?:\[[^\]]*\])?(?:,[^:=]*)?):)?([^=]+)=(.*)$/s.exec(
          text,
        ) ?? [];
      if (key === "")
        throw new InvalidParameter(`invalid annotation ${JSON.stringify(text)}: KEY=VALUE is wanted`);
      return [`annotation${levels === "" ? "" : `-${levels}`}.${key}`, value];
    }),
  );
}

async function put(body: AsyncIterable<Uint8Array>, place: NonNullable<Place>): Promise<void> {
  if ("directory" in place) {
    mkdirSync(place.directory, { recursive: true });
    await unpackCopy(body, { directory: place.directory, name: undefined }, { owners: false, whole: true });
  } else if (place.file === "-") {
    for await (const bytes of body) writeAll(stdoutFd, bytes);
  } else {
    try {
      await pipeline(body, createWriteStream(place.file));
    } catch (error) {
      // Half an archive would be taken for a whole one.
      removePlainFile(place.file);
      throw error;
    }
  }
}
