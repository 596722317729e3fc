import { errorOfKind, GantryError, InvalidParameter, kindOfStatus, Unavailable } from "../../lib/errors.ts";
import { Connection } from "./connection.ts";
import { jsonLines } from "./json-lines.ts";
import type { ResponseKind } from "./response-parser.ts";
import type { ApiClient, ApiResponse, Endpoint, RawStream, RequestOptions } from "./types.ts";

const utf8 = new TextEncoder();

/** The newest API version that this client speaks. */
export const newestApiVersion = "1.51";

export interface ClientOptions {
  /** Speak this version and negotiate none (DOCKER_API_VERSION). */
  apiVersion?: string;
  /** Sent with every request. */
  headers?: Record<string, string>;
  /** Called whenever a request is on its way: what the caller needs later can load while the engine works. */
  whileWaiting?: () => void;
}

export class ApiClientOverHttp implements ApiClient {
  #version: string;
  readonly #headers: Record<string, string>;
  /** Undefined until the engine's version was asked for (or fixed by the caller). */
  #negotiation: Promise<void> | undefined;

  constructor(
    readonly endpoint: Endpoint,
    private readonly options: ClientOptions = {},
  ) {
    this.#version = options.apiVersion ?? newestApiVersion;
    this.#headers = options.headers ?? {};
    if (options.apiVersion !== undefined) this.#negotiation = Promise.resolve();
  }

  async send(method: string, path: string, options: RequestOptions = {}): Promise<ApiResponse> {
    const connection = await this.#request(method, path, options, method === "HEAD" ? "head-only" : "normal");
    const { status, headers } = await connection.head;
    return { status, headers, body: connection.body };
  }

