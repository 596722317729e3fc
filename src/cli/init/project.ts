/** What `gantry init` looks at and what it writes, free of disks and terminals. */

/** The project's folder. Paths are relative to it, with `/`. */
export interface Folder {
  /** Its own name, for images and services. */
  readonly name: string;
  has(path: string): boolean;
  /** A text file; undefined: not there, or not a file of sensible size. */
  read(path: string): string | undefined;
  /** Names in a directory of it; empty when there is none. */
  names(path?: string): string[];
}

export interface Plan {
  /** As `--kind` names it. */
  kind: string;
  /** What was found that decides, a sentence each. */
  because: string[];
  dockerfile: string;
  /** Lines for `.dockerignore` besides those that every project gets. */
  ignore: string[];
  /** The port the application listens on; undefined: it serves nothing. */
  port: number | undefined;
  /** Environment of the service in Compose. */
  environment?: Record<string, string>;
}

export interface Kind {
  name: string;
  /** A plan when the folder holds such a project. */
  plan(folder: Folder, options: { port?: number }): Plan | undefined;
}

/** A JSON file's object; undefined when it is not there or is none. */
export function readJson(folder: Folder, path: string): Record<string, unknown> | undefined {
  const text = folder.read(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The texts of an object's fields, other values left out. */
export function texts(value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((entry) => typeof entry[1] === "string"));
}

/** The first version number in a text, to `parts` numbers: `>=20.1` to 1 part is `20`. */
export function versionIn(text: string | undefined, parts: number): string | undefined {
  const found = /\d+(?:\.\d+)*/.exec(text ?? "")?.[0];
  return found?.split(".").slice(0, parts).join(".");
}

/** Exec form: each word quoted. */
export const execForm = (words: readonly string[]) =>
  `[${words.map((word) => JSON.stringify(word)).join(", ")}]`;
