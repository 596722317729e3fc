/**
 * Layers made to harm, and layers that are merely strange: unpacked as Docker does, or refused whole.
 *
 * Compared with `docker load` of dockerd 20.10, which agrees except here: it takes `../x` as `x`, and a root that is a
 * file, where we refuse; it refuses old GNU sparse files, entries that come twice, and a whiteout after what it would
 * remove, where we unpack; it unpacks overlay's own attributes; and under a directory that a layer removes and makes
 * anew it shows what was there before.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { InvalidParameter, TooLarge } from "../../lib/errors.ts";
import { StoreLab, tarOf } from "../testing.ts";

const limits = { maxBytes: 1 << 20, maxEntries: 1000 };
let lab: StoreLab;
beforeAll(async () => {
  lab = await StoreLab.open(limits);
});
afterEach(() => expect(lab.leftovers()).toEqual([]));
afterAll(() => lab[Symbol.asyncDispose]());

/** A layer by Python's tarfile: `script` fills the archive `t`, with `add(name, type, **fields)`. */
function python(script: string, format = "PAX_FORMAT"): Buffer {
  const program = `
import io, sys, tarfile
out = io.BytesIO()
t = tarfile.open(fileobj=out, mode="w", format=tarfile.${format}, encoding="utf-8", errors="surrogateescape")
def add(name, type=tarfile.REGTYPE, data=b"", **fields):
    i = tarfile.TarInfo(name)
    i.type, i.size, i.mode = type, len(data), 0o755
    for key, value in fields.items(): setattr(i, key, value)
    t.addfile(i, io.BytesIO(data))
${script}
t.close()
sys.stdout.buffer.write(out.getvalue())`;
  const { stdout, stderr, exitCode } = Bun.spawnSync(["python3", "-c", program]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return stdout;
}

/** By GNU tar, of what `script` makes in an empty directory. */
function gnuTar(script: string, ...flags: string[]): Buffer {
  const directory = mkdtempSync(join(lab.directory, "made-"));
  const content = join(directory, "content");
  mkdirSync(content);
  const shell = Bun.spawnSync(["sh", "-ec", script], { cwd: content });
  if (shell.exitCode !== 0) throw new Error(shell.stderr.toString());
  const target = join(directory, "a.tar");
  const { exitCode, stderr } = Bun.spawnSync(["tar", "-cf", target, ...flags, "-C", content, "."]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return readFileSync(target);
}

const listing = (root: string) =>
  readdirSync(root, { encoding: "buffer" })
    .map((name) => name.toString("latin1"))
    .sort();

describe("too much", () => {
  test("of bytes, in little gzip", async () => {
    const tar = await tarOf([{ name: "zeros", content: "\0".repeat(8 << 20) }]);
    const blob = gzipSync(tar);
    expect(blob.length).toBeLessThan(tar.length / 500);
    expect(await lab.unpack(tar, { blob }).catch((error: unknown) => error)).toBeInstanceOf(TooLarge);
  });

  test("of entries", async () => {
    const tar = python("for i in range(1001): add('f%d' % i)");
    expect(await lab.unpack(tar).catch((error: unknown) => error)).toBeInstanceOf(TooLarge);
  });

  test("claimed by a sparse file that holds nothing", async () => {
    const tar = gnuTar("truncate -s 1T holes", "--sparse", "--format=pax");
    expect(tar.length).toBeLessThan(20_000);
    expect(await lab.unpack(tar).catch((error: unknown) => error)).toBeInstanceOf(TooLarge);
  });

  test("of a header's own size", async () => {
    const tar = python("add('f', pax_headers={'comment': 'x' * (2 << 20)})");
    expect(await lab.unpack(tar).catch((error: unknown) => error)).toBeInstanceOf(InvalidParameter);
  });

  test("of a name", async () => {
    const tar = python("add('n' * 256)");
    expect(await lab.unpack(tar).catch((error: unknown) => error)).toBeInstanceOf(InvalidParameter);
  });
});

describe("strange, and unpacked as it is", () => {
  test("names of any bytes", async () => {
    const tar = python(
      "for b in [b'\\xff\\xfe', b'new\\nline', b'tab\\t', b'\\xc3\\xa4', b'back\\\\slash', b' ']: add(b.decode('utf-8', 'surrogateescape'))",
      "GNU_FORMAT",
    );
    const names = await lab.look(await lab.unpack(tar), listing);
    expect(names).toEqual([" ", "back\\slash", "new\nline", "tab\t", "\xc3\xa4", "\xff\xfe"].sort());
  });

  test.each(["PAX_FORMAT", "GNU_FORMAT"])("long names and links (%s)", async (format) => {
    const tar = python(
      `
d = '/'.join(['d' * 120] * 3)
add(d + '/f', data=b'far')
add('l', tarfile.SYMTYPE, linkname=d + '/f')
add('h', tarfile.LNKTYPE, linkname=d + '/f')`,
      format,
    );
    await lab.look(await lab.unpack(tar), (root) => {
      expect(readFileSync(join(root, "l"), "utf8")).toBe("far");
      expect(statSync(join(root, "h")).nlink).toBe(2);
    });
  });

  test.each(["PAX_FORMAT", "GNU_FORMAT"])("numbers that octal digits can't hold (%s)", async (format) => {
    const tar = python("add('f', uid=3000000, gid=4000000000, mtime=2**34)", format);
    await lab.look(await lab.unpack(tar), (root) => {
      const { uid, gid, mtimeMs } = lstatSync(join(root, "f"));
      expect([uid, gid]).toEqual([3_000_000, 4_000_000_000]);
      expect(mtimeMs / 1000).toBeGreaterThan(2 ** 31);
    });
  });

  test("times before 1970 and with fractions", async () => {
    const tar = python("add('f', pax_headers={'mtime': '-1.5'})");
    await lab.look(await lab.unpack(tar), (root) => expect(lstatSync(join(root, "f")).mtimeMs).toBe(-1500));
  });

  test("attributes: capabilities and users' own; overlay's are dropped", async () => {
    const tar = python(`
add('f', pax_headers={
  'SCHILY.xattr.user.note': 'kept',
  'SCHILY.xattr.security.capability': '\\x01\\x00\\x00\\x02\\x00\\x04\\x00\\x00' + '\\x00' * 12,
  'SCHILY.xattr.trusted.overlay.redirect': '/etc',
  'SCHILY.xattr.trusted.overlay.opaque': 'y'})`);
    await lab.look(await lab.unpack(tar), (root) => {
      const program =
        "import os, sys; print(sorted(n for n in os.listxattr(sys.argv[1]) if 'selinux' not in n))";
      const { stdout } = Bun.spawnSync(["python3", "-c", program, join(root, "f")]);
      expect(stdout.toString().trim()).toBe("['security.capability', 'user.note']");
    });
  });

  test("devices and pipes", async () => {
    const tar = python(`
add('null', tarfile.CHRTYPE, devmajor=1, devminor=3)
add('loop', tarfile.BLKTYPE, devmajor=7, devminor=0)
add('pipe', tarfile.FIFOTYPE)`);
    await lab.look(await lab.unpack(tar), (root) => {
      expect(lstatSync(join(root, "null")).isCharacterDevice()).toBe(true);
      expect(lstatSync(join(root, "loop")).isBlockDevice()).toBe(true);
      expect(lstatSync(join(root, "pipe")).isFIFO()).toBe(true);
    });
  });

  test.each([
    ["old GNU", ["--format=gnu"]],
    ["pax 0.0", ["--format=pax", "--sparse-version=0.0"]],
    ["pax 0.1", ["--format=pax", "--sparse-version=0.1"]],
    ["pax 1.0", ["--format=pax", "--sparse-version=1.0"]],
  ])("sparse files stay sparse (%s)", async (_name, flags) => {
    const tar = gnuTar(
      "truncate -s 800K f; printf here | dd of=f bs=1 seek=300000 conv=notrunc status=none",
      "--sparse",
      ...flags,
    );
    await lab.look(await lab.unpack(tar), (root) => {
      const { size, blocks } = statSync(join(root, "f"));
      expect(size).toBe(800 << 10);
      expect(blocks * 512).toBeLessThan(100 << 10);
      expect(readFileSync(join(root, "f")).indexOf("here")).toBe(300_000);
    });
  });

  test("a slash at the end makes a directory only of what has the oldest archives' type", async () => {
    const tar = python("add('new/', data=b''); add('old/', tarfile.AREGTYPE)");
    await lab.look(await lab.unpack(tar), (root) => {
      expect(lstatSync(join(root, "new")).isFile()).toBe(true);
      expect(lstatSync(join(root, "old")).isDirectory()).toBe(true);
    });
  });

  test("an entry that comes again replaces the first, whatever it was", async () => {
    const tar = python(`
add('x', tarfile.DIRTYPE)
add('x/inside', data=b'gone')
add('x', data=b'file')
add('y', tarfile.SYMTYPE, linkname='x')
add('y', data=b'not through the link')`);
    await lab.look(await lab.unpack(tar), (root) => {
      expect(readFileSync(join(root, "x"), "utf8")).toBe("file");
      expect(readFileSync(join(root, "y"), "utf8")).toBe("not through the link");
    });
  });
});

describe("on a layer below", () => {
  let below: string;
  beforeAll(async () => {
    below = await lab.unpack(
      python(`
add('a', tarfile.DIRTYPE)
add('a/old', data=b'old')
add('link', tarfile.SYMTYPE, linkname='a')
add('up', tarfile.SYMTYPE, linkname='../../..')
add('dangling', tarfile.SYMTYPE, linkname='nowhere')
add('file', data=b'file')`),
    );
  });
  /** Names of what is in each place, with what a link leads to. */
  const shown = (root: string): Record<string, string[] | string> =>
    Object.fromEntries(
      readdirSync(root, { withFileTypes: true }).map((entry) => {
        const path = join(root, entry.name);
        if (entry.isSymbolicLink()) return [entry.name, `-> ${readlinkSync(path)}`];
        return [entry.name, entry.isDirectory() ? readdirSync(path).sort() : readFileSync(path, "utf8")];
      }),
    );
  const before = { a: ["old"], link: "-> a", up: "-> ../../..", dangling: "-> nowhere", file: "file" };

  test.each<[string, string, Record<string, string[] | string>]>([
    [
      "a directory removed and made anew",
      "add('.wh.a'); add('a', tarfile.DIRTYPE); add('a/new')",
      { a: ["new"] },
    ],
    ["made anew and removed", "add('a', tarfile.DIRTYPE); add('a/new'); add('.wh.a')", { a: ["new"] }],
    ["opaque at its end", "add('a', tarfile.DIRTYPE); add('a/new'); add('a/.wh..wh..opq')", { a: ["new"] }],
    ["written through a link", "add('link/new')", { link: ["new"] }],
    ["written through a link that leads out", "add('up/new')", { up: ["new"] }],
    ["written through a link to nowhere", "add('dangling/new')", { dangling: ["new"] }],
    ["written below a file", "add('file/new')", { file: ["new"] }],
    ["a link for a directory", "add('a', tarfile.SYMTYPE, linkname='file')", { a: "-> file" }],
    ["removed that was never there", "add('.wh.never'); add('a/.wh.never')", {}],
  ])("%s", async (_name, script, changes) => {
    await lab.look(await lab.unpack(python(script), { parent: below }), (root) =>
      expect(shown(root)).toEqual({ ...before, ...changes }),
    );
  });
});

describe("refused with the reason", () => {
  test.each<[string, string, string]>([
    ["a hard link to nothing", "add('h', tarfile.LNKTYPE, linkname='missing')", "h -> missing"],
    ["a hard link to itself", "add('h', tarfile.LNKTYPE, linkname='h')", "hard link to itself"],
    ["a root that is a file", "add('.', data=b'x')", "the root is not a directory"],
    ["an unknown type", "add('f', b'V')", "entry type"],
    ["a negative size", "add('f', pax_headers={'size': '-5'})", "size of f"],
    ["a file below a file", "add('f'); add('f/g')", "f/g"],
    ["links in a circle", "add('a', tarfile.SYMTYPE, linkname='a'); add('a/f')", "a/f"],
    ["a whiteout of the root", "add('.wh..')", "whiteout of nothing"],
    ["a whiteout of a parent", "add('a/.wh...')", "whiteout of nothing"],
    ["a whiteout without a name", "add('a/.wh.')", "whiteout of nothing"],
    ["a file outside", "add('../../evil')", "leads outside"],
    [
      "a link outside to a file",
      "add('f'); add('h', tarfile.LNKTYPE, linkname='../../etc/passwd')",
      "leads outside",
    ],
    ["a link to a file of the layer below", "add('h', tarfile.LNKTYPE, linkname='below/f')", "h -> below/f"],
  ])("%s", async (_name, script, reason) => {
    const error: unknown = await lab.unpack(python(script)).catch((error) => error);
    expect(error).toBeInstanceOf(InvalidParameter);
    expect((error as Error).message).toContain(reason);
  });

  test("a map of a sparse file that points outside of it", async () => {
    const tar = python(
      "add('f', data=b'x' * 10, pax_headers={'GNU.sparse.size': '100', 'GNU.sparse.map': '95,10'})",
    );
    expect(await lab.unpack(tar).catch((error: unknown) => error)).toBeInstanceOf(InvalidParameter);
  });
});

test("nothing was written beside the store", () => {
  writeFileSync(join(lab.directory, "mark"), "");
  const made = readdirSync(lab.directory).filter((name) => !/^(made|look)-/.test(name));
  expect(made.sort()).toEqual(["mark", "store"]);
});
