/** The build context: a directory as a tar stream, without what `.dockerignore` leaves out. */
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import { InvalidParameter } from "../../lib/errors.ts";
import { type IgnoreRules, parseIgnore } from "../../lib/ignore.ts";

export interface PackOptions {
  /** Path of the Dockerfile inside the context; it and `.dockerignore` are sent whatever the rules say. */
  dockerfile?: string;
  /** Files that aren't in the directory, by their path in the context. */
  extraFiles?: Record<string, string>;
}

/**
 * The tar of `directory`, sorted by name, made as it is read. Owners are dropped (root), as Docker's client does.
 * @throws InvalidParameter when the directory is missing or its `.dockerignore` is malformed
 */
export async function* packContext(directory: string, options: PackOptions = {}): AsyncGenerator<Uint8Array> {
  if (!existsSync(directory))
    throw new InvalidParameter(`unable to prepare context: path ${JSON.stringify(directory)} not found`);
  const rules = ignoreRules(directory, options.dockerfile);
  const pack = tar.pack();
  const done = fill(pack, directory, rules, options).then(
    () => pack.finalize(),
    (error: unknown) => pack.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  for await (const chunk of pack) yield chunk as Uint8Array;
  await done;
}

/** `<Dockerfile>.dockerignore` comes before `.dockerignore`. */
function ignoreRules(directory: string, dockerfile: string | undefined): IgnoreRules {
  for (const name of [dockerfile && `${dockerfile}.dockerignore`, ".dockerignore"]) {
    if (!name || !existsSync(join(directory, name))) continue;
    const keep = ["", "!.dockerignore", dockerfile ? `!${dockerfile}` : ""];
    return parseIgnore(readFileSync(join(directory, name), "utf8") + keep.join("\n"));
  }
  return parseIgnore("");
}

async function fill(
  pack: tar.Pack,
  directory: string,
  rules: IgnoreRules,
  options: PackOptions,
): Promise<void> {
  const visit = async (relative: string): Promise<void> => {
    const names = (await readdir(join(directory, relative))).sort();
    for (const name of names) {
      const path = relative === "" ? name : `${relative}/${name}`;
      const ignored = rules.ignores(path);
      const full = join(directory, path);
      const stat = await lstat(full);
      if (stat.isDirectory()) {
        if (!ignored)
          await add(pack, {
            name: `${path}/`,
            type: "directory",
            mode: stat.mode & 0o7777,
            mtime: stat.mtime,
          });
        if (!ignored || rules.mayKeepBelow(path)) await visit(path);
      } else if (ignored) continue;
      else if (stat.isSymbolicLink())
        await add(pack, {
          name: path,
          type: "symlink",
          linkname: await readlink(full),
          mode: 0o777,
          mtime: stat.mtime,
        });
      else if (stat.isFile()) {
        const entry = pack.entry({
          name: path,
          size: stat.size,
          mode: stat.mode & 0o7777,
          mtime: stat.mtime,
        });
        // A file that grows while it is read is cut at the size that its header announces.
        if (stat.size === 0) entry.end(Buffer.alloc(0));
        else
          await pipeline(
            createReadStream(full, { end: stat.size - 1, highWaterMark: 1 << 20 }),
            entry as unknown as NodeJS.WritableStream,
          );
      }
    }
  };
  await visit("");
  for (const [name, text] of Object.entries(options.extraFiles ?? {})) {
    const bytes = Buffer.from(text);
    await add(pack, { name, mode: 0o644, mtime: new Date(0), size: bytes.length }, bytes);
  }
}

function add(pack: tar.Pack, header: Partial<tar.Header> & { name: string }, body?: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve());
    if (body) pack.entry(header, body, done);
    else pack.entry(header, done);
  });
}
