/** FileSync of a session: brings a directory here to what a directory of the client has. */
import { join } from "node:path";
import { InvalidParameter } from "../../../lib/errors.ts";
import { AsyncQueue } from "../../../lib/queue.ts";
import { FileSync } from "./proto/filesync_pb.ts";
import type { Packet } from "./proto/fsutil_pb.ts";
import { TreeReceiver } from "./receive-tree.ts";
import type { Session } from "./session.ts";
import { listHeaders } from "./transport.ts";

export interface SyncOptions {
  /** The client's name for its directory: `context`, `dockerfile`. */
  name: string;
  /** Patterns of `.dockerignore`; with `include` only what matches is sent. */
  include?: readonly string[];
  exclude?: readonly string[];
  /** Only what these paths lead to is sent, links followed. */
  follow?: readonly string[];
  /** `total` when all is there. */
  onProgress?: (bytes: number, total?: number) => void;
}

/** Packets handled at a stretch before other requests get their turn. */
const stretch = 64;

/**
 * @param home directory of this build's alone; what it holds of an earlier transfer is not sent again
 * @returns the directory with the files, below `home`
 * @throws InvalidParameter for what breaks the protocol or would leave the directory; what the session throws
 */
export async function syncDirectory(
  session: Session,
  home: string,
  { name, include = [], exclude = [], follow = [], onProgress }: SyncOptions,
  signal: AbortSignal,
): Promise<string> {
  const root = join(home, "files");
  const answers = new AsyncQueue<Packet>();
  using receiver = new TreeReceiver(root, join(home, "incoming"), (packet) => answers.push(packet));
  const packets = session.client(FileSync).diffCopy(answers, {
    signal: AbortSignal.any([signal, session.closed]),
    headers: {
      ...listHeaders({
        "dir-name": [name],
        "include-patterns": include,
        "exclude-patterns": exclude,
        followpaths: follow,
      }),
      // The engine knows the ignore file; the client is not to read one of its own.
      "override-excludes": "true",
    },
  });
  try {
    let count = 0;
    for await (const packet of packets) {
      receiver.receive(packet);
      // The client then ends its side; to break off would reset what it is still saying.
      if (receiver.done) answers.close();
      if (++count % stretch === 0) {
        onProgress?.(receiver.transferred.bytes);
        await Bun.sleep(0);
      }
    }
    if (!receiver.done) throw new InvalidParameter(`the client ended the transfer of ${name} before its end`);
    const { bytes } = receiver.transferred;
    onProgress?.(bytes, bytes);
    return root;
  } finally {
    answers.close();
  }
}
