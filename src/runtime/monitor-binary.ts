/** The monitor's executable: built by script/build-monitor, embedded into the single-file executable. */
import { createHash } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import embedded from "../../dist/gantry-monitor" with { type: "file" };
import { Unavailable } from "../lib/errors.ts";

/**
 * Puts the monitor below `directory` under a name of its content, and returns the path. An embedded file has no
 * path that the kernel can execute, and one in a checkout may be rebuilt while containers run on it.
 * @throws Unavailable when nothing can be executed from there
 */
export function installMonitor(directory: string): string {
  const content = readFileSync(embedded);
  const path = join(directory, `monitor-${createHash("sha256").update(content).digest("hex").slice(0, 16)}`);
  if (!existsSync(path)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, content, { mode: 0o755 });
    chmodSync(unfinished, 0o755); // whatever the umask is: containers run it as their init
    renameSync(unfinished, path);
  }
  try {
    accessSync(path, constants.X_OK); // says no to root too when the mount is noexec
  } catch (cause) {
    throw new Unavailable(
      `the container monitor can't be executed from ${directory}: is it mounted noexec?`,
      { cause },
    );
  }
  return path;
}
