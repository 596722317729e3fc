/** `RUN --mount=...`: from text to a checked description. */
import { parseSize } from "../../lib/units.ts";
import type { Run } from "../dockerfile/instructions.ts";
import { didYouMean } from "../dockerfile/nearest.ts";
import { stepError } from "../errors.ts";

export type RunMount =
  | { type: "bind"; target: string; source: string; from?: string; writable: boolean }
  | {
      type: "cache";
      target: string;
      id: string;
      readonly: boolean;
      sharing: "shared" | "private" | "locked";
      mode: number;
      uid: number;
      gid: number;
      /** What a new cache begins with; undefined: nothing. */
      from?: string;
      source: string;
    }
  | { type: "ssh"; id: string; target?: string; required: boolean; mode: number; uid: number; gid: number }
  | { type: "tmpfs"; target: string; size?: number }
  | {
      type: "secret";
      id: string;
      /** undefined: only in the environment. */
      target?: string;
      env?: string;
      required: boolean;
      mode: number;
      uid: number;
      gid: number;
    };

const types = ["bind", "cache", "tmpfs", "secret", "ssh"];
const aliases: Record<string, string> = {
  src: "source",
  dst: "target",
  destination: "target",
  ro: "readonly",
};
const keys =
  "type from source src target dst destination readonly ro readwrite rw id sharing required size mode uid gid env".split(
    " ",
  );
const flagKeys = ["readonly", "ro", "readwrite", "rw", "required"];

/**
 * @param expand - substitutes variables; `from` takes none
 * @param resolve - makes a target absolute
 * @throws DockerfileError
 */
export function parseRunMounts(
  run: Run,
  expand: (text: string) => string,
  resolve: (path: string) => string,
): RunMount[] {
  return run.mounts.map((text) => parseRunMount(text, run, expand, resolve));
}

function parseRunMount(
  text: string,
  run: Run,
  expand: (text: string) => string,
  resolve: (path: string) => string,
): RunMount {
  const fail = (message: string, hint?: string): never => {
    throw stepError(run.range, message, hint);
  };
  const fields = new Map<string, string>();
  for (const field of text.split(",")) {
    const at = field.indexOf("=");
    const key = (at < 0 ? field : field.slice(0, at)).toLowerCase();
    if (!keys.includes(key)) fail(`unexpected key '${key}' in '${field}'`, didYouMean(key, keys));
    if (at < 0 && !flagKeys.includes(key)) fail(`invalid field '${field}' must be a key=value pair`);
    const value = at < 0 ? "true" : field.slice(at + 1);
    fields.set(aliases[key] ?? key, key === "from" || key === "type" ? value : expand(value));
  }
  const number = (key: string, fallback: number, radix = 10): number => {
    const value = fields.get(key);
    if (value === undefined) return fallback;
    if (!(radix === 8 ? /^[0-7]+$/ : /^\d+$/).test(value)) fail(`invalid value ${value} for ${key}`);
    return Number.parseInt(value, radix);
  };
  const flag = (key: string): boolean => {
    const value = fields.get(key) ?? "false";
    if (!/^(true|false|1|0)$/i.test(value)) fail(`invalid value for ${key}: ${value}`);
    return /^(true|1)$/i.test(value);
  };
  const target = fields.get("target");
  const place = (): string => {
    if (!target) return fail("target is required in mount");
    if (resolve(target) === "/") return fail('invalid mount target "/"');
    return resolve(target);
  };
  const owner = { uid: number("uid", 0), gid: number("gid", 0) };
  const writable = fields.has("readwrite") ? flag("readwrite") : flag("rw");

  const type = fields.get("type") ?? "bind";
  switch (type) {
    case "bind":
      return {
        type,
        target: place(),
        source: fields.get("source") ?? "/",
        from: fields.get("from"),
        writable,
      };
    case "cache": {
      const sharing = fields.get("sharing") ?? "shared";
      if (sharing !== "shared" && sharing !== "private" && sharing !== "locked") {
        return fail(`unsupported sharing value ${JSON.stringify(sharing)}`);
      }
      return {
        type,
        target: place(),
        id: fields.get("id") ?? place(),
        readonly: flag("readonly"),
        sharing,
        mode: number("mode", 0o755, 8),
        from: fields.get("from"),
        source: fields.get("source") ?? "/",
        ...owner,
      };
    }
    case "tmpfs": {
      const size = fields.get("size");
      return { type, target: place(), size: size === undefined ? undefined : parseSize(size) };
    }
    case "secret": {
      const env = fields.get("env");
      const id =
        fields.get("id") ?? target?.split("/").at(-1) ?? fail("either id or target must be set for a secret");
      const path = target ?? (env === undefined ? `/run/secrets/${id}` : undefined);
      return {
        type,
        id,
        env,
        target: path === undefined ? undefined : resolve(path),
        required: flag("required"),
        mode: number("mode", 0o400, 8),
        ...owner,
      };
    }
    case "ssh":
      return {
        type,
        id: fields.get("id") || "default",
        target: target === undefined ? undefined : place(),
        required: flag("required"),
        mode: number("mode", 0o600, 8),
        ...owner,
      };
    default:
      return fail(`unsupported mount type ${JSON.stringify(type)}`, didYouMean(type, types));
  }
}
