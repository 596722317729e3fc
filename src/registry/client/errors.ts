/** What a registry's answers and a network's failures mean, in Docker's words. */
import * as v from "valibot";
import {
  Forbidden,
  type GantryError,
  InvalidParameter,
  messageOf,
  NotFound,
  Unauthorized,
  Unavailable,
} from "../../lib/errors.ts";
import { parseChallenges } from "./challenge.ts";

/** An error as the distribution spec gives it; `text` is `manifest unknown: manifest unknown`. */
export interface RegistryFault {
  code: string;
  text: string;
  status: number;
}

const errorBody = v.object({
  errors: v.pipe(
    v.array(v.object({ code: v.string(), message: v.optional(v.string()), detail: v.optional(v.unknown()) })),
    v.minLength(1),
  ),
});
/** What some token servers and older registries answer. */
const detailsBody = v.object({ details: v.string() });

/** An answer's error body is read up to here, in bytes. */
const bodyLimit = 64 * 1024;

/** Reads what an unsuccessful answer says; consumes it. */
export async function readFault(response: Response): Promise<RegistryFault> {
  const text = await readText(response, bodyLimit);
  const { status } = response;
  const make = (code: string, message: string): RegistryFault => ({
    code,
    text: `${code.toLowerCase().replaceAll("_", " ")}: ${message}`,
    status,
  });
  if (status === 401) {
    const challenges = parseChallenges(response.headers.get("www-authenticate"));
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
    if (bearer?.parameters.error === "insufficient_scope") {
      return make("DENIED", "requested access to the resource is denied");
    }
  }
  const json = parseJson(text);
  const parsed = v.safeParse(errorBody, json);
  if (parsed.success) {
    const { code, message } = parsed.output.errors[0]!;
    return make(code, message ?? code.toLowerCase().replaceAll("_", " "));
  }
  const details = v.safeParse(detailsBody, json);
  if (details.success) return make(codeOfStatus(status), details.output.details);
  if (status === 401) return make("UNAUTHORIZED", "authentication required");
  if (status === 403) return make("DENIED", "requested access to the resource is denied");
  if (status === 429) return make("TOOMANYREQUESTS", "too many requests");
  const statusText = `${status} ${response.statusText}`.trim();
  return { code: codeOfStatus(status), text: `received unexpected HTTP status: ${statusText}`, status };
}

/** An error of its kind, with the fault's own text. */
export function errorOf(fault: RegistryFault): GantryError {
  switch (fault.code) {
    case "UNAUTHORIZED":
      return new Unauthorized(fault.text);
    case "DENIED":
      return new Forbidden(fault.text);
  }
  if (fault.status === 401) return new Unauthorized(fault.text);
  if (fault.status === 403) return new Forbidden(fault.text);
  if (fault.status === 404) return new NotFound(fault.text);
  if (fault.status === 429 || fault.status >= 500) return new Unavailable(fault.text);
  return new InvalidParameter(fault.text);
}

/** A failure to reach the registry, as Docker says it. */
export function unreachable(method: string, url: URL, error: unknown): Unavailable {
  const name = method.charAt(0) + method.slice(1).toLowerCase();
  return new Unavailable(`${name} "${url.href}": ${reasonOf(url, error)}`, { cause: error });
}

/** `ECONNREFUSED` and its like; empty when there is none. */
export function networkCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function reasonOf(url: URL, error: unknown): string {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const dial = `dial tcp ${url.hostname}:${port}`;
  const code = networkCode(error);
  switch (code) {
    case "ECONNREFUSED":
      return `${dial}: connect: connection refused`;
    case "ENOTFOUND":
      return `dial tcp: lookup ${url.hostname}: no such host`;
    case "EAI_AGAIN":
      return `dial tcp: lookup ${url.hostname}: temporary failure in name resolution`;
    case "ENETUNREACH":
      return `${dial}: connect: network is unreachable`;
    case "EHOSTUNREACH":
      return `${dial}: connect: no route to host`;
    case "ETIMEDOUT":
      return `${dial}: i/o timeout`;
    case "ECONNRESET":
      return `connection to ${url.host} was reset by peer`;
    case "EPROTO":
      return "http: server gave HTTP response to HTTPS client";
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    return `tls: failed to verify certificate: x509: ${messageOf(error)}`;
  }
  return messageOf(error);
}

/** What is there of the body, cut at about `limit` bytes. */
async function readText(response: Response, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > limit) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function codeOfStatus(status: number): string {
  if (status === 401) return "UNAUTHORIZED";
  if (status === 403) return "DENIED";
  return "UNKNOWN";
}
