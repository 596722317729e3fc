/** Makes one tree what another one is, touching only what differs: the layer that is written is the difference. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, type Stats } from "node:fs";
import { join, posix } from "node:path";
import { Breather } from "./breather.ts";
import { copySelections } from "./copy.ts";
import { SourceTree } from "./tree.ts";

/** @throws the signal's reason */
export async function becomes(root: string, wanted: string, signal: AbortSignal): Promise<void> {
  const breather = new Breather(signal);
  const tree = new SourceTree(wanted);
  const visit = async (directory: string): Promise<void> => {
    const names = new Set(readdirSync(join(wanted, directory)));
    for (const name of readdirSync(join(root, directory)))
      if (!names.has(name)) rmSync(join(root, directory, name), { recursive: true });
    for (const name of names) {
      await breather.breathe();
      const path = posix.join(directory, name);
      const there = lstatSync(join(root, path), { throwIfNoEntry: false });
      const stat = lstatSync(join(wanted, path));
      if (there && same(join(root, path), there, join(wanted, path), stat)) {
        if (stat.isDirectory()) await visit(path);
        continue;
      }
      if (there && !(there.isDirectory() && stat.isDirectory()))
        rmSync(join(root, path), { recursive: true });
      const entry = tree.entry(path, "")!;
      const selection = stat.isDirectory()
        ? await tree.select(path, undefined, signal)
        : { name, directory: false, entries: [entry] };
      // The directory itself too: it is a directory of the selection that has it.
      const entries = selection!.entries.map((one) => ({ ...one, target: posix.join(name, one.target) }));
      await copySelections(wanted, [{ name: "", directory: true, entries }], [], root, {
        destination: `/${directory}`,
        owner: "keep",
        replace: true,
        signal,
      });
      if (there && stat.isDirectory()) await visit(path);
    }
  };
  await visit("");
}

function same(path: string, one: Stats, otherPath: string, other: Stats): boolean {
  if (one.mode !== other.mode || one.uid !== other.uid || one.gid !== other.gid) return false;
  if (one.isSymbolicLink()) return readlinkSync(path) === readlinkSync(otherPath);
  if (one.isDirectory()) return true;
  if (one.size !== other.size || one.rdev !== other.rdev || one.mtimeMs !== other.mtimeMs) return false;
  return !one.isFile() || one.ino === other.ino || readFileSync(path).equals(readFileSync(otherPath));
}
