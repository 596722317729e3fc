/** The server's end of a WebSocket (RFC 6455) as a Duplex of bytes; what `attach/ws` speaks. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { InvalidParameter } from "../../lib/errors.ts";

/** RFC 6455, section 1.3. */
const acceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/** A message may be this long (bytes); people and programs type less at once. */
const longestFrame = 1 << 20;

const opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const closeCode = { normal: 1000, protocol: 1002, tooBig: 1009 } as const;

/** The fields of the answer that opens the connection. @throws InvalidParameter when the request asks for none */
export function handshake({ method, headers }: IncomingMessage): Record<string, string> {
  const key = headers["sec-websocket-key"];
  if (method !== "GET" || headers.upgrade?.toLowerCase() !== "websocket" || !key)
    throw new InvalidParameter("a WebSocket is wanted: Upgrade: websocket, with its key");
  if (headers["sec-websocket-version"] !== "13")
    throw new InvalidParameter("WebSocket version 13 is wanted (RFC 6455)");
  return {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Accept": createHash("sha1")
      .update(key + acceptGuid)
      .digest("base64"),
  };
}

/** One frame, as a server sends them: whole and without a mask (RFC 6455, section 5.2). */
export function encodeFrame(kind: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const out = Buffer.allocUnsafe(2 + extended + length);
  out[0] = 0x80 | kind;
  out[1] = extended === 0 ? length : extended === 2 ? 126 : 127;
  if (extended === 2) out.writeUInt16BE(length, 2);
  if (extended === 8) out.writeBigUInt64BE(BigInt(length), 2);
  out.set(payload, 2 + extended);
  return out;
}

class ProtocolError extends Error {
  constructor(readonly code: number) {
    super(`WebSocket protocol error ${code}`);
  }
}

/** Cuts what a client sends into frames; fed in pieces of any size. */
export class FrameReader {
  #pending: Buffer = Buffer.alloc(0);

  /** @throws ProtocolError for what RFC 6455 forbids a client, and for frames that are too long */
  *push(chunk: Uint8Array): Generator<{ kind: number; payload: Buffer }> {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const data = this.#pending;
      if (data.length < 2) return;
      const [first, second] = [data[0]!, data[1]!];
      const kind = first & 0x0f;
      const control = kind >= opcode.close;
      // No extension is agreed on; clients mask; control frames are short and whole.
      if (first & 0x70 || !(second & 0x80) || (control && (!(first & 0x80) || (second & 0x7f) > 125)))
        throw new ProtocolError(closeCode.protocol);
      const short = second & 0x7f;
      const extended = short < 126 ? 0 : short === 126 ? 2 : 8;
      const start = 2 + extended + 4;
      if (data.length < start) return;
      const length =
        extended === 0 ? short : extended === 2 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
      if (length > longestFrame) throw new ProtocolError(closeCode.tooBig);
      if (data.length < start + length) return;
      const mask = data.subarray(start - 4, start);
      const payload = Buffer.from(data.subarray(start, start + length));
      for (let at = 0; at < payload.length; at++) payload[at]! ^= mask[at & 3]!;
      this.#pending = data.subarray(start + length);
      yield { kind, payload };
    }
  }
}

/**
 * Bytes over a WebSocket. Messages of both kinds are read as bytes, and their borders mean nothing. The client's
 * close ends reading; the end of writing sends ours.
 */
export class WebSocketStream extends Duplex {
  readonly #frames = new FrameReader();
  #closing = false;

  /** @param message what our messages are: Docker's became binary with 1.28 */
  constructor(
    private readonly socket: Socket,
    private readonly message: "text" | "binary",
  ) {
    super({ allowHalfOpen: true });
    socket.on("data", (chunk: Buffer) => this.#received(chunk));
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  #received(chunk: Buffer): void {
    try {
      for (const { kind, payload } of this.#frames.push(chunk)) this.#take(kind, payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#close(error.code);
      this.push(null);
    }
  }

  #take(kind: number, payload: Buffer): void {
    if (kind === opcode.ping) this.socket.write(encodeFrame(opcode.pong, payload));
    else if (kind === opcode.close) {
      this.#close(closeCode.normal);
      this.push(null);
    } else if (kind === opcode.continuation || kind === opcode.text || kind === opcode.binary) {
      if (payload.length > 0 && !this.#closing && !this.push(payload)) this.socket.pause();
    } else if (kind !== opcode.pong) throw new ProtocolError(closeCode.protocol);
  }

  #close(code: number): void {
    if (this.#closing) return;
    this.#closing = true;
    this.socket.end(encodeFrame(opcode.close, Uint8Array.of(code >> 8, code & 0xff)));
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#closing) done();
    else if (this.socket.write(encodeFrame(opcode[this.message], chunk))) done();
    else {
      const proceed = () => {
        this.socket.off("drain", proceed).off("close", proceed);
        done();
      };
      this.socket.on("drain", proceed).on("close", proceed);
    }
  }

  override _final(done: () => void): void {
    this.#close(closeCode.normal);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }
}
