/** gRPC with the engine as client, over a connection that a client of the engine has opened. */
import type { OutgoingHttpHeaders } from "node:http";
import type { ClientHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

/** Calls over one connection, whose other side is the server. */
export function transportOver(socket: Duplex, closed: AbortSignal): Transport {
  let used = false;
  const manager = new Http2SessionManager(
    "http://session",
    {},
    {
      createConnection() {
        // There is one connection only; when it has ended, the session has.
        if (used) socket.destroy();
        used = true;
        return socket;
      },
    },
  );
  closed.addEventListener("abort", () => manager.abort());
  return createGrpcTransport({
    baseUrl: "http://session",
    sessionManager: {
      authority: manager.authority,
      request: async (method, path, headers, options) =>
        steady(await manager.request(method, path, unfold(headers), options)),
      notifyResponseByteRead: (stream) => manager.notifyResponseByteRead(stream),
    } as Http2SessionManager,
  });
}

const listPrefix = "gantry-list-";

/**
 * A header with several values, in a form that survives `Headers`, which would join them by commas: gRPC's metadata
 * has each value on its own. What HTTP has no way to write goes percent-encoded, marked as the session's protocol
 * wants it.
 */
export function listHeaders(lists: Record<string, readonly string[]>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, values] of Object.entries(lists)) {
    if (values.length === 0) continue;
    const encoded = values.some((value) => !/^[ -~]*$/.test(value));
    headers[listPrefix + name] = values
      .map((value) => encodeURIComponent(encoded ? encodeURIComponent(value) : value))
      .join("&");
    if (encoded) headers[`${name}-encoded`] = "1";
  }
  return headers;
}

function unfold(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) =>
      name.startsWith(listPrefix)
        ? [name.slice(listPrefix.length), String(value).split("&").map(decodeURIComponent)]
        : [name, value],
    ),
  );
}

/** Bytes that may wait to be read before the sender is told to wait. */
const waterMark = 1 << 20;

/**
 * Reads a stream by its events, from its beginning. Bun's own iterator takes a stream that both sides have closed for
 * one that broke off, even when all of it is there; and an answer without data can be over before it is iterated.
 */
function steady(stream: ClientHttp2Stream): ClientHttp2Stream {
  const chunks: Buffer[] = [];
  let waiting = 0;
  let over = false;
  let failure: Error | undefined;
  let wake = () => {};
  const end = () => {
    over = true;
    wake();
  };
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    waiting += chunk.length;
    if (waiting > waterMark) stream.pause();
    wake();
  });
  stream.once("end", end).once("close", end);
  stream.once("error", (error) => {
    failure = error;
    end();
  });
  stream[Symbol.asyncIterator] = async function* () {
    for (;;) {
      const chunk = chunks.shift();
      if (chunk) {
        waiting -= chunk.length;
        if (waiting <= waterMark && stream.isPaused()) stream.resume();
        yield chunk;
      } else if (failure) throw failure;
      else if (over) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } as ClientHttp2Stream[typeof Symbol.asyncIterator];
  return stream;
}
