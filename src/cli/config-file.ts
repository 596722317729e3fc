/** Changes to `config.json`: fields that this client doesn't know stay as they are. */
import { mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { CliContext, ConfigFile } from "./context.ts";

/** Writes the configuration with a change, whole or not at all. */
export function changeConfig(context: CliContext, change: (config: ConfigFile) => ConfigFile): void {
  const config = change(context.config);
  const path = realOf(`${context.configDir}/config.json`);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const partial = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(partial, `${JSON.stringify(config, undefined, "\t")}\n`, { mode: 0o600 });
    renameSync(partial, path);
  } finally {
    rmSync(partial, { force: true });
  }
}

/** A configuration that is a link stays one. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // There is none yet.
    return path;
  }
}
