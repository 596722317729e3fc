import { rmSync, writeFileSync } from "node:fs";
import { isEngineError } from "../../api/client/index.ts";
import type { RequestOptions } from "../../api/client/types.ts";
import { allCredentials, encodeAuth } from "../auth/credentials.ts";
import { defineCommand, exactly } from "../command.ts";
import { type CliContext, ExitStatus } from "../context.ts";
import { humanSize } from "../format/units.ts";
import { type ProgressMessage, StreamedError, showProgress } from "../image/progress.ts";
import { inputStream } from "../input.ts";
import { isTerminal, stderrFd, stdoutFd, writeAll } from "../terminal.ts";
import { buildFlags, buildRequest } from "./request.ts";
import { openSource } from "./source.ts";

export const command = defineCommand({
  name: "image build",
  usage: "[OPTIONS] PATH | URL | -",
  summary: "Build an image from a Dockerfile",
  aliases: ["image build", "build", "builder build"],
  flags: buildFlags,
  arity: exactly(1),
  examples: [
    "build -t app:1.0 .",
    "build -t app --build-arg VERSION=1.0 --target test -f docker/Dockerfile .",
    "build -t tools - < Dockerfile",
    "build https://github.com/team/app.git#main:server",
  ],
  async run(context, { flags, args: [path = "."] }) {
    if (flags.iidfile !== undefined) rmSync(flags.iidfile, { force: true });
    await using cleanup = new AsyncDisposableStack();
    const source = await openSource({
      context: path,
      file: flags.file,
      cwd: process.cwd(),
      stdin: () => inputStream(undefined),
      onDispose: (dispose) => cleanup.defer(dispose),
    });
    const request = buildRequest(flags, source.dockerfile, context.env);
    const tar = flags.compress ? await compressed(source.tar) : source.tar;
    const live = !flags.quiet && flags.progress === "auto" && isTerminal(stderrFd);
    const messages = context.client.messages<ProgressMessage>("POST", request.path, {
      query: request.query,
      headers: { "x-registry-config": encodeAuth(await allCredentials(context)) },
      body: live ? counted(context, tar) : tar,
    });
    if (flags.check) return showCheck(context, request, tar);
    const id = flags.quiet ? await buildQuietly(context, messages) : await show(context, messages);
    if (flags.iidfile !== undefined && id !== undefined) writeFileSync(flags.iidfile, id);
    return 0;
  },
});

/** The image's ID in the engine's side note. */
function idIn(aux: unknown): string | undefined {
  const id = (aux as { ID?: unknown } | null)?.ID;
  return typeof id === "string" ? id : undefined;
}

async function show(
  context: CliContext,
  messages: AsyncIterable<ProgressMessage>,
): Promise<string | undefined> {
  let id: string | undefined;
  try {
    await showProgress(messages, stdoutFd, (aux) => {
      id = idIn(aux) ?? id;
    });
  } catch (error) {
    throw await failure(context, error);
  }
  return id;
}

/** Docker's exit status: 1 when anything was found. */
async function showCheck(
  context: CliContext,
  { path, query }: { path: string; query: RequestOptions["query"] },
  body: AsyncIterable<Uint8Array>,
): Promise<number> {
  const [{ parse }, { checkReport, showReport }] = await Promise.all([
    import("valibot"),
    import("./check.ts"),
  ]);
  const report = parse(checkReport, await context.client.call("POST", path, { query, body }));
  writeAll(stdoutFd, showReport(report));
  return report.warnings.length > 0 || report.error ? 1 : 0;
}

/** Prints the ID alone; what the steps said is shown when they fail. */
async function buildQuietly(
  context: CliContext,
  messages: AsyncIterable<ProgressMessage>,
): Promise<string | undefined> {
  let text = "";
  let id: string | undefined;
  async function* recorded() {
    for await (const message of messages) {
      text += message.stream ?? "";
      yield message;
    }
  }
  try {
    await showProgress(recorded(), undefined, (aux) => {
      id = idIn(aux) ?? id;
    });
  } catch (error) {
    context.err(text);
    throw await failure(context, error);
  }
  id ??= /sha256:[0-9a-f]{64}/.exec(text)?.[0];
  if (id !== undefined) context.line(id);
  return id;
}

/** Shows the place of a failure; a step that failed gives its own exit status. */
async function failure(context: CliContext, error: unknown): Promise<unknown> {
  const streamed = error instanceof StreamedError;
  const detail = streamed ? error.detail : isEngineError(error) ? error.cause.errorDetail : undefined;
  if (detail) {
    const { showFailure } = await import("./excerpt.ts");
    context.err(showFailure(detail));
  }
  return streamed ? new ExitStatus(error.code || 1, error.message) : error;
}

async function compressed(tar: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const [{ Readable }, { createGzip }] = await Promise.all([import("node:stream"), import("node:zlib")]);
  const source = Readable.from(tar);
  const gzip = createGzip({ level: 1 });
  source.on("error", (error) => gzip.destroy(error));
  return source.pipe(gzip);
}

const redrawInterval = 100;

/** Shows on the terminal how much of the context is on its way. */
async function* counted(context: CliContext, tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  let drawn = 0;
  const draw = (end: string) => context.err(`\r\x1b[KSending build context  ${humanSize(bytes)}${end}`);
  for await (const chunk of tar) {
    yield chunk;
    bytes += chunk.length;
    if (Date.now() - drawn < redrawInterval) continue;
    drawn = Date.now();
    draw("");
  }
  draw("\n");
}
