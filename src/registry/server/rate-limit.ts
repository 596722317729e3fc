/** Limits on what one client may do in a while, told in Docker Hub's headers. */
import { parseMilliseconds } from "../../lib/duration.ts";
import { InvalidParameter } from "../../lib/errors.ts";
import { DistributionError } from "./errors.ts";

export interface Rate {
  count: number;
  windowMs: number;
}

/** Clients remembered at once; beyond it the oldest are forgotten. */
const maxClients = 100_000;

/** `100/6h`: a hundred in six hours. @throws InvalidParameter */
export function parseRate(text: string): Rate {
  const match = /^([1-9]\d{0,8})\/(.+)$/.exec(text);
  const windowMs = match ? parseMilliseconds(match[2]!) : 0;
  if (!match || windowMs < 1000)
    throw new InvalidParameter(`invalid rate ${JSON.stringify(text)}: use 100/6h`);
  return { count: Number(match[1]), windowMs };
}

/** Counts in windows that begin with a client's first request. */
export class RateLimit {
  readonly #windows = new Map<string, { count: number; endsAt: number }>();

  constructor(
    private readonly rate: Rate,
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * Counts one request of `client`.
   * @returns headers for the answer
   * @throws DistributionError TOOMANYREQUESTS
   */
  take(client: string): Record<string, string> {
    const now = this.now();
    let window = this.#windows.get(client);
    if (!window || window.endsAt <= now) {
      this.#windows.delete(client);
      this.#makeRoom(now);
      window = { count: 0, endsAt: now + this.rate.windowMs };
      this.#windows.set(client, window);
    }
    window.count += 1;
    const remaining = Math.max(0, this.rate.count - window.count);
    const seconds = Math.ceil(this.rate.windowMs / 1000);
    const headers = {
      "RateLimit-Limit": `${this.rate.count};w=${seconds}`,
      "RateLimit-Remaining": `${remaining};w=${seconds}`,
      // A name that somebody else's token gives may have any characters.
      "Docker-RateLimit-Source": client.replace(/[^\x21-\x7e]/g, "?"),
    };
    if (window.count <= this.rate.count) return headers;
    const retryAfter = String(Math.ceil((window.endsAt - now) / 1000));
    throw new DistributionError("TOOMANYREQUESTS", undefined, {
      headers: { ...headers, "Retry-After": retryAfter },
    });
  }

  #makeRoom(now: number): void {
    for (const [client, { endsAt }] of this.#windows) {
      // All windows are of one length, so they end in the order in which they began.
      if (endsAt > now && this.#windows.size < maxClients) return;
      this.#windows.delete(client);
    }
  }
}
