/** Sources of ADD that are not in the context. */

import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, utimesSync } from "node:fs";
import { join, posix } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { messageOf } from "../../lib/errors.ts";
import { openUrl } from "../../lib/outgoing.ts";
import { isGitSource } from "./git.ts";
import { SourceTree } from "./tree.ts";

export function isRemote(source: string): boolean {
  return /^https?:\/\//.test(source) || isGitSource(source);
}

/**
 * Downloads one file, mode 0600, to a tree of its own.
 * @throws what `fail` makes: no such file, another checksum, no name to give it
 */
export async function fetchRemote(
  url: string,
  directory: string,
  options: {
    /** Of the file; default: the URL's. */
    name?: string;
    checksum?: string;
    progress: (name: string, current: number, total?: number) => void;
    signal: AbortSignal;
    /** Makes the error: it knows who wanted the file. */
    fail: (why: string) => Error;
  },
): Promise<SourceTree> {
  const { checksum, progress, signal, fail } = options;
  if (checksum !== undefined && !/^sha256:[0-9a-f]{64}$/.test(checksum)) {
    throw fail(`invalid checksum ${JSON.stringify(checksum)}: sha256:<hex> is expected`);
  }
  const response = await openUrl(url, signal).catch((error) => {
    signal.throwIfAborted();
    throw fail(messageOf(error));
  });
  const name = options.name ?? posix.basename(decodeURIComponent(new URL(response.url).pathname));
  if (name === "" || name === "/") throw fail(`cannot determine filename from url: ${url}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const root = mkdtempSync(join(directory, "add-"));
  const file = join(root, name);
  const hash = new Bun.CryptoHasher("sha256");
  const total = Number(response.headers.get("content-length")) || undefined;
  let received = 0;
  await pipeline(
    Readable.fromWeb(response.body as never),
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        received += chunk.length;
        progress(url, received, total);
        yield chunk;
      }
    },
    createWriteStream(file, { flags: "wx" }),
    { signal },
  );
  const digest = `sha256:${hash.digest("hex")}`;
  if (checksum !== undefined && checksum !== digest) {
    throw fail(`digest mismatch for ${url}: ${digest} (expected: ${checksum})`);
  }
  chmodSync(file, 0o600);
  const modified = new Date(response.headers.get("last-modified") ?? 0);
  const time = Number.isNaN(modified.getTime()) ? new Date(0) : modified;
  utimesSync(file, time, time);
  return new SourceTree(root);
}
