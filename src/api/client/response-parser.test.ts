import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ResponseHead, type ResponseKind, ResponseParser } from "./response-parser.ts";

interface Parsed {
  head: ResponseHead | undefined;
  body: string;
  ended: boolean;
}

function parse(pieces: Uint8Array[], kind: ResponseKind = "normal", closed = false): Parsed {
  const seen: Parsed = { head: undefined, body: "", ended: false };
  const parser = new ResponseParser(
    {
      head: (head) => {
        seen.head = head;
      },
      data: (bytes) => {
        seen.body += Buffer.from(bytes).toString("latin1");
      },
      end: () => {
        expect(seen.ended).toBe(false);
        seen.ended = true;
      },
    },
    kind,
  );
  for (const piece of pieces) parser.push(piece);
  if (closed) parser.close();
  return seen;
}

/** The same bytes cut at the given places. */
function cut(bytes: Uint8Array, places: number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((start, i) => bytes.subarray(start, sorted[i] ?? bytes.length));
}

const body = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const places = fc.array(fc.nat(1000), { maxLength: 12 });

describe("however the bytes are cut, the response is the same", () => {
  test("chunked", () => {
    fc.assert(
      fc.property(
        fc.array(body, { maxLength: 6 }),
        fc.constantFrom("", ";ext=1"),
        places,
        (parts, extension, at) => {
          const chunks = parts
            .filter((part) => part.length > 0)
            .map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`);
          const text = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\nX-Trailer: 1\r\n\r\n`;
          const { head, body: got, ended } = parse(cut(Buffer.from(text, "latin1"), at));
          expect({ status: head?.status, got, ended }).toEqual({
            status: 200,
            got: parts.join(""),
            ended: true,
          });
        },
      ),
    );
  });

  test("content-length, and what follows is not taken", () => {
    fc.assert(
      fc.property(body, body, places, (content, rest, at) => {
        const text = `HTTP/1.1 409 Conflict\r\nA: 1\r\na: 2\r\nContent-Length: ${content.length}\r\n\r\n${content}${rest}`;
        const { head, body: got, ended } = parse(cut(Buffer.from(text, "latin1"), at));
        expect({ status: head?.status, a: head?.headers.a, got, ended }).toEqual({
          status: 409,
          a: "1, 2",
          got: content,
          ended: true,
        });
      }),
    );
  });

  test("upgraded: raw until the close", () => {
    fc.assert(
      fc.property(fc.constantFrom("101 UPGRADED", "200 OK"), body, places, (status, content, at) => {
        const text = `HTTP/1.1 ${status}\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n${content}`;
        const { body: got, ended } = parse(cut(Buffer.from(text, "latin1"), at), "raw", true);
        expect({ got, ended }).toEqual({ got: content, ended: true });
      }),
    );
  });

  test("any bytes are parsed or refused with an Error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), places, (bytes, at) => {
        try {
          parse(cut(bytes, at), "normal", true);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});

test("an interim answer is passed over", () => {
  const text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
  expect(parse([Buffer.from(text)])).toMatchObject({ head: { status: 200 }, body: "OK", ended: true });
});

test("answers without a body", () => {
  expect(parse([Buffer.from("HTTP/1.1 204 No Content\r\n\r\n")])).toMatchObject({ body: "", ended: true });
  expect(parse([Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")], "head-only").ended).toBe(true);
});

const malformed: [string, string][] = [
  ["ICY 200 OK\r\n", "malformed HTTP response"],
  ["HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed HTTP header"],
  ["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed Content-Length"],
  ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed chunk size"],
  ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "malformed chunk"],
  ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "unexpected EOF"],
  ["HTTP/1.1 20", "unexpected EOF"],
];
test.each(malformed)("%j is refused", (text, message) => {
  expect(() => parse([Buffer.from(text)], "normal", true)).toThrow(message);
});
