/** FileSend of a session: what a build has made goes to the client, as an archive or file by file. */
import { create, type DescService } from "@bufbuild/protobuf";
import { InvalidParameter } from "../../../lib/errors.ts";
import { BytesMessageSchema, FileSend, FileSync } from "./proto/filesync_pb.ts";
import { type SentTree, TreeSender } from "./send-tree.ts";
import type { Session } from "./session.ts";

/** FileSend as clients with a directory have it: under its name, but with FileSync's messages. */
const FileTransfer = renamed(FileSync, FileSend.typeName);

function renamed<S extends DescService>(service: S, typeName: string): S {
  const copy = { ...service, typeName };
  const methods = service.methods.map((method) => ({ ...method, parent: copy }));
  return Object.assign(copy, {
    methods,
    method: Object.fromEntries(methods.map((one) => [one.localName, one])),
  });
}

/** Which of several outputs it is; clients count them from 0. */
const outputHeader = "buildkit-attachable-exporter-id";

/** The client writes the bytes into the file that it was told (`-o type=tar,dest=FILE`). */
export async function sendBytes(
  session: Session,
  output: number,
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const messages = (async function* () {
    for await (const data of bytes) yield create(BytesMessageSchema, { data });
  })();
  const stop = AbortSignal.any([signal, session.closed]);
  for await (const _ of session
    .client(FileSend)
    .diffCopy(messages, { signal: stop, headers: headers(output) }));
}

const headers = (output: number) => ({ [outputHeader]: String(output) });

/** The client writes the files of the trees into its own directory (`-o DIRECTORY`). */
export async function sendTrees(
  session: Session,
  output: number,
  trees: readonly SentTree[],
  signal: AbortSignal,
): Promise<void> {
  const sender = new TreeSender(trees);
  const stop = AbortSignal.any([signal, session.closed]);
  try {
    const options = { signal: stop, headers: headers(output) };
    for await (const packet of session.client(FileTransfer).diffCopy(sender.packets(), options))
      sender.receive(packet);
  } finally {
    sender.stop(new InvalidParameter("the client took no more files"));
  }
}
