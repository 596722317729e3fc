/** An archive that the client has instead of a directory (`docker buildx build -`), as a stream. */
import { Readable } from "node:stream";
import { AsyncQueue } from "../../../lib/queue.ts";
import { Upload } from "./proto/upload_pb.ts";
import type { Session } from "./session.ts";

/** @param path what the client called it */
export function pullUpload(session: Session, path: string, signal: AbortSignal): Readable {
  return Readable.from(pieces(session, path, signal), { objectMode: false });
}

async function* pieces(session: Session, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  // Nothing is ever said on it; the client sends until it is closed.
  const silence = new AsyncQueue<{ data: Uint8Array }>();
  try {
    const messages = session.client(Upload).pull(silence, { signal, headers: { urlpath: path } });
    for await (const { data } of messages) yield data;
  } finally {
    silence.close();
  }
}
