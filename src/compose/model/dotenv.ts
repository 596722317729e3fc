/** `.env` and `env_file:` files, as Docker Compose reads them. */
import { ComposeError } from "./errors.ts";
import { interpolate, type Lookup, TemplateError } from "./interpolation.ts";

const assignment = /^\s*(?:export\s+)?([A-Za-z_][\w.\-[\]]*)\s*(?:([=:])[ \t]*|$)/;

/**
 * Reads `NAME=value` lines: comments, `export`, single quotes (literal), double quotes (escapes and variables, may
 * span lines), unquoted values with variables and ` #` comments. A name without `=` takes its value from `lookup`,
 * and is left out when that has none.
 * @param raw true for `format: raw`: each value is what stands behind `=`, quotes and dollars included
 * @throws ComposeError with the line of a malformed entry
 */
export function parseDotenv(text: string, file: string, lookup: Lookup, raw = false): Record<string, string> {
  const result: Record<string, string> = {};
  const source = text.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const inner: Lookup = (name) => (Object.hasOwn(result, name) ? result[name] : lookup(name));
  let at = 0;

  const position = () => {
    const before = source.slice(0, at).split("\n");
    return { file, line: before.length, column: before.at(-1)!.length + 1 };
  };
  const fill = (template: string): string => {
    try {
      return interpolate(template, inner);
    } catch (error) {
      if (error instanceof TemplateError) throw ComposeError.at(position(), error.message);
      throw error;
    }
  };
  const restOfLine = (): string => {
    const end = source.indexOf("\n", at);
    return end < 0 ? source.slice(at) : source.slice(at, end);
  };

  while (at < source.length) {
    const line = restOfLine();
    if (/^\s*(#|$)/.test(line)) {
      at += line.length + 1;
      continue;
    }
    const match = assignment.exec(line);
    if (!match) {
      const problem = /^\s*(?:export\s+)?[^\s=]*\s+[^=]*=/.test(line)
        ? "key cannot contain a space"
        : `unexpected character in variable name near ${JSON.stringify(line.trim())}`;
      throw ComposeError.at(position(), problem);
    }
    const name = match[1]!;
    if (!match[2]) {
      const inherited = inner(name);
      if (inherited !== undefined) result[name] = inherited;
      at += line.length + 1;
      continue;
    }
    if (raw) {
      result[name] = line.slice(line.indexOf(match[2]) + 1);
      at += line.length + 1;
      continue;
    }
    at += match[0].length;
    const quote = source[at];
    if (quote === '"' || quote === "'") {
      const end = closingQuote(source, at, quote);
      if (end < 0)
        throw ComposeError.at(position(), `unterminated quoted value ${line.slice(match[0].length)}`);
      const body = source.slice(at + 1, end);
      result[name] = quote === "'" ? body.replaceAll("\\'", "'") : unescapeDouble(body, fill);
      at = end + 1;
      const rest = restOfLine();
      if (!/^\s*(#.*)?$/.test(rest))
        throw ComposeError.at(position(), `unexpected characters after the closing quote of ${name}`);
      at += rest.length + 1;
    } else {
      const value = restOfLine();
      result[name] = fill(value.replace(/(^|\s)#.*$/, "").trimEnd());
      at += value.length + 1;
    }
  }
  return result;
}

function closingQuote(source: string, start: number, quote: string): number {
  for (let index = start + 1; index < source.length; index++) {
    if (source[index] === "\\") index++;
    else if (source[index] === quote) return index;
  }
  return -1;
}

const escapes: Record<string, string> = {
  n: "\n",
  r: "\r",
  t: "\t",
  '"': '"',
  "\\": "\\",
  f: "\f",
  b: "\b",
  v: "\v",
};

function unescapeDouble(body: string, fill: (template: string) => string): string {
  // Escapes are opened first, but an escaped dollar has to survive the filling: it is doubled for it.
  return fill(
    body.replace(/\\([\s\S])/g, (whole, character: string) =>
      character === "$" ? "$$" : (escapes[character] ?? whole),
    ),
  );
}
