/** What rpm, Go and Rust have noted: an SBOM of images that have no other list. */
import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { binaryPackages, cargoPackages, goPackages } from "./binaries.ts";
import { rpmHeaders } from "./fixture-rpm.ts";
import { rpmPackage, rpmPackages } from "./rpm.ts";
import { scanPackages } from "./scan.ts";
import type { FoundPackage } from "./types.ts";

const directory = mkdtempSync(join(tmpdir(), "gt-programs-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const purls = (packages: readonly FoundPackage[]) => packages.map(({ purl }) => purl);

function rpmDatabase(schema: string, blobs: readonly Uint8Array[]): Buffer {
  using database = new Database(":memory:");
  database.run(schema);
  for (const blob of blobs) database.run("INSERT INTO Packages (blob) VALUES (?)", [blob]);
  const file = database.serialize();
  // As rpm leaves it: made to be written with a log beside it.
  file[18] = file[19] = 2;
  return file;
}

const rpmTable = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";

describe("rpm", () => {
  test("names, versions with their epochs, architectures and licences", () => {
    expect(rpmPackages(rpmDatabase(rpmTable, rpmHeaders), "fedora")).toEqual([
      {
        name: "second",
        version: "1.2-3",
        license: "GPL-2.0-only",
        purl: "pkg:rpm/fedora/second@1.2-3?arch=x86_64",
      },
      {
        name: "hello-gantry",
        version: "1:1.2-3",
        license: "MIT AND Apache-2.0",
        purl: "pkg:rpm/fedora/hello-gantry@1.2-3?arch=noarch&epoch=1",
      },
    ]);
  });

  test("a file that is none, and a table that reckons, give nothing", () => {
    expect(rpmPackages(Buffer.from("SQLite format 3\0".padEnd(4096, "x")))).toEqual([]);
    const view = new Database(":memory:");
    view.run("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, x, blob AS (zeroblob(1000000000)))");
    view.run("INSERT INTO Packages (x) VALUES (1)");
    expect(rpmPackages(view.serialize())).toEqual([]);
    view.close();
  });

  test("any bytes are a header or none", () => {
    const [header] = rpmHeaders;
    const changes = fc.array(fc.tuple(fc.nat(header!.length - 1), fc.nat(255)), { maxLength: 20 });
    fc.assert(
      fc.property(changes, fc.nat(header!.length), (edits, length) => {
        const blob = Buffer.from(header!);
        for (const [at, byte] of edits) blob[at] = byte;
        rpmPackage(blob.subarray(0, length));
      }),
    );
  });
});

/** A section as Go's linker writes it since 1.18. */
function goSection(version: string, modules: string): Buffer {
  const framed = Buffer.concat([Buffer.alloc(16, 1), Buffer.from(modules), Buffer.alloc(16, 2)]);
  const text = (bytes: Buffer) => {
    expect(bytes.length).toBeLessThan(2 ** 14);
    const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
    return Buffer.concat([Buffer.from(length), bytes]);
  };
  const header = Buffer.alloc(32);
  header.write("\xff Go buildinf:", "latin1");
  header.set([8, 2], 14);
  return Buffer.concat([header, text(Buffer.from(version)), text(framed)]);
}

const goProgram = goSection(
  "go1.22.3",
  [
    "path\texample.com/cmd/app",
    "mod\texample.com/app\t(devel)\t",
    "dep\tgithub.com/spf13/cobra\tv1.8.0\th1:x=",
    "dep\tgolang.org/x/net\tv0.1.0",
    "=>\texample.com/fork/net\tv0.2.0\th1:y=",
    "build\t-compiler=gc",
    "",
  ].join("\n"),
);

/** The least of an ELF file with one section of this name. */
function elf(name: string, content: Buffer, wide: boolean): Buffer {
  const [header, entry] = wide ? [64, 64] : [52, 40];
  const names = Buffer.from(`\0${name}\0.shstrtab\0`);
  const namesAt = header + content.length;
  const tableAt = namesAt + names.length;
  const file = Buffer.alloc(tableAt + 3 * entry);
  const address = (value: number, at: number) =>
    wide ? file.writeBigUInt64LE(BigInt(value), at) : file.writeUInt32LE(value, at);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  address(tableAt, wide ? 40 : 32);
  for (const [i, value] of [entry, 3, 2].entries()) file.writeUInt16LE(value, (wide ? 58 : 46) + 2 * i);
  file.set(content, header);
  file.set(names, namesAt);
  const sections: [number, number, number, number][] = [
    [1, 1, header, content.length],
    [name.length + 2, 3, namesAt, names.length],
  ];
  for (const [i, [nameAt, type, offset, size]] of sections.entries()) {
    const at = tableAt + (i + 1) * entry;
    file.writeUInt32LE(nameAt, at);
    file.writeUInt32LE(type, at + 4);
    address(offset, at + (wide ? 24 : 16));
    address(size, at + (wide ? 32 : 20));
  }
  return file;
}

function fromFile(content: Uint8Array): FoundPackage[] {
  const path = join(directory, "program");
  writeFileSync(path, content);
  const fd = openSync(path, "r");
  try {
    return binaryPackages(fd);
  } finally {
    closeSync(fd);
  }
}

const cargoProgram = deflateSync(
  JSON.stringify({
    packages: [
      { name: "app", version: "0.1.0", source: "local", root: true, dependencies: [1] },
      { name: "serde", version: "1.0.200", source: "crates.io" },
      { name: "cc", version: "1.0.90", source: "crates.io", kind: "build" },
    ],
  }),
);

describe("programs", () => {
  test("Go: the standard library, the modules, and what stands in for one", () => {
    expect(purls(goPackages(goProgram))).toEqual([
      "pkg:golang/stdlib@1.22.3",
      "pkg:golang/github.com/spf13/cobra@v1.8.0",
      "pkg:golang/example.com/fork/net@v0.2.0",
    ]);
  });

  test("a program that a Go compiler has made", () => {
    const skopeo = openSync("/usr/bin/skopeo", "r");
    const found = purls(binaryPackages(skopeo));
    closeSync(skopeo);
    expect(found[0]).toMatch(/^pkg:golang\/stdlib@1\.\d+/);
  });

  test("Rust: what is in it, and not what built it", () => {
    expect(purls(cargoPackages(cargoProgram))).toEqual(["pkg:cargo/app@0.1.0", "pkg:cargo/serde@1.0.200"]);
    // A small list that is a long one when it is unpacked.
    expect(cargoPackages(deflateSync(Buffer.alloc(64 << 20, 32)))).toEqual([]);
  });

  test.each([true, false])("sections of ELF files, of 64 bits: %p", (wide) => {
    expect(purls(fromFile(elf(".go.buildinfo", goProgram, wide)))).toHaveLength(3);
    expect(purls(fromFile(elf(".dep-v0", cargoProgram, wide)))).toHaveLength(2);
    expect(fromFile(elf(".text", goProgram, wide))).toEqual([]);
  });

  test("any file gives packages or none", () => {
    const file = elf(".go.buildinfo", goProgram, true);
    const changes = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 20 });
    fc.assert(
      fc.property(changes, fc.nat(file.length), (edits, length) => {
        const other = Buffer.from(file);
        for (const [at, byte] of edits) other[at] = byte;
        fromFile(other.subarray(0, length));
      }),
    );
  });
});

test("they are found in an image's files where they are", async () => {
  const tree = mkdtempSync(join(directory, "tree-"));
  const write = (path: string, content: Uint8Array, mode = 0o644) => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content, { mode });
  };
  write("etc/os-release", Buffer.from("ID=rocky\n"));
  write("var/lib/rpm/rpmdb.sqlite", rpmDatabase(rpmTable, rpmHeaders));
  write("app", elf(".go.buildinfo", goProgram, true), 0o755);
  write("usr/local/bin/tool", elf(".dep-v0", cargoProgram, true), 0o755);
  write("data/not-to-be-run", elf(".dep-v0", cargoProgram, true));
  expect(purls(await scanPackages(tree, new AbortController().signal))).toEqual([
    "pkg:cargo/app@0.1.0",
    "pkg:cargo/serde@1.0.200",
    "pkg:golang/example.com/fork/net@v0.2.0",
    "pkg:golang/github.com/spf13/cobra@v1.8.0",
    "pkg:golang/stdlib@1.22.3",
    "pkg:rpm/rocky/hello-gantry@1.2-3?arch=noarch&epoch=1",
    "pkg:rpm/rocky/second@1.2-3?arch=x86_64",
  ]);
});
