/** `--secret` and `--ssh`: what a build's session offers its steps. */
import { readFileSync, statSync } from "node:fs";
import type { SessionOffer } from "../../api/client/build-session.ts";
import { InvalidParameter, TooLarge } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";

/** BuildKit's own limit (bytes). */
const secretLimit = 500 * 1024;

type Environment = Record<string, string | undefined>;

/** @throws InvalidParameter, TooLarge for what can't be offered */
export function sessionOffer(
  secrets: readonly string[],
  agents: readonly string[],
  env: Environment,
): Pick<SessionOffer, "secret" | "agent"> {
  const bySecret = new Map(secrets.map((text) => parseSecret(text, env)));
  const byAgent = new Map(agents.map((text) => parseAgent(text, env)));
  return { secret: (id) => bySecret.get(id)?.(), agent: (id) => byAgent.get(id || "default") };
}

/** `id=key[,src=FILE | ,env=NAME][,type=file|env]`; the id alone names a variable, or else a file. */
function parseSecret(text: string, env: Environment): [string, () => Uint8Array | undefined] {
  const fields: Record<string, string> = {};
  for (const field of splitCsv(text)) {
    const equals = field.indexOf("=");
    if (equals < 0) throw new InvalidParameter(`invalid field '${field}' must be a key=value pair`);
    const name = field.slice(0, equals).toLowerCase();
    if (!["id", "src", "source", "env", "type"].includes(name))
      throw new InvalidParameter(`unexpected key '${name}' in '${field}'`);
    fields[name] = field.slice(equals + 1);
  }
  const { id, type = "" } = fields;
  if (!id) throw new InvalidParameter("secret missing ID");
  if (!["", "file", "env"].includes(type)) throw new InvalidParameter(`unsupported secret type '${type}'`);
  const source = fields.src ?? fields.source;
  const named = fields.env ?? (type === "env" ? (source ?? id) : undefined);
  const variable =
    named ?? (source === undefined && type !== "file" && env[id] !== undefined ? id : undefined);
  if (variable !== undefined) {
    const value = env[variable];
    return [id, () => (value === undefined ? undefined : Buffer.from(value))];
  }
  const path = source ?? id;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new InvalidParameter(`failed to stat ${path}: stat ${path}: no such file or directory`);
  if (stat.size > secretLimit) throw new TooLarge(`secret ${id} too big. max size 500KB`);
  return [id, () => readFileSync(path)];
}

/** `default`, `ID`, `ID=SOCKET`. */
function parseAgent(text: string, env: Environment): [string, string] {
  const equals = text.indexOf("=");
  const id = equals < 0 ? text : text.slice(0, equals);
  const path = (equals < 0 ? undefined : text.slice(equals + 1)) || env.SSH_AUTH_SOCK;
  if (!path) throw new InvalidParameter("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new InvalidParameter(`ssh agent ${id}: stat ${path}: no such file or directory`);
  if (!stat.isSocket())
    throw new InvalidParameter(`${path} is no agent's socket: add keys to an agent (ssh-add) and give that`);
  return [id, path];
}
