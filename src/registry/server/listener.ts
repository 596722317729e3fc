/** The socket that requests come in by: its certificate can be changed, and it ends gently. */
import { messageOf, Unavailable } from "../../lib/errors.ts";
import type { Address } from "./address.ts";

/** Seconds a connection may stay silent: Bun's longest. A client may hash a layer between two requests. */
const idleTimeout = 255;
/** How often it is looked whether the last requests have ended. */
const drainPollMs = 20;

export interface Certificate {
  cert: string;
  key: string;
}
/** @param peer address of the connection's other end */
export type Answer = (request: Request, peer: string) => Promise<Response>;

export class Listener {
  readonly port: number;
  #server: Bun.Server<undefined>;
  /** Those with a certificate from before that have requests under way. */
  #former: Bun.Server<undefined>[] = [];

  /** @throws Unavailable when the address can't be bound */
  constructor(
    private readonly address: Address,
    private certificate: Certificate | undefined,
    private readonly answer: Answer,
  ) {
    this.#server = listen(address, certificate, answer);
    this.port = this.#server.port!;
  }

  /**
   * Shows another certificate to who connects from now on; connections that are open go on.
   * @throws Unavailable when certificate and key are not in order; the old ones stay then
   */
  replaceCertificate(certificate: Certificate): void {
    const address = { ...this.address, port: this.port };
    // Tried where it does no harm: a socket can't change its certificate, so the old one closes before the new one opens.
    void listen({ hostname: "127.0.0.1", port: 0 }, certificate, this.answer).stop(true);
    void this.#server.stop();
    this.#former = [...this.#former, this.#server].filter(isBusy);
    try {
      this.#server = listen(address, certificate, this.answer);
      this.certificate = certificate;
    } catch (error) {
      this.#server = listen(address, this.certificate, this.answer);
      throw error;
    }
  }

  /** Takes no new connections, and gives the requests under way a while to come to their end. */
  async stop(graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    void this.#server.stop();
    const servers = [...this.#former, this.#server];
    while (servers.some(isBusy) && Date.now() < deadline) await Bun.sleep(drainPollMs);
    await Promise.all(servers.map((server) => server.stop(true)));
  }
}

const isBusy = ({ pendingRequests }: Bun.Server<undefined>) => pendingRequests > 0;

/** @throws Unavailable */
function listen(
  { hostname, port }: Address,
  tls: Certificate | undefined,
  answer: Answer,
): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname,
      port,
      tls,
      idleTimeout,
      // A layer has no limit: it goes to disk as it comes.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request, server) => answer(request, server.requestIP(request)?.address ?? "unknown"),
    });
  } catch (error) {
    throw new Unavailable(`listen tcp ${hostname}:${port}: ${messageOf(error)}`, { cause: error });
  }
}