  async call<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(method, path, options);
    if (response.status >= 300) throw await errorOf(response);
    const text = await textOf(response.body);
    return (text.trim() === "" ? undefined : JSON.parse(text)) as T;
  }

  async *messages<T>(method: string, path: string, options: RequestOptions = {}): AsyncGenerator<T> {
    const response = await this.send(method, path, options);
    if (response.status >= 300) throw await errorOf(response);
    yield* jsonLines<T>(response.body);
  }

  async hijack(method: string, path: string, options: RequestOptions = {}): Promise<RawStream> {
    const headers = { connection: "Upgrade", upgrade: "tcp", ...options.headers };
    const connection = await this.#request(method, path, { ...options, headers }, "raw");
    const head = await connection.head;
    if (head.status >= 300) throw await errorOf({ ...head, body: connection.body });
    return {
      status: head.status,
      headers: head.headers,
      output: connection.body,
      write: (bytes) => connection.write(bytes),
      end: () => connection.endWriting(),
      close: () => connection.close(),
    };
  }

  /**
   * Sends a request with the newest version, without asking first: that saves a round trip on every command. Only
   * when an engine refuses is its version asked for and the request repeated. A stream can't be sent twice, so
   * there the version is asked for before.
   */
  async #request(
    method: string,
    path: string,
    options: RequestOptions,
    kind: ResponseKind,
  ): Promise<Connection> {
    const streams = options.body !== undefined && Symbol.asyncIterator in options.body;
    if (streams) await this.#negotiate();
    const spoken = this.#version;
    const settled = this.#negotiation !== undefined;
    const connection = await this.#attempt(method, path, options, kind);
    if (streams || settled) return connection;
    const { status } = await connection.head;
    if (status !== 400) return connection;
    await this.#negotiate();
    if (this.#version === spoken) return connection;
    connection.close();
    return this.#attempt(method, path, options, kind);
  }

  /** Lowers the version to the engine's own when that is older; requests that run at once ask once. */
  #negotiate(): Promise<void> {
    this.#negotiation ??= this.#askVersion();
    return this.#negotiation;
  }

  async #askVersion(): Promise<void> {
    const connection = await Connection.open(this.endpoint, "normal");
    const lines = headerLines({ host: this.#host(), ...this.#headers });
    await connection.write(`GET /_ping HTTP/1.1\r\n${lines}\r\n`);
    const { headers } = await connection.head;
    connection.close();
    const theirs = headers["api-version"];
    if (theirs !== undefined && isOlder(theirs, this.#version)) this.#version = theirs;
  }

  async #attempt(
    method: string,
    path: string,
    options: RequestOptions,
    kind: ResponseKind,
  ): Promise<Connection> {
    const { headers, body, stream } = encodeBody(method, options.body);
    const connection = await Connection.open(this.endpoint, kind, options.signal);
    const all: Record<string, string | readonly string[]> = {
      host: this.#host(),
      "user-agent": "gantry",
      ...this.#headers,
      ...headers,
      ...options.headers,
    };
    const target = `/v${this.#version}${withQuery(path, options.query)}`;
    const head = `${method} ${target} HTTP/1.1\r\n${headerLines(all)}\r\n`;
    await connection.write(typeof body === "string" ? head + body : head);
    if (body instanceof Uint8Array) await connection.write(body);
    // The engine may answer, or refuse, before it has read the whole body: both directions run at once.
    if (stream) void sendChunked(connection, stream);
    this.options.whileWaiting?.();
    return connection;
  }

  #host(): string {
    const { endpoint } = this;
    return endpoint.kind === "unix"
      ? "gantry"
      : `${endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
  }
}

/** @throws InvalidParameter for a value that would be more than one line */
function headerLines(headers: Record<string, string | readonly string[]>): string {
  let lines = "";
  for (const name in headers) {
    const value = headers[name]!;
    for (const each of typeof value === "string" ? [value] : value) {
      const line = `${name}: ${each}`;
      if (line.includes("\r") || line.includes("\n") || line.includes("\0"))
        throw new InvalidParameter(`the header ${name} has a line break`);
      lines += `${line}\r\n`;
    }
  }
  return lines;
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = than.split(".").map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

interface EncodedBody {
  headers: Record<string, string>;
  body?: string | Uint8Array;
  stream?: AsyncIterable<Uint8Array>;
}

function encodeBody(method: string, body: RequestOptions["body"]): EncodedBody {
  if (body === undefined)
    return { headers: method === "POST" || method === "PUT" ? { "content-length": "0" } : {} };
  if (Symbol.asyncIterator in body) {
    return { headers: { "transfer-encoding": "chunked", "content-type": "application/x-tar" }, stream: body };
  }
  if (body instanceof Uint8Array) {
    const length = String(body.length);
    return { headers: { "content-type": "application/x-tar", "content-length": length }, body };
  }
  const json = JSON.stringify(body);
  const length = String(utf8.encode(json).length);
  return { headers: { "content-type": "application/json", "content-length": length }, body: json };
}

/**
 * Sends a stream as chunks. When reading it fails the connection is given up, so that the engine sees no complete
 * body; when writing fails, the engine's answer or the closed connection tells why.
 */
async function sendChunked(connection: Connection, stream: AsyncIterable<Uint8Array>): Promise<void> {
  const source = stream[Symbol.asyncIterator]();
  for (;;) {
    let next: IteratorResult<Uint8Array>;
    try {
      next = await source.next();
    } catch (error) {
      connection.fail(error instanceof Error ? error : new Unavailable(String(error)));
      return;
    }
    try {
      if (next.done) {
        await connection.write("0\r\n\r\n");
        return;
      }
      if (next.value.length > 0) await connection.write(chunkOf(next.value));
    } catch {
      await source.return?.();
      return;
    }
  }
}

function chunkOf(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]);
}

function withQuery(path: string, query: RequestOptions["query"]): string {
  const text = queryText(query);
  return text === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${text}`;
}

function queryText(query: RequestOptions["query"]): string {
  const pairs: string[] = [];
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(text)}`);
  }
  return pairs.join("&");
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** The cause of an error that the engine answered with, unlike those that arise on the way to it. */
export class EngineAnswer {
  constructor(
    readonly status: number,
    /** What the answer had besides its message, of a failed build. */
    readonly errorDetail?: unknown,
  ) {}
}

/** Whether the engine said so itself: then people see it as "Error response from daemon: …". */
export function isEngineError(error: unknown): error is GantryError & { cause: EngineAnswer } {
  return error instanceof GantryError && error.cause instanceof EngineAnswer;
}

/** The error that an answer of status 300 or above stands for, with the engine's message. Reads the body. */
export async function errorOf(response: ApiResponse): Promise<GantryError> {
  const text = await textOf(response.body);
  const { message, errorDetail } = answerIn(text);
  const cause = new EngineAnswer(response.status, errorDetail);
  return errorOfKind(kindOfStatus(response.status), message || `request returned status ${response.status}`, {
    cause,
  });
}

function answerIn(text: string): { message: string; errorDetail?: unknown } {
  try {
    const parsed = JSON.parse(text) as { message?: unknown; errorDetail?: unknown };
    if (typeof parsed?.message === "string")
      return { message: parsed.message, errorDetail: parsed.errorDetail };
  } catch {
    // A proxy or an old daemon answers in plain text.
  }
  return { message: text.trim() };
}
