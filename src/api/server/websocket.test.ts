import { expect, test } from "bun:test";
import fc from "fast-check";
import { encodeFrame, FrameReader } from "./websocket.ts";

/** As a client sends it. */
function masked(kind: number, payload: Uint8Array, mask: number[], flags = 0x80): Buffer {
  const plain = encodeFrame(kind, payload);
  const head = Buffer.from(plain.subarray(0, plain.length - payload.length));
  head[0] = flags | kind;
  head[1]! |= 0x80;
  return Buffer.concat([head, Uint8Array.from(mask), payload.map((byte, at) => byte ^ mask[at % 4]!)]);
}

test("frames come out as they went in, in pieces of any size", () => {
  const mask = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.constantFrom(new Uint8Array(70_000).fill(7)),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(1, 2), payload, mask), { maxLength: 5 }),
      fc.integer({ min: 1, max: 9000 }),
      (frames, size) => {
        const wire = Buffer.concat(frames.map(([kind, bytes, key]) => masked(kind, bytes, key)));
        const reader = new FrameReader();
        const read: { kind: number; payload: Buffer }[] = [];
        for (let at = 0; at < wire.length; at += size)
          read.push(...reader.push(wire.subarray(at, at + size)));
        expect(read.map(({ kind, payload: bytes }) => [kind, bytes.toString("hex")])).toEqual(
          frames.map(([kind, bytes]) => [kind, Buffer.from(bytes).toString("hex")]),
        );
      },
    ),
    { numRuns: 50 },
  );
});

test.each([
  ["without a mask", encodeFrame(2, Uint8Array.of(1))],
  ["with an extension's bit", masked(2, Uint8Array.of(1), [0, 0, 0, 0], 0xc0)],
  ["a ping in parts", masked(9, Uint8Array.of(1), [0, 0, 0, 0], 0x00)],
  ["a long ping", masked(9, new Uint8Array(126), [0, 0, 0, 0])],
  ["longer than memory", Buffer.from("82ff00ffffffffffffff00000000", "hex")],
])("refused: %s", (_, bytes) => {
  expect(() => [...new FrameReader().push(bytes)]).toThrow("WebSocket protocol error");
});
