/** RPM's database in SQLite: Fedora 33, RHEL 9 and their like, and later. */
import { Database } from "bun:sqlite";
import { purl } from "./purl.ts";
import type { FoundPackage } from "./types.ts";

/** The table as rpm makes it (lib/backend/sqlite.c); a file with another one is somebody's trap. */
const table =
  /^CREATE TABLE '?Packages'? ?\(\s*hnum INTEGER PRIMARY KEY AUTOINCREMENT,\s*blob BLOB NOT NULL\s*\)$/;
const maxPackages = 50_000;
const maxHeader = 16 << 20;

/** @param file rpmdb.sqlite, whole; it is changed */
export function rpmPackages(file: Uint8Array, distribution = "redhat"): FoundPackage[] {
  if (file.length < 100) return [];
  // Written with a log beside it (format versions 2): in memory there is none.
  file[18] = file[19] = 1;
  const found: FoundPackage[] = [];
  try {
    using database = Database.deserialize(file, { readonly: true });
    const made = database
      .query("SELECT sql FROM sqlite_master WHERE name = 'Packages' AND type = 'table'")
      .get();
    if (!table.test((made as { sql: string } | null)?.sql ?? "")) return [];
    const rows = database.query<{ blob: Uint8Array }, [number, number]>(
      "SELECT blob FROM Packages WHERE length(blob) < ? LIMIT ?",
    );
    for (const { blob } of rows.iterate(maxHeader, maxPackages)) {
      const one = rpmPackage(Buffer.from(blob), distribution);
      if (one) found.push(one);
    }
  } catch {
    // A file that SQLite can't read; what was read before counts.
  }
  return found;
}

/** Tags and types of rpm's headers (include/rpm/rpmtag.h). */
const tags = { name: 1000, version: 1001, release: 1002, epoch: 1003, license: 1014, arch: 1022 } as const;
const int32 = 4;
const string = 6;
const indexEntry = 16;

/** A header as the database keeps it: lengths of index and data, an index of tags, the data (docs/manual/format_header). */
export function rpmPackage(blob: Buffer, distribution = "redhat"): FoundPackage | undefined {
  if (blob.length < 8) return undefined;
  const count = blob.readUInt32BE(0);
  const data = 8 + count * indexEntry;
  if (data > blob.length) return undefined;
  const values = new Map<number, string>();
  for (let i = 0; i < count; i++) {
    const at = 8 + i * indexEntry;
    const type = blob.readUInt32BE(at + 4);
    const from = data + blob.readUInt32BE(at + 8);
    const end = type === string ? blob.indexOf(0, from) : from + 4;
    if (end < 0 || end > blob.length) continue;
    if (type === string) values.set(blob.readUInt32BE(at), blob.toString("utf8", from, end));
    else if (type === int32) values.set(blob.readUInt32BE(at), `${blob.readUInt32BE(from)}`);
  }
  const field = (tag: keyof typeof tags) => values.get(tags[tag]);
  const [name, release, epoch, arch] = [field("name"), field("release"), field("epoch"), field("arch")];
  // Keys that packages were checked with are kept among them.
  if (!name || !field("version") || !release || name === "gpg-pubkey") return undefined;
  const version = `${field("version")}-${release}`;
  return {
    name,
    version: epoch === undefined ? version : `${epoch}:${version}`,
    license: field("license"),
    purl: purl("rpm", name, version, distribution, { arch, epoch }),
  };
}
