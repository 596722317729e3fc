/**
 * A synchronous netlink socket (netlink(7)). The kernel works a request off inside send(2), so its answer is there
 * when the call returns and waiting never blocks for longer than the work itself. Several requests travel in one
 * datagram: one system call for a whole interface.
 */
import { closeSync } from "node:fs";
import { check, Errno, libc } from "../libc.ts";
import { openSocket, type SocketKind, setSocketFlag } from "../sockets.ts";
import { attributesOf, decodeMessages, encodeMessage, type Message, textOf } from "./codec.ts";

const { send, recv } = libc({
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
});

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
/** The family of links, addresses and routes, rtnetlink(7). */
const NETLINK_ROUTE = 0;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const NLMSGERR_ATTR_MSG = 1;
/** nlmsgerr: the error and the header of the request. */
const ERROR_BODY = 20;

/** The kernel never makes a datagram larger than this (NLMSG_GOODSIZE, dumps up to 32 KiB). */
const DATAGRAM = 64 * 1024;

export interface Request {
  type: number;
  /** NLM_F_CREATE and friends; REQUEST and ACK are added. */
  flags?: number;
  body: Buffer;
  /** What is attempted on what, for the error's text: `add link`, `veth0`. */
  operation: string;
  subject: string;
  /** Errno codes that mean "as wanted already", e.g. `ENODEV` of a deletion. */
  forgive?: readonly string[];
}

/** The kind of socket that `NetlinkSocket` works with, for opening one in another namespace. */
export const routeSocket: SocketKind = {
  family: AF_NETLINK,
  type: SOCK_RAW | SOCK_CLOEXEC,
  protocol: NETLINK_ROUTE,
};

/** Answers are copied out before anything else is received, so one buffer serves all sockets of a thread. */
const buffer = Buffer.alloc(DATAGRAM);

export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  #sequence = 0;

  /** Takes over a `routeSocket`; by default a new one in the present network namespace. @throws Errno */
  constructor(fd = openSocket(routeSocket)) {
    this.#fd = fd;
    setSocketFlag(fd, SOL_NETLINK, NETLINK_CAP_ACK);
    setSocketFlag(fd, SOL_NETLINK, NETLINK_EXT_ACK);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /**
   * Carries out the requests in order, in one system call. The kernel goes on after a failed one.
   * @throws Errno of the first that failed and is not forgiven
   */
  execute(...requests: Request[]): void {
    if (requests.length === 0) return;
    const pending = new Map<number, Request>();
    const messages = requests.map((request) => {
      const sequence = ++this.#sequence;
      pending.set(sequence, request);
      const flags = NLM_F_REQUEST | NLM_F_ACK | (request.flags ?? 0);
      return encodeMessage({ type: request.type, flags, sequence, body: request.body });
    });
    this.#send(Buffer.concat(messages));
    let failure: Errno | undefined;
    while (pending.size > 0) {
      for (const message of this.#receive()) {
        const request = pending.get(message.sequence);
        if (!request || message.type !== NLMSG_ERROR) continue;
        pending.delete(message.sequence);
        failure ??= errorOf(message, request);
      }
    }
    if (failure) throw failure;
  }

  /** All objects of a kind, e.g. every link. @throws Errno */
  dump(request: Request): Message[] {
    const sequence = ++this.#sequence;
    const flags = NLM_F_REQUEST | NLM_F_DUMP;
    this.#send(encodeMessage({ type: request.type, flags, sequence, body: request.body }));
    const found: Message[] = [];
    for (;;) {
      for (const message of this.#receive()) {
        if (message.sequence !== sequence) continue;
        if (message.type === NLMSG_DONE) return found;
        const failure = message.type === NLMSG_ERROR ? errorOf(message, request) : undefined;
        if (failure) throw failure;
        found.push({ ...message, body: Buffer.from(message.body) });
      }
    }
  }

  /** The one object that a request names; undefined when its error is forgiven. @throws Errno */
  get(request: Request): Message | undefined {
    const sequence = ++this.#sequence;
    this.#send(encodeMessage({ type: request.type, flags: NLM_F_REQUEST, sequence, body: request.body }));
    for (;;) {
      for (const message of this.#receive()) {
        if (message.sequence !== sequence) continue;
        if (message.type !== NLMSG_ERROR) return { ...message, body: Buffer.from(message.body) };
        const failure = errorOf(message, request);
        if (failure) throw failure;
        return undefined;
      }
    }
  }

  #send(bytes: Buffer): void {
    check(Number(send(this.#fd, bytes, bytes.length, 0)), "send", "netlink");
  }

  #receive(): Generator<Message> {
    const length = check(Number(recv(this.#fd, buffer, buffer.length, 0)), "recv", "netlink");
    return decodeMessages(buffer.subarray(0, length));
  }
}

/** The error an acknowledgement carries, with the kernel's own explanation when it gives one. */
function errorOf(message: Message, request: Request): Errno | undefined {
  const errno = -message.body.readInt32LE(0);
  if (errno === 0) return undefined;
  const explanation = textOf(attributesOf(message.body.subarray(ERROR_BODY)).get(NLMSGERR_ATTR_MSG));
  const subject = explanation === "" ? request.subject : `${request.subject} (${explanation})`;
  const error = new Errno(errno, request.operation, subject);
  return request.forgive?.includes(error.code) ? undefined : error;
}
