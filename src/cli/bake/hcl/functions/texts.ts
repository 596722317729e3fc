import { posix } from "node:path";
import type { Value } from "../types.ts";
import { toText, ValueError } from "../value.ts";
import { fixed, type HclFunction, variadic } from "./define.ts";
import { format, formatList } from "./format.ts";

const text = (run: (text: string) => Value) => fixed(["string"], run);
const segmenter = new Intl.Segmenter();
/** What people see as letters, as HCL counts them. */
const graphemes = (value: string): string[] => [...segmenter.segment(value)].map(({ segment }) => segment);
const escaped = (set: string) => set.replace(/[\]\\^-]/g, "\\$&");
const trimSet = (value: string, set: string) =>
  set === "" ? value : value.replace(new RegExp(`^[${escaped(set)}]+|[${escaped(set)}]+$`, "gu"), "");

export const texts: Record<string, HclFunction> = {
  basename: text((path) => posix.basename(path) || (path === "" ? "." : "/")),
  byteslen: text((value) => Buffer.byteLength(value)),
  chomp: text((value) => value.replace(/(?:\r?\n)+$/, "")),
  dirname: text((path) => posix.dirname(path)),
  format: variadic(["string"], "any", format),
  formatlist: variadic(["string"], "any", formatList),
  indent: fixed(["whole", "string"], (spaces, value) => value.replaceAll("\n", `\n${" ".repeat(spaces)}`)),
  join: variadic(["string"], "strings", (separator, ...lists) => lists.flat().join(separator)),
  lower: text((value) => value.toLowerCase()),
  regex: fixed(["string", "string"], (pattern, value) => {
    const match = expression(pattern).exec(value);
    if (!match) throw new ValueError("the pattern matches nothing in the text");
    return captured(match);
  }),
  regexall: fixed(["string", "string"], (pattern, value) =>
    [...value.matchAll(expression(pattern, "g"))].map(captured),
  ),
  regex_replace: fixed(["string", "string", "string"], (value, pattern, by) =>
    value.replace(expression(pattern, "g"), by.replace(/\$\{(\w+)\}/g, named)),
  ),
  replace: fixed(["string", "string", "string"], (value, part, by) => value.replaceAll(part, () => by)),
  reverse: text((value) => graphemes(value).reverse().join("")),
  sanitize: text((value) => value.replace(/[^a-zA-Z0-9_-]/g, "_")),
  split: fixed(["string", "string"], (separator, value) => value.split(separator)),
  strlen: text((value) => graphemes(value).length),
  substr: fixed(["string", "whole", "whole"], (value, offset, length) => {
    const all = graphemes(value);
    const start = offset < 0 ? Math.max(0, all.length + offset) : offset;
    return all.slice(start, length < 0 ? undefined : start + length).join("");
  }),
  title: text((value) => value.replace(/(^|[^\p{L}\p{N}_'])(\p{Ll})/gu, (_, a, b) => a + b.toUpperCase())),
  trim: fixed(["string", "string"], trimSet),
  trimprefix: fixed(["string", "string"], (value, prefix) =>
    value.startsWith(prefix) ? value.slice(prefix.length) : value,
  ),
  trimspace: text((value) => value.trim()),
  trimsuffix: fixed(["string", "string"], (value, suffix) =>
    suffix !== "" && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value,
  ),
  upper: text((value) => value.toUpperCase()),
};

const named = (_: string, name: string) => (/^\d+$/.test(name) ? `$${name}` : `$<${name}>`);

/** Go's patterns in the browser's words. @throws ValueError */
export function expression(pattern: string, flags = ""): RegExp {
  const inline = /^\(\?([ims]+)\)/.exec(pattern);
  const source = pattern.slice(inline?.[0].length ?? 0).replaceAll("(?P<", "(?<");
  try {
    return new RegExp(source, `u${flags}${inline?.[1] ?? ""}`);
  } catch (error) {
    throw new ValueError(`invalid pattern: ${(error as SyntaxError).message}`);
  }
}

/** The whole match, or its groups: by name when they have names. */
function captured(match: RegExpExecArray | RegExpMatchArray): Value {
  if (match.groups)
    return Object.fromEntries(Object.entries(match.groups).map(([name, value]) => [name, value ?? null]));
  return match.length === 1 ? toText(match[0]!) : match.slice(1).map((value) => value ?? null);
}
