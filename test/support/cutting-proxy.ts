/** Stands before a registry: counts the bytes of blobs it passes on, slows them down, spoils them, cuts connections. */
export class CuttingProxy implements Disposable {
  readonly #server: Bun.Server<undefined>;
  /** Bytes of blobs sent to clients, and requests for them. */
  sent = 0;
  requests = 0;
  /** How many more blob answers break off after `cutAfter` bytes. */
  cuts = 0;
  cutAfter = 1 << 20;
  /** How many more blob answers have a wrong byte in their middle. */
  spoils = 0;
  /** Every blob is sent from its beginning, whatever range was asked for. */
  ignoresRange = false;
  /** Blobs that are sent at this moment, and the most that were. */
  open = 0;
  mostOpen = 0;
  /** Milliseconds between two pieces of 64 KiB. */
  delay = 0;

  constructor(target: string) {
    this.#server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 60,
      fetch: async (request) => {
        const url = new URL(request.url);
        const headers = new Headers(request.headers);
        if (this.ignoresRange) headers.delete("range");
        const answer = await fetch(`http://${target}${url.pathname}${url.search}`, {
          method: request.method,
          headers,
          body: request.body,
        });
        const isBlob = request.method === "GET" && /\/blobs\/sha256:/.test(url.pathname);
        return isBlob ? this.#blob(answer) : answer;
      },
    });
  }

  get address(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  #blob(answer: Response): Response {
    this.requests++;
    const cut = this.cuts > 0 ? this.cutAfter : Number.POSITIVE_INFINITY;
    if (this.cuts > 0) this.cuts--;
    const isSpoilt = this.spoils > 0;
    if (isSpoilt) this.spoils--;
    const pass = async function* (this: CuttingProxy) {
      this.mostOpen = Math.max(this.mostOpen, ++this.open);
      try {
        const bytes = new Uint8Array(await answer.arrayBuffer());
        if (isSpoilt) bytes[bytes.length >> 1]! ^= 1;
        for (let at = 0; at < bytes.length; at += 1 << 16) {
          if (at >= cut) return;
          const piece = bytes.subarray(at, at + (1 << 16));
          this.sent += piece.length;
          yield piece;
          if (this.delay > 0) await Bun.sleep(this.delay);
        }
      } finally {
        this.open--;
      }
    };
    return new Response(pass.call(this), { status: answer.status, headers: answer.headers });
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}
