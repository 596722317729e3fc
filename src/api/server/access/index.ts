/** Holds a request to the scope of its token. Without a token a request may do all, where none is asked for. */
import { Forbidden, Unauthorized } from "../../../lib/errors.ts";
import type { Exchange } from "../exchange.ts";
import { operations } from "./operations.ts";

/**
 * Refuses what the request's token does not allow, and narrows the rest to what it may see.
 * @param operation the route: `GET /containers/{id}/json`
 * @param required the listener serves nobody without a token
 * @throws Unauthorized without a valid token; Forbidden for what its scope leaves out; NotFound for what it may not see
 */
export function authorize(x: Exchange, operation: string, required: boolean): void {
  const secret = bearer(x);
  if (secret === undefined) {
    if (required) throw new Unauthorized("a token is required here: set GANTRY_TOKEN");
    return;
  }
  const token = x.engine.tokens.find(secret);
  if (!token) throw new Unauthorized("invalid or expired token");
  const { readOnly, labels, name } = token;
  const isByLabel = Object.keys(labels).length > 0;
  if (!readOnly && !isByLabel) return;
  // What the table doesn't know is for nobody with less than all rights.
  const { right, hold } = operations[operation] ?? { right: "all" };
  if (right === "all" || (readOnly && right !== "look"))
    throw new Forbidden(`token ${name}${readOnly ? " is read-only and" : ""} does not allow ${operation}`);
  if (!isByLabel) return;
  if (!hold) throw new Forbidden(`token ${name} is restricted to labels and does not allow ${operation}`);
  hold(x, labels);
}

/** The secret of `Authorization: Bearer …` (RFC 6750); another scheme is none of ours. @throws Unauthorized */
function bearer(x: Exchange): string | undefined {
  const header = x.request.headers.authorization;
  if (header === undefined || !/^bearer\b/i.test(header)) return undefined;
  const match = /^Bearer +(\S+)$/i.exec(header);
  if (!match) throw new Unauthorized("malformed Authorization header: Bearer TOKEN is wanted");
  return match[1];
}
