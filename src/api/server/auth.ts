/** Credentials in headers (Engine API, "Authentication"): base64url of JSON. */
import * as v from "valibot";
import { InvalidParameter } from "../../lib/errors.ts";
import type { Credentials } from "../../registry/types.ts";
import type { Exchange } from "./exchange.ts";
import { parseJson, validate } from "./exchange.ts";
import { field, maybeText } from "./fields.ts";

export const authSchema = v.object({
  username: maybeText,
  password: maybeText,
  /** Both as base64 of `name:password`, in old configuration files. */
  auth: maybeText,
  serveraddress: maybeText,
  identitytoken: maybeText,
  registrytoken: maybeText,
});
const configSchema = v.record(v.string(), authSchema);

/** `X-Registry-Auth`; undefined when nothing is in it. @throws InvalidParameter, which never shows the header */
export function registryAuth(x: Exchange): Credentials | undefined {
  const json = decodeHeader(x, "x-registry-auth");
  return json === undefined ? undefined : toCredentials(validate(authSchema, json));
}

/** `X-Registry-Config` of a build: credentials by registry. @throws InvalidParameter */
export function registryConfig(x: Exchange): Record<string, Credentials> {
  const json = decodeHeader(x, "x-registry-config");
  const entries = Object.entries(json === undefined ? {} : validate(field(configSchema, {}), json));
  return Object.fromEntries(
    entries.flatMap(([domain, auth]) => {
      const credentials = toCredentials(auth);
      return credentials ? [[domain, credentials]] : [];
    }),
  );
}

function decodeHeader(x: Exchange, name: string): unknown {
  const value = x.request.headers[name];
  if (typeof value !== "string" || value === "") return undefined;
  try {
    return parseJson(Buffer.from(value, "base64").toString("utf8"), name);
  } catch {
    throw new InvalidParameter(`invalid ${name} header: base64 of JSON is wanted`);
  }
}

export function toCredentials(auth: v.InferOutput<typeof authSchema>): Credentials | undefined {
  let { username, password } = auth;
  if (!username && auth.auth) {
    const decoded = Buffer.from(auth.auth, "base64").toString("utf8");
    const colon = decoded.indexOf(":");
    if (colon > 0) [username, password] = [decoded.slice(0, colon), decoded.slice(colon + 1)];
  }
  const credentials = {
    username: username || undefined,
    password: password || undefined,
    identityToken: auth.identitytoken || undefined,
    registryToken: auth.registrytoken || undefined,
  };
  return Object.values(credentials).some((value) => value !== undefined) ? credentials : undefined;
}
