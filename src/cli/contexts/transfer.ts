/** `context export` and `context import`: a context as a file, for another machine. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { Conflict, InvalidParameter, messageOf, TooLarge } from "../../lib/errors.ts";
import { between, defineCommand, exactly } from "../command.ts";
import { isTerminal, stdoutFd } from "../terminal.ts";
import { archiveLimit, packContext, unpackContext } from "./archive.ts";
import { metaOf, storeOf } from "./contexts.ts";
import { checkContextName } from "./store.ts";

export const exportContext = defineCommand({
  name: "context export",
  usage: "[OPTIONS] CONTEXT [FILE|-]",
  summary: "Export a context to a tar archive FILE or a tar stream on STDOUT",
  flags: {},
  arity: between(1, 2),
  examples: ["context export staging", "context export staging - > staging.tar"],
  async run(context, { args: [name = "", file = `${name}.dockercontext`] }) {
    const meta = metaOf(context, name);
    const archive = packContext(meta, name === "default" ? {} : storeOf(context).readTls(name));
    if (file === "-") {
      if (isTerminal(stdoutFd))
        throw new InvalidParameter("cowardly refusing to export to a terminal, specify a file path");
      context.out(archive);
      return 0;
    }
    if (existsSync(file)) throw new Conflict(`error: file already exists: ${file}`);
    // Keys may be in it: nobody else reads it.
    writeFileSync(file, archive, { mode: 0o600, flag: "wx" });
    context.err(`Written file ${JSON.stringify(file)}\n`);
    return 0;
  },
});

export const importContext = defineCommand({
  name: "context import",
  usage: "CONTEXT FILE|-",
  summary: "Import a context from a tar archive",
  flags: {},
  arity: exactly(2),
  examples: ["context import staging staging.dockercontext"],
  async run(context, { args: [name = "", file = ""] }) {
    const store = storeOf(context);
    checkContextName(name);
    if (store.has(name)) throw new Conflict(`context ${JSON.stringify(name)} already exists`);
    const { meta, tls } = unpackContext(await read(file), name);
    store.put(meta, tls);
    context.line(name);
    context.err(`Successfully imported context ${JSON.stringify(name)}\n`);
    return 0;
  },
});

async function read(file: string): Promise<Uint8Array> {
  const tooLarge = () => new TooLarge(`invalid context: more than ${archiveLimit} bytes`);
  if (file !== "-") {
    try {
      if (statSync(file).size > archiveLimit) throw tooLarge();
      return readFileSync(file);
    } catch (error) {
      if (error instanceof TooLarge) throw error;
      throw new InvalidParameter(messageOf(error), { cause: error });
    }
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of Bun.stdin.stream()) {
    size += bytes.length;
    if (size > archiveLimit) throw tooLarge();
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
