/** Build contexts of tests. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** @param files their contents by path @returns a new directory below `directory` that has them */
export function makeContext(directory: string, files: Record<string, string | Uint8Array>): string {
  const context = mkdtempSync(join(directory, "context-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(context, name)), { recursive: true });
    writeFileSync(join(context, name), content);
  }
  return context;
}
