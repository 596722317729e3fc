/** Which files define a build, and what they have in them. */
import { existsSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { NotFound } from "../../lib/errors.ts";
import { blockTypes } from "./bakefile.ts";
import { parseHcl } from "./hcl/body.ts";
import { parseJson } from "./hcl/json.ts";
import type { Body } from "./hcl/types.ts";

/** Later ones over earlier ones. */
const defaultNames = [
  "compose.yaml",
  "compose.yml",
  "docker-compose.yml",
  "docker-compose.yaml",
  "docker-bake.json",
  "docker-bake.hcl",
  "docker-bake.override.json",
  "docker-bake.override.hcl",
];

export interface Sources {
  /** Of files in HCL and JSON. */
  bodies: Body[];
  /** Absolute paths of Compose files, or `-`. */
  composeFiles: string[];
  /** What was read from standard input. */
  stdin?: string;
}

/**
 * @param given `-f`, `-` for standard input; none: those of the directory
 * @throws NotFound, HclError
 */
export async function readSources(
  given: readonly string[],
  cwd: string,
  stdin: () => Promise<string>,
): Promise<Sources> {
  const names = given.length > 0 ? given : defaultNames.filter((name) => existsSync(resolve(cwd, name)));
  if (names.length === 0) throw new NotFound("couldn't find a bake definition");
  const sources: Sources = { bodies: [], composeFiles: [] };
  for (const name of names) {
    const path = resolve(cwd, name);
    const text = name === "-" ? await stdin() : readText(path, name);
    if (name === "-") sources.stdin = text;
    if (isCompose(name, text)) sources.composeFiles.push(name === "-" ? name : path);
    else sources.bodies.push(parse(name, text));
  }
  return sources;
}

function readText(path: string, name: string): string {
  if (!existsSync(path)) throw new NotFound(`open ${name}: no such file or directory`);
  return readFileSync(path, "utf8");
}

/** By the name's end; other names are told by how the text begins. */
function isCompose(name: string, text: string): boolean {
  if (/\.(?:hcl|json)$/.test(name)) return false;
  return /\.ya?ml$/.test(name) || /^(?:services|name|version)\s*:/m.test(text);
}

function parse(name: string, text: string): Body {
  const shown = name === "-" ? "-" : basename(name);
  if (name.endsWith(".json")) return parseJson(text, shown, blockTypes);
  if (name.endsWith(".hcl")) return parseHcl(text, shown);
  if (/^\s*\{/.test(text)) return parseJson(text, shown, blockTypes);
  return parseHcl(text, shown);
}
