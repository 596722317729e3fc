/** Directories of blobs (OCI layouts) that a build's session offers to the engine: containerd's content service. */
import { createHash } from "node:crypto";
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { hexOf, isDigest } from "../../lib/digest.ts";
import { pieceSize, storeHeader } from "../blobs.ts";
import { type Content, WriteAction, type WriteContentRequest } from "../server/buildkit/proto/content_pb.ts";

/** @param directory where the layout is that the engine means by a name; undefined: it is not offered */
export function contentService(
  directory: (name: string) => string | undefined,
): Partial<ServiceImpl<typeof Content>> {
  const pathOf = ({ requestHeader }: HandlerContext, digest: string) => {
    const name = requestHeader.get(storeHeader) ?? "";
    const root = directory(name);
    if (root === undefined) throw new ConnectError(`no store ${name}`, Code.NotFound);
    if (!isDigest(digest)) throw new ConnectError(`invalid digest ${digest}`, Code.InvalidArgument);
    return join(root, "blobs/sha256", hexOf(digest));
  };
  return {
    info({ digest }, context) {
      return { info: { digest, size: BigInt(sizeOf(pathOf(context, digest), digest)) } };
    },

    async *read({ digest, offset, size }, context) {
      const path = pathOf(context, digest);
      const end = size > 0n ? Number(offset + size) : sizeOf(path, digest);
      await using file = await open(path);
      for (let at = Number(offset); at < end; ) {
        const data = new Uint8Array(Math.min(pieceSize, end - at));
        const { bytesRead } = await file.read(data, 0, data.length, at);
        if (bytesRead === 0) return;
        yield { offset: BigInt(at), data: data.subarray(0, bytesRead) };
        at += bytesRead;
      }
    },

    write(requests, context) {
      return write(requests, (digest) => pathOf(context, digest));
    },
  };
}

/** What is written is seen under its name only when it is whole, and its digest right. */
async function* write(requests: AsyncIterable<WriteContentRequest>, pathOf: (digest: string) => string) {
  await using parts = new AsyncDisposableStack();
  let blob: { digest: string; path: string; temporary: string; file: FileHandle } | undefined;
  const hash = createHash("sha256");
  let offset = 0;
  for await (const { action, expected, data } of requests) {
    if (!blob) {
      const path = pathOf(expected);
      if (statSync(path, { throwIfNoEntry: false }))
        throw new ConnectError(`content ${expected} already exists`, Code.AlreadyExists);
      mkdirSync(dirname(path), { recursive: true });
      const temporary = `${path}.${crypto.randomUUID()}`;
      parts.defer(async () => rmSync(temporary, { force: true }));
      blob = { digest: expected, path, temporary, file: parts.use(await open(temporary, "wx")) };
    }
    for (let at = 0; at < data.length; )
      at += (await blob.file.write(data, at, data.length - at)).bytesWritten;
    hash.update(data);
    offset += data.length;
    if (action === WriteAction.COMMIT) {
      const actual = `sha256:${hash.digest("hex")}`;
      if (actual !== blob.digest)
        throw new ConnectError(`unexpected commit digest ${actual}`, Code.FailedPrecondition);
      await blob.file.sync();
      renameSync(blob.temporary, blob.path);
    }
    yield { action, offset: BigInt(offset), total: BigInt(offset), digest: blob.digest };
    if (action === WriteAction.COMMIT) return;
  }
}

function sizeOf(path: string, digest: string): number {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new ConnectError(`content ${digest}: not found`, Code.NotFound);
  return stat.size;
}
