/** Images to measure with, as docker archives made of this machine's own files. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must } from "./engine.ts";

/** A Debian image's worth of files (bytes), of the kinds that one has: programs, libraries, data and texts. */
const imageSize = 180_000_000;
const sources = [
  "/usr/share/perl",
  "/usr/lib/python3",
  "/usr/share/doc",
  "/usr/bin",
  "/usr/lib/x86_64-linux-gnu",
];
/** What each source may give, so that all kinds are there (bytes). */
const share = imageSize / sources.length;

/** An archive with one layer of 180 MB. Each name's image has layers of its own, and shares nothing with others. */
export function largeImage(directory: string, name: string): string {
  return archive(directory, name, [files(imageSize)]);
}

/** An archive with 40 layers of a megabyte each. */
export function layeredImage(directory: string, name: string): string {
  const all = files(40_000_000, 1_000_000);
  const layers = Array.from({ length: 40 }, (_, n) => all.filter((__, at) => at % 40 === n));
  return archive(directory, name, layers);
}

/** An archive with `count` layers of random bytes, `size` in all. */
export function largestImage(directory: string, name: string, size: number, count: number): string {
  const contents = Array.from({ length: count }, (_, n) => {
    const path = join(directory, `random-${n}`);
    writeFileSync(path, incompressible(size / count));
    return [path];
  });
  try {
    return archive(directory, name, contents);
  } finally {
    for (const [path] of contents) rmSync(path!);
  }
}

export function incompressible(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1 << 16) crypto.getRandomValues(bytes.subarray(at, at + (1 << 16)));
  return bytes;
}

/** An archive with many small images, `bench-many:1` and so on, on one layer. */
export function manyImages(directory: string, count: number): string {
  const work = freshDirectory(directory, "many");
  const { layer, diffId } = packLayer(work, "layer.tar", ["/etc/hostname"]);
  const manifest = Array.from({ length: count }, (_, n) => ({
    ...describe(work, `config-${n}.json`, [diffId], [layer]),
    RepoTags: [`bench-many:${n}`],
  }));
  return close(work, manifest);
}

function archive(directory: string, name: string, contents: string[][]): string {
  const work = freshDirectory(directory, name.replace(":", "-"));
  const own = join(work, "own");
  writeFileSync(own, name);
  const packed = contents.map((paths, n) => packLayer(work, `layer-${n}.tar`, [own, ...paths]));
  const config = describe(
    work,
    "config.json",
    packed.map(({ diffId }) => diffId),
    packed.map(({ layer }) => layer),
  );
  return close(work, [{ ...config, RepoTags: [name] }]);
}

function freshDirectory(directory: string, name: string): string {
  const work = join(directory, `archive-${name}`);
  mkdirSync(work, { recursive: true });
  return work;
}

function packLayer(work: string, layer: string, paths: string[]): { layer: string; diffId: string } {
  writeFileSync(join(work, "list"), paths.join("\n"));
  must([
    "tar",
    "-C",
    "/",
    "-cf",
    join(work, layer),
    "--no-recursion",
    "-P",
    "--files-from",
    join(work, "list"),
  ]);
  return { layer, diffId: `sha256:${must(["sha256sum", join(work, layer)]).split(" ")[0]}` };
}

/** Writes a config; `n` in its name makes each image another one. */
function describe(work: string, file: string, diffIds: string[], layers: string[]) {
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Cmd: ["true"], Labels: { file } },
    rootfs: { type: "layers", diff_ids: diffIds },
    history: diffIds.map(() => ({ created: "2026-01-01T00:00:00Z", created_by: "bench" })),
    created: "2026-01-01T00:00:00Z",
  };
  writeFileSync(join(work, file), JSON.stringify(config));
  return { Config: file, Layers: layers };
}

function close(work: string, manifest: object[]): string {
  writeFileSync(join(work, "manifest.json"), JSON.stringify(manifest));
  const names = readdirSync(work).filter((name) => name !== "list" && name !== "own");
  must(["tar", "-C", work, "-cf", `${work}.tar`, ...names]);
  must(["rm", "-rf", work]);
  return `${work}.tar`;
}

/** Paths of ordinary files that make `size` bytes together, none larger than `largest`. */
function files(size: number, largest = 20_000_000): string[] {
  const found: string[] = [];
  for (const source of sources) {
    let left = Math.min(share, size / sources.length);
    for (const line of must(["find", source, "-type", "f", "-printf", "%s %p\\n"]).split("\n")) {
      const space = line.indexOf(" ");
      const bytes = Number(line.slice(0, space));
      if (bytes > Math.min(left, largest)) continue;
      found.push(line.slice(space + 1));
      left -= bytes;
    }
  }
  return found;
}
