/** What packages are in an image's files, as package managers have noted them. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, type Stats } from "node:fs";
import { join } from "node:path";
import { resolveInside } from "../files/inside.ts";
import { binaryPackages } from "./binaries.ts";
import { purl } from "./purl.ts";
import { rpmPackages } from "./rpm.ts";
import type { FoundPackage } from "./types.ts";

/** Larger lists are no lists of packages. */
const maxFile = 128 << 20;
const rpmDatabases = ["usr/lib/sysimage/rpm/rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite"];
/** Directories that are looked into, and how deep; an image that has more is listed as far as that. */
const maxDirectories = 200_000;
const maxDepth = 40;
/** Directories between two turns of the rest of the daemon. */
const turn = 200;

/**
 * dpkg, apk, rpm, Python's dist-info, Node's package.json, and what Go's and Rust's programs say of themselves. Links
 * are followed inside the root only.
 * @param root the image's files, mounted and left alone meanwhile
 */
export async function scanPackages(root: string, signal: AbortSignal): Promise<FoundPackage[]> {
  const distribution = osRelease(read(root, "etc/os-release") ?? read(root, "usr/lib/os-release") ?? "");
  const found = [
    ...dpkgPackages(read(root, "var/lib/dpkg/status") ?? "", distribution),
    ...names(root, "var/lib/dpkg/status.d").flatMap((name) =>
      dpkgPackages(read(root, `var/lib/dpkg/status.d/${name}`) ?? "", distribution),
    ),
    ...apkPackages(read(root, "lib/apk/db/installed") ?? "", distribution),
    ...rpmDatabases.flatMap((path) => rpmPackages(readBytes(root, path) ?? new Uint8Array(0), distribution)),
  ];
  for await (const path of files(root, signal)) {
    if (!isManifest(path)) {
      found.push(...programPackages(root, path));
      continue;
    }
    const text = read(root, path);
    const one = text && (path.endsWith("package.json") ? nodePackage(text) : pythonPackage(text));
    if (one) found.push(one);
  }
  const unique = new Map(found.map((one) => [one.purl, one]));
  return [...unique.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1));
}

/** Paths of all regular files. */
async function* files(root: string, signal: AbortSignal): AsyncGenerator<string> {
  const waiting: { path: string; depth: number }[] = [{ path: "", depth: 0 }];
  let seen = 0;
  for (let at = waiting.pop(); at && seen < maxDirectories; at = waiting.pop()) {
    if (++seen % turn === 0) await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    const { path, depth } = at;
    if (depth > maxDepth) continue;
    for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
      const inside = path === "" ? entry.name : `${path}/${entry.name}`;
      if (entry.isDirectory()) waiting.push({ path: inside, depth: depth + 1 });
      else if (entry.isFile()) yield inside;
    }
  }
}

const isManifest = (path: string) =>
  /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+\/package\.json$/.test(path) ||
  /\.dist-info\/METADATA$|\.egg-info\/PKG-INFO$/.test(path);

function names(root: string, path: string): string[] {
  const real = resolveInside(root, path);
  if (real === undefined) return [];
  try {
    return readdirSync(join(root, real)).sort();
  } catch {
    return [];
  }
}

/** Those of a file that may be run. */
function programPackages(root: string, path: string): FoundPackage[] {
  return withFile(root, path, (fd, stat) => (stat.mode & 0o111 ? binaryPackages(fd) : [])) ?? [];
}

/** A regular file's text; undefined for anything else, and for what is too long. */
function read(root: string, path: string): string | undefined {
  return withFile(root, path, (fd, stat) => (stat.size <= maxFile ? readFileSync(fd, "utf8") : undefined));
}

function readBytes(root: string, path: string): Uint8Array | undefined {
  return withFile(root, path, (fd, stat) => (stat.size <= maxFile ? readFileSync(fd) : undefined));
}

function withFile<T>(root: string, path: string, use: (fd: number, stat: Stats) => T): T | undefined {
  const real = resolveInside(root, path);
  if (real === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(join(root, real), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    return stat.isFile() ? use(fd, stat) : undefined;
  } finally {
    closeSync(fd);
  }
}

function osRelease(text: string): string | undefined {
  return /^ID="?([a-z0-9._-]+)"?$/m.exec(text)?.[1];
}

/** RFC 822 paragraphs, one a package. */
export function dpkgPackages(text: string, distribution = "debian"): FoundPackage[] {
  return text.split(/\n\n+/).flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}: *(.+)$`, "m").exec(paragraph)?.[1];
    const [name, version, status] = [field("Package"), field("Version"), field("Status")];
    if (!name || !version || (status !== undefined && !status.endsWith(" installed"))) return [];
    return [
      { name, version, purl: purl("deb", name, version, distribution, { arch: field("Architecture") }) },
    ];
  });
}

/** Paragraphs of one-letter fields (apk-tools, "installed"). */
export function apkPackages(text: string, distribution = "alpine"): FoundPackage[] {
  return text.split(/\n\n+/).flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}:(.+)$`, "m").exec(paragraph)?.[1];
    const [name, version] = [field("P"), field("V")];
    if (!name || !version) return [];
    return [
      {
        name,
        version,
        license: field("L"),
        purl: purl("apk", name, version, distribution, { arch: field("A") }),
      },
    ];
  });
}

function pythonPackage(text: string): FoundPackage | undefined {
  const head = text.split(/\r?\n\r?\n/, 1)[0]!;
  const field = (name: string) => new RegExp(`^${name}: *(.+)$`, "m").exec(head)?.[1]?.trim();
  const [name, version] = [field("Name"), field("Version")];
  if (!name || !version) return undefined;
  const normal = name.toLowerCase().replace(/[-_.]+/g, "-");
  return { name, version, license: field("License-Expression"), purl: purl("pypi", normal, version) };
}

function nodePackage(text: string): FoundPackage | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { name, version, license } = (json ?? {}) as Record<string, unknown>;
  if (typeof name !== "string" || typeof version !== "string" || !name || !version) return undefined;
  const [scope, bare] = name.startsWith("@") ? name.split("/", 2) : [undefined, name];
  return {
    name,
    version,
    license: typeof license === "string" ? license : undefined,
    purl: purl("npm", bare ?? name, version, bare === undefined ? undefined : scope),
  };
}
