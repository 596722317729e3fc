import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { IgnoreRules } from "../../lib/ignore.ts";
import { readable, TarReader } from "../../lib/tar/index.ts";
import { singleFileArchive } from "./archive.ts";
import { parseGitUrl } from "./git.ts";
import { buildArgs } from "./request.ts";
import { isGitUrl, openSource } from "./source.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-context-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let trees = 0;
function tree(files: Record<string, string>): string {
  const directory = join(root, `tree${trees++}`, "context");
  mkdirSync(directory, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

async function* once(bytes: Uint8Array) {
  yield bytes;
}

/** Opens a source and reads it whole: the files with their contents. */
async function read(context: string, file?: string, stdin: Uint8Array = new Uint8Array()) {
  const source = await openSource({
    context,
    file,
    cwd: root,
    stdin: () => once(stdin),
    onDispose: () => {},
  });
  const files: Record<string, string> = {};
  let current = "";
  const reader = new TarReader({
    entry: ({ path, type }) => {
      current = readable(path);
      if (type !== "directory") files[current] = "";
    },
    data: (bytes) => {
      files[current] += Buffer.from(bytes).toString();
    },
    end: () => {},
  });
  for await (const chunk of source.tar) reader.push(chunk);
  reader.finish();
  return { files, dockerfile: source.dockerfile };
}

describe("the context", () => {
  const name = fc.constantFrom("a", "b", "keep", "x.log", "node_modules");
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  const rule = fc.oneof(
    path,
    path.map((text) => `!${text}`),
    fc.constantFrom("*", "**/*.log", "a/*", "!**/keep"),
  );

  test("has just the files that .dockerignore leaves, and always the Dockerfile and the rules", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(path, { maxLength: 8 }),
        fc.array(rule, { maxLength: 5 }),
        async (paths, lines) => {
          // A path that is another's directory can't be a file as well.
          const files = paths.filter((one) => !paths.some((other) => other.startsWith(`${one}/`)));
          const rules = lines.join("\n");
          const directory = tree({
            ...Object.fromEntries(files.map((file) => [file, file])),
            Dockerfile: "FROM scratch",
            ".dockerignore": rules,
          });
          const ignore = IgnoreRules.parse(rules);
          const expected = files.filter((file) => !ignore.excludes(file));
          const packed = await read(directory);
          expect(Object.keys(packed.files).sort()).toEqual(
            [...expected, ".dockerignore", "Dockerfile"].sort(),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  test("-f inside, outside, through a link and from stdin", async () => {
    const directory = tree({ a: "A", "docker/Other": "FROM inside" });
    const outside = join(dirname(directory), "Outside");
    writeFileSync(outside, "FROM outside");
    expect(await read(directory, join(directory, "docker/Other"))).toMatchObject({
      dockerfile: "docker/Other",
    });
    symlinkSync("docker/Other", join(directory, "Linked"));
    expect((await read(directory, join(directory, "Linked"))).dockerfile).toBe("docker/Other");
    const far = await read(directory, outside);
    expect(far.files[far.dockerfile]).toBe("FROM outside");
    expect(far.files.a).toBe("A");
    const piped = await read(directory, "-", Buffer.from("FROM stdin"));
    expect(piped.files[piped.dockerfile]).toBe("FROM stdin");
  });

  test("from stdin: an archive as it is, anything else is a Dockerfile", async () => {
    const archive = singleFileArchive("Dockerfile", Buffer.from("FROM archive"));
    expect((await read("-", undefined, archive)).files).toEqual({ Dockerfile: "FROM archive" });
    const text = Buffer.from(`FROM text\n${"# filler\n".repeat(100)}`);
    expect((await read("-", undefined, text)).files).toEqual({ Dockerfile: text.toString() });
  });

  test.each([
    ["nowhere", undefined, 'unable to prepare context: path "nowhere" not found'],
    ["-", "-", "can't use stdin for both build context and dockerfile"],
    [".", "missing", "missing: no such file or directory"],
  ])("%s with -f %s is refused", async (context, file, message) => {
    expect(read(context, file)).rejects.toThrow(message);
  });
});

test.each([
  ["https://example.com/team/app.git", true],
  ["https://example.com/team/app.git#main:dir", true],
  ["https://example.com/context.tar.gz", false],
  ["git@example.com:team/app", true],
  ["github.com/team/app", true],
  ["./app.git", false],
])("%s is a repository: %p", (url, expected) => {
  expect(isGitUrl(url)).toBe(expected);
});

test("a repository's reference and directory", () => {
  expect(parseGitUrl("github.com/team/app#v1:server")).toEqual({
    url: "https://github.com/team/app",
    ref: "v1",
    directory: "server",
  });
  expect(() => parseGitUrl("https://x/y.git#--upload-pack=evil")).toThrow("invalid Git reference");
});

test("build arguments take their value from the environment when they have none", () => {
  expect(buildArgs(["A=1", "B=", "C", "D"], { C: "3" })).toEqual({ A: "1", B: "", C: "3", D: null });
});
