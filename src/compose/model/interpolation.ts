/** Variables in Compose files: `$NAME`, `${NAME}`, `${NAME:-default}`, `:?`, `:+` and their forms without colon, `$$`. */
import { ComposeError } from "./errors.ts";
import { mapEntries, type Node } from "./node.ts";

/** The value of a variable; undefined: not set. */
export type Lookup = (name: string) => string | undefined;

/** Why a template can't be filled. */
export class TemplateError extends Error {}

const nameStart = /[A-Za-z_]/;
const nameAt = /[A-Za-z_][A-Za-z0-9_]*/y;

/**
 * Fills a template.
 * @param onUnset called with the name of each plain `$NAME` that has no value (it becomes empty)
 * @throws TemplateError for a malformed template, or with the user's own message for `${NAME:?message}`
 */
export function interpolate(
  template: string,
  lookup: Lookup,
  onUnset: (name: string) => void = () => {},
): string {
  let at = 0;

  /** Reads to the end or to an unescaped `}`; `live` false skips without looking anything up. */
  const read = (insideBraces: boolean, live: boolean): string => {
    let result = "";
    while (at < template.length) {
      const character = template[at]!;
      if (insideBraces && character === "}") return result;
      if (character !== "$") {
        result += character;
        at++;
        continue;
      }
      const next = template[at + 1];
      if (next === "$") {
        result += "$";
        at += 2;
      } else if (next === "{") {
        at += 2;
        result += braced(live);
      } else if (next !== undefined && nameStart.test(next)) {
        at++;
        result += value(name(), live);
      } else throw new TemplateError("a $ must be followed by a name, by { or by another $");
    }
    return result;
  };

  const name = (): string => {
    nameAt.lastIndex = at;
    const found = nameAt.exec(template)?.[0];
    if (!found) throw new TemplateError("a variable's name is missing");
    at += found.length;
    return found;
  };

  const value = (variable: string, live: boolean): string => {
    if (!live) return "";
    const found = lookup(variable);
    if (found === undefined) onUnset(variable);
    return found ?? "";
  };

  const close = (): void => {
    if (template[at] !== "}") throw new TemplateError("a closing } is missing");
    at++;
  };

  const braced = (live: boolean): string => {
    const variable = name();
    const operator = /^:?[-?+]/.exec(template.slice(at, at + 2))?.[0];
    if (!operator) {
      close();
      return value(variable, live);
    }
    at += operator.length;
    const found = live ? lookup(variable) : undefined;
    const given = found !== undefined && !(operator.startsWith(":") && found === "");
    const kind = operator.at(-1);
    const argument = read(true, live && (kind === "+" ? given : !given));
    close();
    if (!live) return "";
    if (kind === "+") return given ? argument : "";
    if (given) return found;
    if (kind === "-") return argument;
    throw new TemplateError(
      `required variable ${variable} is missing a value${argument ? `: ${argument}` : ""}`,
    );
  };

  const result = read(false, true);
  return result;
}

/** A variable that a text refers to. */
export interface Variable {
  name: string;
  /** `${NAME:-fallback}` */
  fallback?: string;
  /** `${NAME:+alternate}` */
  alternate?: string;
  required: boolean;
}

/** The names used in a template, with the default that is written there. Malformed templates have none. */
export function variablesOf(template: string): Variable[] {
  const found: Variable[] = [];
  const pattern = /\$(?:\$|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\}|([A-Za-z_]\w*))/g;
  for (const match of template.matchAll(pattern)) {
    const name = match[1] ?? match[4];
    if (!name) continue;
    const operator = match[2] ?? "";
    found.push({
      name,
      fallback: operator.endsWith("-") ? match[3] : undefined,
      alternate: operator.endsWith("+") ? match[3] : undefined,
      required: operator.endsWith("?"),
    });
  }
  return found;
}

/**
 * Fills every string of a tree (keys stay as they are).
 * @throws ComposeError with the place of the malformed string
 */
export function interpolateTree(root: Node, lookup: Lookup, onUnset: (name: string) => void): Node {
  const visit = (node: Node, path: string): Node => {
    if (node.kind === "mapping")
      return mapEntries(node, (value, name) => visit(value, path ? `${path}.${name}` : name));
    if (node.kind === "sequence")
      return { ...node, items: node.items.map((item, index) => visit(item, `${path}[${index}]`)) };
    if (typeof node.value !== "string" || !node.value.includes("$")) return node;
    try {
      return { ...node, value: interpolate(node.value, lookup, onUnset), interpolated: true };
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      if (error.message.startsWith("required variable"))
        throw ComposeError.at(node.at, `error while interpolating ${path}: ${error.message}`);
      throw ComposeError.at(
        node.at,
        `invalid interpolation format for ${path}: ${JSON.stringify(node.value)}: ${error.message}`,
        "you may need to escape any $ with another $",
      );
    }
  };
  return visit(root, "");
}
