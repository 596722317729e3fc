import { basename } from "node:path";
import { ComposeError } from "./errors.ts";

/** A directory's or a user's text as a project name: lower case, without what a name can't hold. */
export function normalizeName(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^-_a-z0-9]/g, "")
    .replace(/^[_-]+/, "");
}

/** @throws ComposeError when `name` is not a valid project name */
export function checkName(name: string): string {
  if (name === "") throw ComposeError.at(undefined, "project name must not be empty", "give one with -p");
  if (normalizeName(name) !== name)
    throw ComposeError.at(
      undefined,
      `invalid project name ${JSON.stringify(name)}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
      normalizeName(name) ? `try ${JSON.stringify(normalizeName(name))}` : undefined,
    );
  return name;
}

/** The first that is given of `-p`, COMPOSE_PROJECT_NAME, the file's `name:` and the directory's name. */
export function projectName(given: {
  flag?: string;
  environment?: string;
  file?: string;
  directory: string;
}): string {
  const chosen = given.flag || given.environment || given.file;
  return checkName(chosen || normalizeName(basename(given.directory)));
}
