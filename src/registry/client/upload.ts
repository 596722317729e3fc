/** Pushing one blob (distribution-spec, "Pushing blobs"): in one piece, and in chunks where that does not do. */
import type { Readable } from "node:stream";
import { type GantryError, Unavailable } from "../../lib/errors.ts";
import type { Descriptor } from "../../lib/oci.ts";
import { backOff } from "./backoff.ts";
import { errorOf, readFault } from "./errors.ts";
import { ByteSource } from "./source.ts";
import type { RegistryRequest, Transport } from "./transport.ts";

/** Of a chunk, unless the registry wants more: under the limits that proxies put on a request. Bytes. */
const chunkSize = 32 * 1024 * 1024;
/** Connections that may break before the push is given up. */
const maxBreaks = 4;

export interface UploadOptions {
  transport: Transport;
  repository: string;
  descriptor: Descriptor;
  open: () => Readable;
  mountFrom?: string;
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** Uploads in one request; after a break it goes on where the registry says it was. */
export async function uploadBlob(options: UploadOptions): Promise<"pushed" | "mounted"> {
  using source = new ByteSource(options.open);
  const upload = new Upload(options, source);
  return await upload.run();
}

class Upload {
  readonly #scopes: string[];
  /** Where the next request goes. */
  #location: URL | undefined;
  #chunkSize = chunkSize;

  constructor(
    private readonly options: UploadOptions,
    private readonly source: ByteSource,
  ) {
    const { repository, mountFrom } = options;
    this.#scopes = [`repository:${repository}:pull,push`];
    if (mountFrom && mountFrom !== repository) this.#scopes.push(`repository:${mountFrom}:pull`);
  }

  async run(): Promise<"pushed" | "mounted"> {
    let offset = 0;
    let chunked = false;
    for (let breaks = 0; ; ) {
      try {
        if (this.#location && breaks > 0) {
          offset = await this.#status();
          chunked ||= offset > 0;
        }
        if (!this.#location) {
          offset = 0;
          if (await this.#begin()) return "mounted";
        }
        if (chunked) offset = await this.#appendChunks(offset);
        const tooLarge = await this.#finish(offset);
        if (!tooLarge) return "pushed";
        // Something on the way does not take the blob in one piece.
        this.#location = undefined;
        chunked = true;
      } catch (error) {
        const isBreak = error instanceof Unavailable && this.#location !== undefined;
        if (!isBreak || ++breaks === maxBreaks) throw error;
        await backOff(breaks, this.options.signal);
      }
    }
  }

  /** @returns whether the blob was mounted, so that nothing is left to do */
  async #begin(): Promise<boolean> {
    const { repository, descriptor, mountFrom } = this.options;
    const mount = mountFrom ? `?${new URLSearchParams({ mount: descriptor.digest, from: mountFrom })}` : "";
    const path = `/v2/${repository}/blobs/uploads/${mount}`;
    const response = await this.#send({ method: "POST", target: path, headers: { "content-length": "0" } });
    if (response.status === 201) {
      await response.body?.cancel();
      return true;
    }
    await this.#expect(response, 202);
    const least = Number(response.headers.get("oci-chunk-min-length"));
    if (Number.isSafeInteger(least)) this.#chunkSize = Math.max(chunkSize, least);
    return false;
  }

  /** The rest of the blob, at once. @returns true when the registry finds it too large for one request */
  async #finish(offset: number): Promise<boolean> {
    const { digest, size } = this.options.descriptor;
    const target = new URL(this.#location!);
    target.searchParams.append("digest", digest);
    const response = await this.#send({ method: "PUT", target, ...this.#body(offset, size) });
    if (response.status === 413 && offset < size) {
      await response.body?.cancel();
      return true;
    }
    await this.#expect(response, 201);
    return false;
  }

  async #appendChunks(from: number): Promise<number> {
    const { size } = this.options.descriptor;
    let offset = from;
    while (offset < size) {
      const end = Math.min(offset + this.#chunkSize, size);
      const { headers, body } = this.#body(offset, end);
      const response = await this.#send({
        method: "PATCH",
        target: this.#location!,
        headers: { ...headers, "content-range": `${offset}-${end - 1}` },
        body,
      });
      await this.#expect(response, 202);
      offset = end;
    }
    return offset;
  }

  /** How much of a broken upload the registry has; where it can't tell, the upload begins anew. */
  async #status(): Promise<number> {
    if (!this.#location) return 0;
    const response = await this.#send({ method: "GET", target: this.#location });
    const range = /^(?:bytes=)?0-(\d+)$/.exec(response.headers.get("range") ?? "");
    if (response.status !== 204 || !range) {
      await response.body?.cancel();
      this.#location = undefined;
      return 0;
    }
    this.#advance(response);
    // `0-0` may mean one byte or none: that much is sent again by beginning anew.
    const offset = Number(range[1]) + 1;
    if (offset === 1 || offset > this.options.descriptor.size) {
      this.#location = undefined;
      return 0;
    }
    return offset;
  }

  #body(start: number, end: number): Pick<RegistryRequest, "headers" | "body"> {
    const headers = { "content-length": String(end - start), "content-type": "application/octet-stream" };
    if (start === end) return { headers, body: new Uint8Array(0) };
    return { headers, body: () => this.#read(start, end) };
  }

  async *#read(start: number, end: number): AsyncGenerator<Uint8Array> {
    let sent = start;
    for await (const chunk of this.source.read(start, end)) {
      yield chunk;
      sent += chunk.length;
      this.options.onProgress?.(sent);
    }
  }

  async #send(request: Omit<RegistryRequest, "scopes" | "signal">): Promise<Response> {
    const { transport, signal } = this.options;
    return await transport.send({ ...request, scopes: this.#scopes, signal });
  }

  async #expect(response: Response, status: number): Promise<void> {
    if (response.status !== status) throw await failure(response);
    await response.body?.cancel();
    if (status === 202) this.#advance(response);
  }

  #advance(response: Response): void {
    const location = response.headers.get("location");
    if (location === null) {
      if (!this.#location) throw new Unavailable("the registry gave no place for the upload");
      return;
    }
    this.#location = new URL(location, response.url);
  }
}

async function failure(response: Response): Promise<GantryError> {
  return errorOf(await readFault(response));
}
