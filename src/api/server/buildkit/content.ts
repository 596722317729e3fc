/** A client's directories of blobs (OCI layouts): containerd's content service, as a session offers it. */
import { Code, ConnectError } from "@connectrpc/connect";
import type { BlobDirectory, OutputFiles } from "../../../build/types.ts";
import type { Digest } from "../../../lib/digest.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import type { Descriptor } from "../../../lib/oci.ts";
import { AsyncQueue } from "../../../lib/queue.ts";
import { pieceSize, storeHeader } from "../../blobs.ts";
import { Content, WriteAction } from "./proto/content_pb.ts";
import type { Session } from "./session.ts";

/** @param id the client's name for it: `local:DIRECTORY` of a cache, `oci:NAME` of an image, `export` of an output */
export function blobDirectory(session: Session, id: string): BlobDirectory {
  const client = session.client(Content);
  const headers = { [storeHeader]: id };
  const options = (signal: AbortSignal) => ({ headers, signal: AbortSignal.any([signal, session.closed]) });
  return {
    async size(digest, signal) {
      try {
        const { info } = await client.info({ digest }, options(signal));
        return Number(info?.size ?? 0n);
      } catch (error) {
        if (ConnectError.from(error).code === Code.NotFound) return undefined;
        throw error;
      }
    },

    async *read(digest: Digest, signal) {
      for await (const { data } of client.read({ digest }, options(signal))) yield data;
    },

    async write(blob, bytes, signal, onProgress) {
      const requests = new AsyncQueue<Parameters<typeof requestOf>[0]>();
      const answers = client.write(mapped(requests, requestOf), options(signal))[Symbol.asyncIterator]();
      /** One at a time: the client says how far it is, and what it has already. */
      const ask = async (request: Parameters<typeof requestOf>[0]) => {
        requests.push(request);
        const { value, done } = await answers.next();
        if (done) throw new InvalidParameter(`the client took only a part of ${blob.digest}`);
        return value;
      };
      try {
        await ask({ action: WriteAction.STAT, blob, offset: 0 });
        let offset = 0;
        for await (const data of inPieces(bytes())) {
          await ask({ action: WriteAction.WRITE, blob, offset, data });
          offset += data.length;
          onProgress?.(offset);
        }
        await ask({ action: WriteAction.COMMIT, blob, offset });
      } catch (error) {
        if (ConnectError.from(error).code !== Code.AlreadyExists) throw error;
      } finally {
        requests.close();
        await answers.return?.();
      }
    },
  };
}

function requestOf({
  action,
  blob: { digest, size },
  offset,
  data,
}: {
  action: WriteAction;
  blob: Descriptor;
  offset: number;
  data?: Uint8Array;
}) {
  return { action, ref: digest, total: BigInt(size), expected: digest, offset: BigInt(offset), data };
}

async function* mapped<T, U>(items: AsyncIterable<T>, change: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield change(item);
}

async function* inPieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes)
    for (let at = 0; at < chunk.length; at += pieceSize) yield chunk.subarray(at, at + pieceSize);
}

/** The client keeps an image's blobs in a layout, and names the image itself (`-o type=oci,tar=false`). */
export async function sendLayout(
  session: Session,
  { blobs, open }: NonNullable<OutputFiles["layout"]>,
  signal: AbortSignal,
): Promise<void> {
  const directory = blobDirectory(session, "export");
  for (const blob of blobs) await directory.write(blob, () => open(blob.digest), signal);
}
