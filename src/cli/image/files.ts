/** Images to and from files: save, load, import, and a container's export. */
import { createWriteStream, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errorOf } from "../../api/client/index.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import { atLeast, between, defineCommand, exactly, none } from "../command.ts";
import type { CliContext } from "../context.ts";
import { inputStream } from "../input.ts";
import { checkReplaceable } from "../output-file.ts";
import { isTerminal, stdinFd, stdoutFd, writeAll } from "../terminal.ts";
import { platformsQuery } from "./platforms.ts";
import { type ProgressMessage, showProgress } from "./progress.ts";

const terminalRefusal = "cowardly refusing to save to a terminal. Use the -o flag or redirect";

const endings = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The body of an answer to a file or stdout; a file that can't be finished, or is given up, is not left behind. */
async function download(
  context: CliContext,
  path: string,
  query: Record<string, string | object | undefined>,
  output: string | undefined,
  what: string,
): Promise<void> {
  if (output === undefined && isTerminal(stdoutFd)) throw new InvalidParameter(terminalRefusal);
  if (output !== undefined) {
    const directory = dirname(output);
    if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory())
      throw new InvalidParameter(
        `failed to ${what}: invalid output path: stat ${directory}: no such file or directory`,
      );
    try {
      checkReplaceable(output);
    } catch (error) {
      throw new InvalidParameter(`failed to ${what}: ${messageOf(error)}`, { cause: error });
    }
  }
  const response = await context.client.send("GET", path, { query });
  if (response.status >= 300) throw await errorOf(response);
  if (output === undefined) {
    for await (const bytes of response.body) writeAll(stdoutFd, bytes);
    return;
  }
  const { rename, rm } = await import("node:fs/promises");
  const partial = `${output}.partial-${process.pid}`;
  const interrupted = (signal: NodeJS.Signals) => {
    rmSync(partial, { force: true });
    // As if nobody had listened: there is no other ear than this one.
    process.kill(process.pid, signal);
  };
  for (const signal of endings) process.once(signal, interrupted);
  try {
    const { pipeline } = await import("node:stream/promises");
    await pipeline(response.body, createWriteStream(partial));
    await rename(partial, output);
  } finally {
    for (const signal of endings) process.off(signal, interrupted);
    await rm(partial, { force: true });
  }
}

export const save = defineCommand({
  name: "image save",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
  aliases: ["image save", "save"],
  flags: {
    output: { kind: "string", short: "o", help: "Write to a file" },
    platform: { kind: "strings", help: "Save only these platforms (linux/arm64)" },
  },
  arity: atLeast(1),
  examples: ["save -o app.tar app:1.0"],
  async run(context, { flags, args }) {
    // Names and platforms are repeated, which an object of query parameters can't say.
    const names = args.map((name) => `names=${encodeURIComponent(name)}`);
    const query = [...names, platformsQuery("platform", flags.platform)].filter(Boolean).join("&");
    await download(context, `/images/get?${query}`, {}, flags.output, "save image");
    return 0;
  },
});

export const exportContainer = defineCommand({
  name: "container export",
  usage: "[OPTIONS] CONTAINER",
  summary: "Export a container's filesystem as a tar archive",
  aliases: ["container export", "export"],
  flags: { output: { kind: "string", short: "o", help: "Write to a file" } },
  arity: exactly(1),
  examples: ["export web > web.tar"],
  async run(context, { flags, args: [name = ""] }) {
    await download(
      context,
      `/containers/${encodeURIComponent(name)}/export`,
      {},
      flags.output,
      "export container",
    );
    return 0;
  },
});

export const load = defineCommand({
  name: "image load",
  usage: "[OPTIONS]",
  summary: "Load an image from a tar archive or STDIN",
  aliases: ["image load", "load"],
  flags: {
    input: { kind: "string", short: "i", help: "Read from a file" },
    platform: { kind: "strings", help: "Load only these platforms (linux/arm64)" },
    quiet: { kind: "bool", short: "q", help: "Don't show the progress" },
  },
  arity: none,
  examples: ["load -i app.tar"],
  async run(context, { flags }) {
    if (flags.input === undefined && isTerminal(stdinFd)) {
      throw new InvalidParameter("requested load from stdin, but stdin is empty");
    }
    const path = `/images/load?${platformsQuery("platform", flags.platform)}`;
    const messages = context.client.messages<ProgressMessage>("POST", path, {
      query: { quiet: flags.quiet || !isTerminal(stdoutFd) ? 1 : 0 },
      body: inputStream(flags.input),
    });
    await showProgress(messages, stdoutFd);
    return 0;
  },
});

export const importImage = defineCommand({
  name: "image import",
  usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  summary: "Import the contents from a tarball to create a filesystem image",
  aliases: ["image import", "import"],
  flags: {
    change: { kind: "list", short: "c", help: "Apply a Dockerfile instruction to the image" },
    message: { kind: "string", short: "m", help: "Message of the image's history" },
    platform: { kind: "string", help: "Platform of the image" },
  },
  arity: between(1, 2),
  examples: ["import root.tar base:1"],
  async run(context, { flags, args: [source = "", name] }) {
    const remote = /^https?:\/\//.test(source);
    const [repo, tag] = splitTag(name);
    const messages = context.client.messages<ProgressMessage>(
      "POST",
      `/images/create${changesQuery(flags.change)}`,
      {
        query: {
          fromSrc: remote ? source : "-",
          repo,
          tag,
          message: flags.message,
          platform: flags.platform,
        },
        body: remote ? undefined : inputStream(source === "-" ? undefined : source),
      },
    );
    await showProgress(messages, stdoutFd);
    return 0;
  },
});

/** Repeated `changes`, which an object of query parameters can't say. */
export function changesQuery(changes: readonly string[]): string {
  return changes.length === 0
    ? ""
    : `?${changes.map((change) => `changes=${encodeURIComponent(change)}`).join("&")}`;
}

/** Repository and tag of a name. */
export function splitTag(name: string | undefined): [string | undefined, string | undefined] {
  if (name === undefined) return [undefined, undefined];
  const colon = name.lastIndexOf(":");
  return colon < 0 || name.includes("/", colon)
    ? [name, undefined]
    : [name.slice(0, colon), name.slice(colon + 1)];
}
