/** One request and its answer: what handlers see of HTTP. */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import * as v from "valibot";
import type { Engine, Filters } from "../../engine/types.ts";
import { GantryError, InvalidParameter, messageOf, NotModified, TooLarge } from "../../lib/errors.ts";
import { newest } from "./router.ts";
import { type AnswerName, answerOf, type BodyName, bodyOf } from "./versions.ts";

/** The headers of every answer, of a hijacked connection too. */
export const commonHeaders: Readonly<Record<string, string>> = {
  "Api-Version": `1.${newest}`,
  "Docker-Experimental": "false",
  Ostype: "linux",
  Server: "Gantry/0.1.0 (linux)",
};

/** A JSON body may be this long (bytes). */
const bodyLimit = 4 << 20;

/** Where the answer goes: a response, or the raw socket of a connection that wants to be hijacked. */
export type Answer = { response: ServerResponse } | { socket: Socket; head: Buffer };

/** A request's parameters, body and way to answer. Made by the server, one a request. */
export class Exchange {
  readonly #abort = new AbortController();
  #started = false;
  /** Labels of what alone events may tell: the scope of a token. */
  observes: Readonly<Record<string, string>> = {};
  /** Looks at a JSON body before its schema does: what a token's scope adds to it, or refuses of it. */
  revise: (body: Record<string, unknown>) => Record<string, unknown> = (body) => body;

  constructor(
    readonly engine: Engine,
    readonly request: IncomingMessage,
    private readonly answer: Answer,
    readonly query: URLSearchParams,
    readonly params: Record<string, string>,
    /** The minor number of the API version spoken: 51 of 1.51. */
    readonly version: number,
  ) {
    const stream = "response" in answer ? answer.response : answer.socket;
    stream.once("close", () => this.#abort.abort());
  }

  /** Aborted when the client has gone. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get started(): boolean {
    return this.#started;
  }

  get wantsUpgrade(): boolean {
    return "socket" in this.answer;
  }

  /** Go's `r.FormValue`: the empty text when it is missing. */
  text(name: string): string {
    return this.query.get(name) ?? "";
  }

  /** Docker's booleans: everything but these is true. */
  flag(name: string, missing = false): boolean {
    const value = this.query.get(name);
    if (value === null) return missing;
    return !["", "0", "no", "false", "none"].includes(value.trim().toLowerCase());
  }

  /** @throws InvalidParameter */
  integer(name: string): number | undefined {
    const value = this.text(name);
    if (value === "") return undefined;
    if (!/^[-+]?\d+$/.test(value))
      throw new InvalidParameter(`invalid value ${JSON.stringify(value)} for ${name}: a number is wanted`);
    return Number(value);
  }

  /** The `filters` parameter, in its present form and that of old clients. @throws InvalidParameter */
  get filters(): Filters {
    const text = this.text("filters");
    if (text === "") return {};
    const parsed = v.safeParse(filtersSchema, parseJson(text, "invalid filters"));
    if (!parsed.success)
      throw new InvalidParameter(`invalid filters: {"name": ["value"]} is wanted, not ${text}`);
    return Object.fromEntries(
      Object.entries(parsed.output).map(([name, values]) => [
        name,
        Array.isArray(values) ? values : Object.keys(values).filter((value) => values[value]),
      ]),
    );
  }

  /**
   * The JSON body as `schema` has it; an empty body and null count as `{}`.
   * @param name of a body whose fields depend on the version
   * @throws InvalidParameter naming the field
   */
  async body<S extends v.GenericSchema>(schema: S, name?: BodyName): Promise<v.InferOutput<S>> {
    const bytes = await this.#bytes();
    const type = this.request.headers["content-type"];
    if (bytes.length > 0 && type !== undefined && !/^application\/json\s*(;|$)/i.test(type))
      throw new InvalidParameter(`unsupported Content-Type header (${type}): must be 'application/json'`);
    // Go reads null as an empty struct, and its clients send it.
    const json = (bytes.length === 0 ? null : parseJson(bytes.toString("utf8"), "invalid JSON")) ?? {};
    if (typeof json !== "object" || Array.isArray(json))
      throw new InvalidParameter("invalid request body: an object is wanted");
    const revised = this.revise(json as Record<string, unknown>);
    return validate(schema, name === undefined ? revised : bodyOf(revised, name, this.version));
  }

  async #bytes(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > bodyLimit) throw new TooLarge(`request body too large: more than ${bodyLimit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  json(value: unknown, status = 200, headers: Record<string, string> = {}): void {
    const body = `${JSON.stringify(value)}\n`;
    this.#send(status, { "content-type": "application/json", ...headers }, body);
  }

  /** An answer whose fields depend on the version. */
  versioned(value: object, name: AnswerName): void {
    this.json(answerOf(value, name, this.version));
  }

  plain(text: string, status = 200, headers: Record<string, string> = {}): void {
    this.#send(status, { "content-type": "text/plain; charset=utf-8", ...headers }, text);
  }

  empty(status: number, headers: Record<string, string> = {}): void {
    this.#send(status, headers, "");
  }

