/**
 * HTTP/1.1 responses (RFC 9112) as a state machine: feed it pieces of any size, it calls back with the head, the
 * decoded body and the end. Bodies are passed on as views of the pieces, without copying.
 */

import { isDigits } from "../../lib/digits.ts";

export interface ResponseHead {
  status: number;
  reason: string;
  /** Lower-case names; a repeated header's values are joined by `, `. */
  headers: Record<string, string>;
}

export interface ResponseEvents {
  head(head: ResponseHead): void;
  data(bytes: Uint8Array): void;
  /** The response is complete; called once. */
  end(): void;
}

/** `raw`: after a 101 or 2xx everything is the upgraded stream. `head-only`: the answer to HEAD. */
export type ResponseKind = "normal" | "raw" | "head-only";

type State =
  | "status"
  | "header"
  | "fixed"
  | "size"
  | "chunk"
  | "chunk-end"
  | "trailer"
  | "until-close"
  | "done";

const maxLine = 64 * 1024;
const newline = 10;
/** A head may be cut anywhere: a byte is a character. */
const bytewise = new TextDecoder("latin1");

export class ResponseParser {
  #state: State = "status";
  #line = "";
  #left = 0;
  #head: ResponseHead = { status: 0, reason: "", headers: {} };

  constructor(
    private readonly events: ResponseEvents,
    private readonly kind: ResponseKind = "normal",
  ) {}

  get done(): boolean {
    return this.#state === "done";
  }

  /** @throws Error when the bytes are not HTTP/1.1 */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#state !== "done") {
      switch (this.#state) {
        case "fixed":
        case "chunk":
        case "until-close":
          at = this.#body(bytes, at);
          break;
        default:
          at = this.#text(bytes, at);
      }
    }
  }

  /** The peer closed its side. @throws Error when the response was cut off */
  close(): void {
    if (this.#state === "done") return;
    if (this.#state !== "until-close") throw new Error("unexpected EOF");
    this.#finish();
  }

  #body(bytes: Uint8Array, at: number): number {
    if (this.#state === "until-close") {
      this.events.data(at === 0 ? bytes : bytes.subarray(at));
      return bytes.length;
    }
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    this.events.data(bytes.subarray(at, end));
    if (this.#left === 0) {
      if (this.#state === "fixed") this.#finish();
      else this.#state = "chunk-end";
    }
    return end;
  }

  #text(bytes: Uint8Array, at: number): number {
    const end = bytes.indexOf(newline, at);
    this.#line += bytewise.decode(bytes.subarray(at, end < 0 ? bytes.length : end));
    if (this.#line.length > maxLine) throw new Error("malformed HTTP response: line too long");
    if (end < 0) return bytes.length;
    const line = this.#line.endsWith("\r") ? this.#line.slice(0, -1) : this.#line;
    this.#line = "";
    this.#take(line);
    return end + 1;
  }

  #take(line: string): void {
    switch (this.#state) {
      case "status": {
        const known = line.startsWith("HTTP/1.1 ") || line.startsWith("HTTP/1.0 ");
        const status = line.slice(9, 12);
        if (!known || status.length < 3 || !isDigits(status) || (line.length > 12 && line[12] !== " "))
          throw new Error(`malformed HTTP response ${JSON.stringify(line.slice(0, 80))}`);
        this.#head = { status: Number(status), reason: line.slice(13), headers: {} };
        this.#state = "header";
        return;
      }
      case "header":
        if (line === "") this.#headEnded();
        else this.#header(line);
        return;
      case "size": {
        const digits = /^\s*([0-9a-fA-F]{1,12})\s*(?:;.*)?$/.exec(line);
        if (!digits) throw new Error(`malformed chunk size ${JSON.stringify(line.slice(0, 80))}`);
        this.#left = Number.parseInt(digits[1]!, 16);
        this.#state = this.#left === 0 ? "trailer" : "chunk";
        return;
      }
      case "chunk-end":
        if (line !== "") throw new Error("malformed chunk: no line end after its data");
        this.#state = "size";
        return;
      case "trailer":
        if (line === "") this.#finish();
    }
  }

  #header(line: string): void {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new Error(`malformed HTTP header ${JSON.stringify(line.slice(0, 80))}`);
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = this.#head.headers[name];
    this.#head.headers[name] = before === undefined ? value : `${before}, ${value}`;
  }

  #headEnded(): void {
    const { status, headers } = this.#head;
    if (status < 200 && status !== 101) {
      // An interim answer (100 Continue): the real one follows.
      this.#state = "status";
      return;
    }
    const upgraded = status === 101 || (this.kind === "raw" && status < 300);
    const length = headers["content-length"];
    const chunked = headers["transfer-encoding"]?.toLowerCase().includes("chunked") ?? false;
    const empty = this.kind === "head-only" || status === 204 || status === 304;
    if (!upgraded && !chunked && length !== undefined && (length.length > 15 || !isDigits(length))) {
      throw new Error(`malformed Content-Length ${JSON.stringify(length)}`);
    }
    this.events.head(this.#head);
    if (upgraded) this.#state = "until-close";
    else if (empty) this.#finish();
    else if (chunked) this.#state = "size";
    else if (length === undefined) this.#state = "until-close";
    else if (Number(length) === 0) this.#finish();
    else {
      this.#left = Number(length);
      this.#state = "fixed";
    }
  }

  #finish(): void {
    this.#state = "done";
    this.events.end();
  }
}
