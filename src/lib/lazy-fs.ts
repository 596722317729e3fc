/**
 * node:fs takes 1 ms to load, a seventh of what `ps` takes in all. The client's commands load it when they need it,
 * which is never or while the engine works.
 */
export function fs(): typeof import("node:fs") {
  return require("node:fs") as typeof import("node:fs");
}

/** The text of a file; undefined where there is none, it is empty or can't be read. Free where there is none. */
export function textIfAny(path: string): string | undefined {
  if (Bun.file(path).size === 0) return undefined;
  try {
    return fs().readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
