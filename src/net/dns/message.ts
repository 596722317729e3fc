/**
 * What the embedded resolver says by itself, as a pure function from query to verdict (RFC 1035). Packets come from
 * containers, so anything may be in them.
 */
import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  type DecodedPacket,
  decode,
  encode,
  type Packet,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
} from "dns-packet";
import { bytesToIp } from "../../lib/ip.ts";
import type { NameSource } from "../types.ts";

export type Verdict =
  | { action: "reply"; packet: Buffer }
  | { action: "forward" }
  /** Not even an answer is due. */
  | { action: "ignore" };

export const NOERROR = 0;
const FORMERR = 1;
export const SERVFAIL = 2;
const NOTIMP = 4;

const HEADER = 12;
const RESPONSE_FLAG = 0x8000;
const OPCODE_SHIFT = 11;
const OPCODE_MASK = 0xf;
/** Containers come back with other addresses, so nobody shall keep one for long. Seconds. */
const TTL = 10;
/** Without EDNS, RFC 1035 4.2.1. */
const PLAIN_UDP_LIMIT = 512;
/** What fits into a datagram on any path inside the host. */
const EDNS_UDP_LIMIT = 4096;
const TCP_LIMIT = 65535;

export type Transport = "udp" | "tcp";

/** Decides about one packet. `shuffle` spreads clients over the addresses of a name. */
export function judge(
  query: Buffer,
  names: NameSource,
  transport: Transport,
  shuffle: (addresses: string[]) => string[] = shuffled,
): Verdict {
  if (query.length < HEADER || (query.readUInt16BE(2) & RESPONSE_FLAG) !== 0) return { action: "ignore" };
  if (((query.readUInt16BE(2) >> OPCODE_SHIFT) & OPCODE_MASK) !== 0) return failure(query, NOTIMP);
  let packet: DecodedPacket;
  try {
    packet = decode(query);
  } catch {
    return failure(query, FORMERR);
  }
  const [question] = packet.questions ?? [];
  if (!question || packet.questions?.length !== 1) return failure(query, FORMERR);
  // dns-packet leaves the class out of its type of a question.
  if ((question as { class?: string }).class !== "IN") return { action: "forward" };
  const answers = answersFor(question.name, question.type, names, shuffle);
  if (!answers) return { action: "forward" };
  return { action: "reply", packet: response(packet, answers, limitOf(packet, transport)) };
}

/** Records for a question; empty: the name is ours and has none of this type; undefined: not ours. */
function answersFor(
  asked: string,
  type: string,
  names: NameSource,
  shuffle: (addresses: string[]) => string[],
): Answer[] | undefined {
  const name = asked.replace(/\.$/, "").toLowerCase();
  const address = addressOfReverseName(name);
  if (address !== undefined) {
    const data = names.reverse(address);
    if (data === undefined) return undefined;
    return type === "PTR" || type === "ANY" ? [{ type: "PTR", name: asked, ttl: TTL, data }] : [];
  }
  const v4 = names.lookup(name, 4);
  const v6 = names.lookup(name, 6);
  if (!v4 && !v6) return undefined;
  const records = (kind: "A" | "AAAA", addresses: string[] | undefined): Answer[] =>
    type === kind || type === "ANY"
      ? shuffle(addresses ?? []).map((data) => ({ type: kind, name: asked, ttl: TTL, data }))
      : [];
  return [...records("A", v4), ...records("AAAA", v6)];
}

/** `4.3.2.1.in-addr.arpa` -> `1.2.3.4`; 32 nibbles and `ip6.arpa` (RFC 3596, 2.5) -> `fd00::2`. */
function addressOfReverseName(name: string): string | undefined {
  const v4 = /^(\d{1,3}(?:\.\d{1,3}){3})\.in-addr\.arpa$/.exec(name)?.[1];
  if (v4 !== undefined) return v4.split(".").reverse().join(".");
  const nibbles = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  return nibbles && bytesToIp(Buffer.from(nibbles.split(".").reverse().join(""), "hex"));
}

function limitOf(query: Packet, transport: Transport): number {
  if (transport === "tcp") return TCP_LIMIT;
  const option = query.additionals?.find((record) => record.type === "OPT");
  const size = option?.type === "OPT" ? option.udpPayloadSize : 0;
  return Math.min(Math.max(size, PLAIN_UDP_LIMIT), EDNS_UDP_LIMIT);
}

/** Encodes an answer; records that do not fit are left out and the truncation flag says so. */
function response(query: Packet, answers: Answer[], limit: number): Buffer {
  const recursion = (query.flags ?? 0) & RECURSION_DESIRED;
  const make = (kept: Answer[], extra: number) =>
    encode({
      type: "response",
      id: query.id,
      flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | recursion | extra,
      questions: query.questions,
      answers: kept,
    });
  let kept = answers;
  let packet = make(kept, 0);
  while (packet.length > limit && kept.length > 0) {
    kept = kept.slice(0, Math.floor((kept.length * limit) / packet.length));
    packet = make(kept, TRUNCATED_RESPONSE);
  }
  return packet;
}

/** A header with an error code and nothing else, as the question may be what is broken. */
function failure(query: Buffer, code: number): Verdict {
  return { action: "reply", packet: errorReply(query, code) };
}

/** The reply with an error code to a packet of at least a header's length. */
export function errorReply(query: Buffer, code: number): Buffer {
  const length = code === SERVFAIL ? endOfQuestion(query) : HEADER;
  const reply = Buffer.from(query.subarray(0, length));
  const kept = query.readUInt16BE(2) & ((OPCODE_MASK << OPCODE_SHIFT) | RECURSION_DESIRED);
  reply.writeUInt16BE(RESPONSE_FLAG | kept | RECURSION_AVAILABLE | code, 2);
  reply.fill(0, 4, HEADER);
  if (length > HEADER) reply.writeUInt16BE(1, 4);
  return reply;
}

/** Offset behind the first question, HEADER when there is none that ends. Questions are not compressed. */
export function endOfQuestion(packet: Buffer): number {
  let at = HEADER;
  while (at < packet.length && packet[at] !== 0) at += packet[at]! + 1;
  const end = at + 5;
  return end <= packet.length ? end : HEADER;
}

/** Fisher-Yates on a copy. */
function shuffled(addresses: string[]): string[] {
  const copy = [...addresses];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}
