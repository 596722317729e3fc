/**
 * Asks other name servers from the host's namespace, for all sandboxes over a few shared sockets. Packets pass as
 * they are, but for the id: it is drawn at random, and an answer must match id, sender and question.
 */
import { randomInt } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { endOfQuestion, NOERROR, type Transport } from "./message.ts";
import { Framing, framed } from "./stream.ts";

const NXDOMAIN = 3;
const RCODE_MASK = 0xf;
/** Per server, so that the second one's answer comes before the client's own patience (5 s) ends. */
const TIMEOUT_MS = 2000;
/** Sockets of a family: each is one more source port that a forger has to guess. */
const SOCKETS = 4;
/** Queries under way; what comes on top fails at once. */
const PENDING = 1024;

interface Pending {
  query: Buffer;
  server: string;
  port: number;
  settle(reply: Buffer | undefined): void;
}

interface PooledSocket {
  socket: Socket;
  pending: Map<number, Pending>;
}

export class Forwarder {
  readonly #pools = { 4: [] as PooledSocket[], 6: [] as PooledSocket[] };
  #underWay = 0;

  /** @param port of the servers; tests serve on another one than 53 */
  constructor(
    private readonly port = 53,
    private readonly timeout = TIMEOUT_MS,
  ) {}

  /**
   * Asks one server after the other until one gives a definite answer.
   * @returns the answer under the query's own id, the last server's refusal, or undefined when none spoke
   */
  async ask(query: Buffer, servers: readonly string[], transport: Transport): Promise<Buffer | undefined> {
    if (this.#underWay >= PENDING) return undefined;
    this.#underWay++;
    try {
      let refusal: Buffer | undefined;
      for (const server of servers) {
        const reply = await (transport === "udp" ? this.#askUdp(query, server) : this.#askTcp(query, server));
        if (!reply) continue;
        query.copy(reply, 0, 0, 2);
        const code = reply.readUInt16BE(2) & RCODE_MASK;
        if (code === NOERROR || code === NXDOMAIN) return reply;
        refusal = reply;
      }
      return refusal;
    } finally {
      this.#underWay--;
    }
  }

  close(): void {
    for (const pool of Object.values(this.#pools)) {
      for (const { socket, pending } of pool) {
        for (const { settle } of pending.values()) settle(undefined);
        socket.close();
      }
      pool.length = 0;
    }
  }

  #askUdp(query: Buffer, server: string): Promise<Buffer | undefined> {
    const { socket, pending } = this.#pick(isIPv6(server) ? 6 : 4);
    let id = randomInt(65536);
    while (pending.has(id)) id = (id + 1) % 65536;
    const packet = Buffer.from(query);
    packet.writeUInt16BE(id, 0);
    return new Promise((resolve) => {
      const settle = (reply: Buffer | undefined) => {
        clearTimeout(timer);
        pending.delete(id);
        resolve(reply);
      };
      const timer = setTimeout(settle, this.timeout, undefined);
      pending.set(id, { query, server, port: this.port, settle });
      socket.send(packet, this.port, server, (error) => {
        if (error) settle(undefined);
      });
    });
  }

  #pick(family: 4 | 6): PooledSocket {
    const pool = this.#pools[family];
    if (pool.length === SOCKETS) return pool[randomInt(SOCKETS)]!;
    const pooled: PooledSocket = { socket: createSocket(family === 4 ? "udp4" : "udp6"), pending: new Map() };
    pooled.socket.on("message", (reply, from) => {
      if (reply.length < 12) return;
      const waiting = pooled.pending.get(reply.readUInt16BE(0));
      if (!waiting || from.address !== waiting.server || from.port !== waiting.port) return;
      if (answers(reply, waiting.query)) waiting.settle(Buffer.from(reply));
    });
    // A lost datagram shows as a timeout.
    pooled.socket.on("error", () => {});
    pooled.socket.unref();
    pool.push(pooled);
    return pooled;
  }

  #askTcp(query: Buffer, server: string): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      const framing = new Framing();
      const socket = connect({ host: server, port: this.port });
      const settle = (reply: Buffer | undefined) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(reply);
      };
      const timer = setTimeout(settle, this.timeout, undefined);
      socket.on("connect", () => socket.write(framed(query)));
      socket.on("data", (chunk: Buffer) => {
        for (const reply of framing.push(chunk))
          if (reply.length >= 12 && reply.readUInt16BE(0) === query.readUInt16BE(0) && answers(reply, query))
            settle(Buffer.from(reply));
      });
      socket.on("error", () => settle(undefined));
      socket.on("close", () => settle(undefined));
    });
  }
}

/** Whether a packet is the reply to this query: a response with the same question, or an error without one. */
function answers(reply: Buffer, query: Buffer): boolean {
  const flags = reply.readUInt16BE(2);
  if ((flags & 0x8000) === 0) return false;
  if (reply.readUInt16BE(4) === 0) return (flags & RCODE_MASK) !== NOERROR;
  const asked = query.subarray(12, endOfQuestion(query));
  return reply.subarray(12, endOfQuestion(reply)).equals(asked);
}
