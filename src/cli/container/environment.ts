/** `-e` and `--env-file`, labels from files. */
import { InvalidParameter } from "../../lib/errors.ts";
import { fs } from "../../lib/lazy-fs.ts";

type Environment = Record<string, string | undefined>;

/** `NAME=value` of files and flags in this order; a bare name passes the client's own value on, or nothing. */
export function readEnvironment(
  files: readonly string[],
  values: readonly string[],
  env: Environment,
): string[] {
  const fromFiles = files.flatMap((file) => readLines(file, "environment"));
  return [...fromFiles, ...values].flatMap((entry) => {
    if (entry.startsWith("=") || entry === "")
      throw new InvalidParameter(`invalid environment variable: ${entry}`);
    if (entry.includes("=")) return [entry];
    const value = env[entry];
    return value === undefined ? [] : [`${entry}=${value}`];
  });
}

/** `key=value` of files; as with Docker a key alone is no label there. */
export function readLabelFiles(files: readonly string[]): string[] {
  return files.flatMap((file) => readLines(file, "label")).filter((line) => line.includes("="));
}

/** Lines of `key=value`; `#` begins a comment line. @throws InvalidParameter */
function readLines(file: string, what: string): string[] {
  let text: string;
  try {
    text = fs().readFileSync(file, "utf8");
  } catch (error) {
    throw new InvalidParameter(`open ${file}: no such file or directory`, { cause: error });
  }
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of lines) {
    const name = line.split("=", 1)[0]!;
    if (name === "")
      throw new InvalidParameter(`invalid ${what} file (${file}): no variable name on line '${line}'`);
    if (/\s/.test(name))
      throw new InvalidParameter(`invalid ${what} file (${file}): variable '${name}' contains whitespaces`);
  }
  return lines;
}
