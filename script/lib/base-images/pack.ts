/** A directory as a compressed layer. */
import { createWriteStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Digest } from "../../../src/lib/digest.ts";

/** Writes `dir` as tar.gz to `target`; device nodes of /dev stay out, the engine makes a container's own. */
export async function pack(
  dir: string,
  target: string,
): Promise<{ digest: Digest; diffId: Digest; size: number }> {
  const tar = Bun.spawn(
    [
      ...["tar", "--create", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--sort=name"],
      ...["--numeric-owner", "--xattrs", "--xattrs-include=security.capability", "--exclude=dev/*"],
      ...["--directory", dir, ...(await readdir(dir)).sort()],
    ],
    { stdout: "pipe", stderr: "pipe" },
  );
  const plain = new Hashing();
  const packed = new Hashing();
  await pipeline(
    Readable.from(tar.stdout),
    plain,
    createGzip({ level: 6 }),
    packed,
    createWriteStream(target),
  );
  if ((await tar.exited) !== 0) throw new Error(`tar: ${await new Response(tar.stderr).text()}`);
  return { digest: packed.digest(), diffId: plain.digest(), size: packed.size };
}

class Hashing extends Transform {
  readonly #hasher = new Bun.CryptoHasher("sha256");
  size = 0;

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    this.#hasher.update(chunk);
    this.size += chunk.length;
    done(null, chunk);
  }

  digest(): Digest {
    return `sha256:${this.#hasher.digest("hex")}`;
  }
}