  /** The answer to a failed request; once bytes are out, the connection's end is all that's left to say. */
  fail(error: unknown): void {
    if (this.signal.aborted) return;
    if (this.#started) {
      if ("response" in this.answer) this.answer.response.destroy();
      else this.answer.socket.destroy();
      return;
    }
    if (!(error instanceof GantryError)) console.error(`${this.request.method} ${this.request.url}:`, error);
    if (error instanceof NotModified) this.empty(304);
    else this.json({ message: messageOf(error) }, error instanceof GantryError ? error.status : 500);
  }

  #send(status: number, headers: Record<string, string>, body: string): void {
    this.#started = true;
    const length = Buffer.byteLength(body);
    if ("response" in this.answer) {
      const hasBody = status !== 204 && status !== 304;
      this.answer.response.writeHead(status, hasBody ? { ...headers, "content-length": length } : headers);
      this.answer.response.end(this.request.method === "HEAD" || !hasBody ? undefined : body);
      return;
    }
    const fields = { ...commonHeaders, ...headers, "content-length": String(length), connection: "close" };
    this.answer.socket.end(`${head(`${status} ${STATUS_CODES[status] ?? "Unknown"}`, fields)}${body}`);
  }

  /** Starts an answer of unknown length, and sends its head at once. */
  open(contentType: string, headers: Record<string, string> = {}): Output {
    if (!("response" in this.answer))
      throw new InvalidParameter("this operation takes no upgraded connection");
    this.#started = true;
    const { response } = this.answer;
    response.writeHead(200, { "content-type": contentType, ...headers });
    response.flushHeaders();
    return new Output(response);
  }

  /** Sends a stream as the answer. */
  async stream(source: Readable, contentType: string, headers: Record<string, string> = {}): Promise<void> {
    if (!("response" in this.answer))
      throw new InvalidParameter("this operation takes no upgraded connection");
    // An error before the first byte still gets a status of its own.
    const settled = new AbortController();
    const signal = AbortSignal.any([settled.signal, this.signal]);
    try {
      await Promise.race([once(source, "readable", { signal }), once(source, "end", { signal })]);
    } catch (error) {
      source.destroy();
      throw error;
    } finally {
      settled.abort();
    }
    this.#started = true;
    this.answer.response.writeHead(200, { "content-type": contentType, ...headers });
    await pipeline(source, this.answer.response);
  }

  /**
   * Takes the connection over for raw bytes both ways (Engine API, "ContainerAttach": hijacking). Without an
   * `Upgrade` header only the way to the client is there.
   */
  hijack(contentType: string): { input: Readable; output: Socket | ServerResponse } {
    if ("socket" in this.answer) {
      const socket = this.switchProtocols({
        "Content-Type": contentType,
        Connection: "Upgrade",
        Upgrade: "tcp",
      });
      return { input: socket, output: socket };
    }
    this.#started = true;
    const { response } = this.answer;
    response.writeHead(200, { "content-type": contentType });
    response.flushHeaders();
    return { input: this.request, output: response };
  }

  /** Takes the raw connection, answering 101 with these fields. @throws InvalidParameter when none was offered */
  switchProtocols(fields: Record<string, string>): Socket {
    if (!("socket" in this.answer)) throw new InvalidParameter("an Upgrade header is wanted");
    this.#started = true;
    const { socket, head: early } = this.answer;
    socket.write(head("101 UPGRADED", { ...commonHeaders, ...fields }));
    if (early.length > 0) socket.unshift(early);
    return socket;
  }
}

function head(status: string, fields: Record<string, string>): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join("")}\r\n`;
}

/** An answer being written, with backpressure. */
export class Output {
  constructor(private readonly response: ServerResponse) {}

  /** Resolves when more is welcome. */
  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.response.destroyed) return;
    if (!this.response.write(bytes)) await this.#drained();
  }

  /** By hand: `once` of two events would leave a listener behind for every write of a long stream. */
  #drained(): Promise<void> {
    const { response } = this;
    return new Promise((resolve) => {
      const settle = () => {
        response.off("drain", settle).off("close", settle);
        resolve();
      };
      response.on("drain", settle).on("close", settle);
    });
  }

  /** One message of a JSON stream; for progress, which may be ahead of the client. */
  message(value: object): void {
    const { destroyed, writableEnded } = this.response;
    if (!destroyed && !writableEnded) this.response.write(`${JSON.stringify(value)}\r\n`);
  }

  end(): void {
    this.response.end();
  }
}

const filtersSchema = v.record(v.string(), v.union([v.array(v.string()), v.record(v.string(), v.boolean())]));

/** @throws InvalidParameter naming the field and what was wanted there */
export function validate<S extends v.GenericSchema>(schema: S, value: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const where = v.getDotPath(issue);
  throw new InvalidParameter(
    where === null
      ? `invalid request body: ${issue.message}`
      : `invalid value for ${where}: ${issue.message}`,
  );
}

/** @throws InvalidParameter beginning with `what` */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidParameter(`${what}: ${messageOf(error)}`, { cause: error });
  }
}
