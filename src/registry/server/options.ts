/** What `gantry registry serve` can be told, as flags and in its configuration file. */
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { parseMilliseconds } from "../../lib/duration.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import { parseSize } from "../../lib/units.ts";
import { parseRate } from "./rate-limit.ts";

/** A checked text that a function of ours turns into a value. */
const parsed = <T>(read: (text: string) => T) =>
  v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return read(dataset.value);
      } catch (error) {
        addIssue({ message: messageOf(error) });
        return NEVER;
      }
    }),
  );
const duration = parsed(parseMilliseconds);
const rate = parsed(parseRate);
const text = v.pipe(v.string(), v.minLength(1));
const actions = v.array(v.picklist(["pull", "push", "delete"]));
/** What a quoted string of HTTP may hold without escapes (distribution-spec, "Warnings"). */
const warning = v.pipe(v.string(), v.regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,500}$/, "invalid warning text"));

const schema = v.strictObject({
  addr: v.optional(text, "127.0.0.1:5000"),
  root: v.optional(text, "/var/lib/gantry/registry"),
  storage: v.optional(v.pipe(v.string(), v.regex(/^s3:\/\/[^/]+(\/.*)?$/, "use s3://BUCKET/PREFIX"))),
  "tls-cert": v.optional(text),
  "tls-key": v.optional(text),
  "allow-insecure-http": v.optional(v.boolean(), false),
  "debug-addr": v.optional(text),
  "trusted-proxies": v.optional(text),
  "shutdown-grace": v.optional(duration, "10s"),
  "read-only": v.optional(v.boolean(), false),
  warning: v.optional(warning),
  htpasswd: v.optional(text),
  "anonymous-pull": v.optional(v.boolean(), false),
  token: v.optional(
    v.union([
      v.boolean(),
      v.strictObject({
        realm: v.optional(v.pipe(v.string(), v.url())),
        service: v.optional(text),
        issuer: v.optional(text),
        keys: v.optional(text),
        "signing-key": v.optional(text),
      }),
    ]),
    false,
  ),
  access: v.optional(
    v.array(
      v.strictObject({
        prefix: v.string(),
        users: v.optional(v.record(v.string(), actions), {}),
        anonymous: v.optional(actions, []),
      }),
    ),
  ),
  "limit-pulls": v.optional(rate),
  "limit-requests": v.optional(rate),
  "gc-interval": v.optional(duration, "0"),
  "gc-grace": v.optional(duration, "24h"),
  "gc-untagged": v.optional(v.boolean(), false),
  "upload-age": v.optional(duration, "24h"),
  proxy: v.optional(v.pipe(v.string(), v.url(), v.regex(/^https?:\/\/[^/@]+\/?$/, "use https://HOST"))),
  "proxy-ttl": v.optional(duration, "5m"),
  "proxy-max-size": v.optional(parsed(parseSize)),
  "proxy-username": v.optional(text),
  "proxy-password-file": v.optional(text),
});

/** Durations in ms; names as in the file and as flags. */
export type RegistryOptions = v.InferOutput<typeof schema>;
export type RegistrySettings = v.InferInput<typeof schema>;

/** @throws InvalidParameter */
export function parseOptions(settings: RegistrySettings): RegistryOptions {
  const result = v.safeParse(schema, settings);
  if (result.success) return result.output;
  throw wrong(result.issues[0]);
}

/**
 * Settings of a YAML or JSON file, with the names that the flags have; `flags` win over them. Checked by
 * `parseOptions` when they are used.
 * @throws InvalidParameter
 */
export async function readSettings(flags: RegistrySettings, path?: string): Promise<RegistrySettings> {
  if (path === undefined) return flags;
  // The engine loads this layer too, and never reads such a file.
  const { parse } = await import("yaml");
  let content: unknown;
  try {
    content = parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new InvalidParameter(`${path}: ${messageOf(error)}`, { cause: error });
  }
  const result = v.safeParse(schema, content ?? {});
  if (!result.success) throw wrong(result.issues[0], path);
  // What the file says and not what it comes to, so that the defaults are filled in once, after the flags.
  return { ...(content as RegistrySettings | null), ...flags };
}

function wrong(issue: v.BaseIssue<unknown>, source?: string): InvalidParameter {
  const where = [source, v.getDotPath(issue)].filter((part) => part);
  return new InvalidParameter([...where, issue.message].join(": "));
}
