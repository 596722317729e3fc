/** What the pages say is so. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import packages from "../package.json";
import { Router } from "../src/api/server/router.ts";
import { missing, routes } from "../src/api/server/routes.ts";
import { commands, groups, programs, subgroups } from "../src/cli/commands.ts";
import { fileSchema } from "../src/cli/daemon/config.ts";
import { daemonFlags } from "../src/cli/daemon/flags.ts";

const top = join(import.meta.dir, "..");
const read = (page: string) => readFileSync(join(top, page), "utf8");
const pages = [
  "README.md",
  "CHANGELOG.md",
  "examples/README.md",
  ...readdirSync(join(top, "docs")).map((name) => `docs/${name}`),
].filter((name) => name.endsWith(".md"));

test("docs/api.md has every endpoint in its true state", () => {
  const page = read("docs/api.md");
  const [there, absent] = [new Router(routes), new Router(missing)];
  const rows = [...page.matchAll(/^\| `([A-Z]+) (\S+)` \|(?: (full|partial) \|)?/gm)];
  expect(rows.length).toBeGreaterThan(100);
  for (const [, method, path, state] of rows) {
    const router = state === undefined ? absent : there;
    expect(router.find(method!, path!.replace(/\{\w+\}/g, "x")), `${method} ${path}`).toBeDefined();
  }
  const served = routes.map(({ method, path }) => `| \`${method} ${path.replace("*}", "}")}\` |`);
  expect(served.filter((row) => !page.includes(row))).toEqual([]);
});

test("docs/cli.md has every command", () => {
  const page = read("docs/cli.md");
  const table = page.slice(page.indexOf("## Commands"), page.indexOf("## Building"));
  const named = new Set<string>();
  // "ps, rm; image inspect, mount": the words before a semicolon's first name stand before its others too.
  for (const [, cells] of table.matchAll(/^\|[^|]+\| (.+) \|$/gm))
    for (const part of cells!.replace(/ \([^)]*\)/g, "").split("; ")) {
      const [first, ...others] = part.split(", ");
      const group = first!.split(" ").slice(0, -1).join(" ");
      for (const name of [first!, ...others.map((other) => `${group} ${other}`.trim())]) named.add(name);
    }
  const shown = commands.filter(({ hidden }) => !hidden).map(({ names }) => names);
  expect(shown.filter((names) => !names.some((name) => named.has(name)))).toEqual([]);
  const known = new Set([...shown.flat(), ...Object.keys(programs)]);
  const unknown = [...named].filter((name) => !known.has(name) && name !== "commands" && !/^-+$/.test(name));
  expect(unknown).toEqual([]);
  for (const group of [...Object.keys(groups), ...Object.keys(subgroups)])
    expect(table).toContain(`${group} `);
});

test("docs/operations.md has every setting of the daemon", () => {
  const page = read("docs/operations.md");
  const words = new Set(page.match(/(?<![\w-])(--)?[a-z][a-z0-9-]*/g));
  const wanted = [...Object.keys(daemonFlags).map((name) => `--${name}`)];
  expect(wanted.filter((flag) => !words.has(flag))).toEqual([]);
  const keys = Object.keys(fileSchema.entries);
  expect(keys.filter((key) => !words.has(key) && !words.has(`--${key}`))).toEqual([]);
});

test("docs/dependencies.md has what is depended on, and nothing else", () => {
  const [npm = "", debian = ""] = read("docs/dependencies.md").split("## Debian");
  const rows = (text: string) =>
    [...text.matchAll(/^\| (.+?) \|/gm)]
      .flatMap(([, names]) => names!.split(", "))
      .filter((name) => !/^(package|-+)$/.test(name));
  const { dependencies, devDependencies } = packages;
  expect(rows(npm).sort()).toEqual([...Object.keys(dependencies), ...Object.keys(devDependencies)].sort());
  const scripts = [
    "script/lib/setup.sh",
    "script/test",
    "script/quickstart",
    "script/bench",
    "script/compare-dockerfiles",
  ];
  const installed = scripts.flatMap((script) =>
    [...read(script).matchAll(/\bneed_packages ([a-z0-9 .+-]+)/g)].flatMap(([, names]) =>
      names!.trim().split(" "),
    ),
  );
  expect(rows(debian).sort()).toEqual([...new Set(installed)].sort());
});

test("docs/architecture.md has every folder of src/", () => {
  const page = read("docs/architecture.md");
  const folders = readdirSync(join(top, "src"), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => relative(join(top, "src"), join(entry.parentPath, entry.name)));
  const words = new Set(page.match(/[a-z]+(\/[a-z]+)*/g));
  expect(folders.filter((folder) => folder.split("/").length <= 2 && !words.has(folder))).toEqual([]);
});

test.each(pages)("the links of %s lead somewhere", (page) => {
  const text = read(page);
  const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, link]) => link!);
  expect(links.filter((link) => !existsSync(join(top, dirname(page), link)))).toEqual([]);
});
