/** What programs are made of, where their compilers have noted it in them. */
import { inflateSync } from "node:zlib";
import * as v from "valibot";
import { elfSections } from "./elf.ts";
import { purl } from "./purl.ts";
import type { FoundPackage } from "./types.ts";

/** Of Go from 1.18 on, and of cargo-auditable. */
const goSection = ".go.buildinfo";
const cargoSection = ".dep-v0";
const maxList = 16 << 20;

/** @param fd a file, open for reading */
export function binaryPackages(fd: number): FoundPackage[] {
  const sections = elfSections(fd, [goSection, cargoSection]);
  const go = sections?.get(goSection);
  const cargo = sections?.get(cargoSection);
  return [...(go ? goPackages(go) : []), ...(cargo ? cargoPackages(cargo) : [])];
}

const goMagic = Buffer.from("\xff Go buildinf:", "latin1");
/** The strings are in the section itself; before 1.18 there were pointers to them. */
const inlineStrings = 2;
const goHeader = 32;
/** Sixteen bytes before and after the list of modules, by which the Go runtime finds it in memory. */
const goSentinel = 16;

/** The modules of a Go program, and its standard library (`go version -m`; debug/buildinfo). */
export function goPackages(section: Buffer): FoundPackage[] {
  if (!section.subarray(0, goMagic.length).equals(goMagic) || !((section[15] ?? 0) & inlineStrings))
    return [];
  const [version, next] = goString(section, goHeader);
  const [framed] = goString(section, next);
  const modules = framed.subarray(goSentinel, -goSentinel).toString("utf8");
  const release = /^go(\d[^\s]*)/.exec(version.toString("utf8"))?.[1];
  const found: FoundPackage[] = [];
  if (release) found.push(goModule("stdlib", release));
  for (const line of modules.split("\n")) {
    const [kind, path, at] = line.split("\t");
    if (!path || !at) continue;
    // What was put in place of a module is what is there.
    if (kind === "=>") found.pop();
    if (kind === "dep" || kind === "mod" || kind === "=>") found.push(goModule(path, at));
  }
  // Built from a working tree: it has no version.
  return found.filter((one) => one.version !== "(devel)");
}

function goModule(path: string, version: string): FoundPackage {
  const cut = path.lastIndexOf("/");
  const namespace = cut < 0 ? undefined : path.slice(0, cut);
  return { name: path, version, purl: purl("golang", path.slice(cut + 1), version, namespace) };
}

/** A length as LEB128, and so many bytes. */
function goString(section: Buffer, from: number): [Buffer, number] {
  let length = 0;
  let at = from;
  for (let shift = 0; at < section.length && shift < 35; shift += 7) {
    const byte = section[at++]!;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return [section.subarray(at, at + length), at + length];
}

const cargoSchema = v.object({
  packages: v.array(v.object({ name: v.string(), version: v.string(), kind: v.optional(v.string()) })),
});

/** https://github.com/rust-secure-code/cargo-auditable, `cargo-auditable.schema.json`, compressed by zlib. */
export function cargoPackages(section: Buffer): FoundPackage[] {
  let list: unknown;
  try {
    list = JSON.parse(inflateSync(section, { maxOutputLength: maxList }).toString("utf8"));
  } catch {
    return [];
  }
  const parsed = v.safeParse(cargoSchema, list);
  if (!parsed.success) return [];
  return parsed.output.packages.flatMap(({ name, version, kind }) =>
    // What only built it is not in it.
    kind === "build" ? [] : [{ name, version, purl: purl("cargo", name, version) }],
  );
}
