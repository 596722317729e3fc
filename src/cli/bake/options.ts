/** Values that are rows of `name=value`: outputs, caches, secrets, agents, attestations. */
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";
import { expandHome } from "./paths.ts";

/** As shown: `{"type": "registry", "ref": "team/app"}`. */
export type Options = Record<string, string>;
export type OptionsField = "attest" | "cache-from" | "cache-to" | "output" | "secret" | "ssh";

/** An entry as it is written on a command line. @throws InvalidParameter */
export function parseOptions(field: OptionsField, text: string): Options {
  const words = splitCsv(text);
  const [first = ""] = words;
  if (words.length === 1 && !first.includes("=")) return fromWord(field, first);
  if (field === "ssh") return agent(text);
  const pairs = words.map((word): [string, string] => {
    const at = word.indexOf("=");
    if (at < 0)
      throw new InvalidParameter(`invalid ${field} ${JSON.stringify(text)}: ${word} is not NAME=VALUE`);
    return [word.slice(0, at).trim().toLowerCase(), word.slice(at + 1)];
  });
  return checkOptions(field, Object.fromEntries(pairs));
}

/** The word alone: each field has a form that is short. */
function fromWord(field: OptionsField, word: string): Options {
  switch (field) {
    case "cache-from":
    case "cache-to":
      return { type: "registry", ref: word };
    case "output":
      return word === "-" ? { type: "tar", dest: "-" } : { type: "local", dest: word };
    case "ssh":
      return { id: word };
    default:
      throw new InvalidParameter(`invalid ${field} ${JSON.stringify(word)}: NAME=VALUE is needed`);
  }
}

/** `id=path,path`: keys or a socket. */
function agent(text: string): Options {
  const at = text.indexOf("=");
  return { id: text.slice(0, at), paths: text.slice(at + 1) };
}

/** Brings an entry into the form in which it is shown. @throws InvalidParameter */
export function checkOptions(field: OptionsField, options: Options): Options {
  switch (field) {
    case "output":
      if (options.type === undefined) throw new InvalidParameter("an output needs a type");
      return options;
    case "cache-from":
    case "cache-to":
      if (options.type === undefined) throw new InvalidParameter(`${field}: a type is needed`);
      return options;
    case "secret": {
      const { type, source, id = "", src = source, env, ...rest } = options;
      const unknown = Object.keys(rest)[0];
      if (unknown !== undefined) throw new InvalidParameter(`unexpected key '${unknown}' in secret`);
      if (id === "") throw new InvalidParameter("a secret needs an id");
      if (type === "env") return { id, env: env ?? src ?? id };
      if (env !== undefined) return { id, env };
      return src === undefined ? { id } : { id, src: expandHome(src) };
    }
    case "attest":
      if (options.type === undefined) throw new InvalidParameter("attestation type not specified");
      return options;
    case "ssh":
      return options;
  }
}

/** The same as words of a command line: `type=registry,ref=team/app`. */
export function formatOptions(field: OptionsField, options: Options): string {
  if (field === "ssh") return options.paths === undefined ? options.id! : `${options.id}=${options.paths}`;
  return Object.entries(options)
    .map(([name, value]) => csvField(`${name}=${value}`))
    .join(",");
}

const csvField = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** `true`, `false`, or the attestation's own options. */
export function attestation(type: string, value: string): Options {
  if (value === "true") return { type };
  if (value === "false") return { type, disabled: "true" };
  return parseOptions("attest", `type=${type},${value}`);
}
