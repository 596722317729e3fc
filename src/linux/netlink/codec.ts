/** The bytes of netlink: messages (struct nlmsghdr) and attributes (struct nlattr), host byte order, padded to 4. */

const ATTRIBUTE_HEADER = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const aligned = (length: number) => (length + 3) & ~3;

export function u8(value: number): Buffer {
  return Buffer.from([value]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, "utf8");
}

/** One attribute with its header and padding. */
export function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(aligned(ATTRIBUTE_HEADER + value.length));
  bytes.writeUInt16LE(ATTRIBUTE_HEADER + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, ATTRIBUTE_HEADER);
  return bytes;
}

/** An attribute that holds attributes. */
export function nested(type: number, ...attributes: Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** Attributes by type; of a repeated one the last. A malformed tail is left out. */
export function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let at = 0;
  while (at + ATTRIBUTE_HEADER <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + ATTRIBUTE_HEADER, at + length));
    at += aligned(length);
  }
  return found;
}

export function textOf(bytes: Buffer | undefined): string {
  if (!bytes) return "";
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  body: Buffer;
}

const MESSAGE_HEADER = 16;

export function encodeMessage({ type, flags, sequence, body }: Message): Buffer {
  const bytes = Buffer.alloc(aligned(MESSAGE_HEADER + body.length));
  bytes.writeUInt32LE(MESSAGE_HEADER + body.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  bytes.set(body, MESSAGE_HEADER);
  return bytes;
}

/** The messages of one datagram. */
export function* decodeMessages(datagram: Buffer): Generator<Message> {
  let at = 0;
  while (at + MESSAGE_HEADER <= datagram.length) {
    const length = datagram.readUInt32LE(at);
    if (length < MESSAGE_HEADER || at + length > datagram.length) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + MESSAGE_HEADER, at + length),
    };
    at += aligned(length);
  }
}
