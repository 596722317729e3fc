/** What the pages say is so. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Router } from "../src/api/server/router.ts";
import { missing, routes } from "../src/api/server/routes.ts";

const top = join(import.meta.dir, "..");
const pages = [
  "README.md",
  "CHANGELOG.md",
  ...readdirSync(join(top, "docs")).map((name) => `docs/${name}`),
].filter((name) => name.endsWith(".md"));

test("docs/api.md has every endpoint in its true state", () => {
  const page = readFileSync(join(top, "docs/api.md"), "utf8");
  const [there, absent] = [new Router(routes), new Router(missing)];
  const rows = [...page.matchAll(/^\| `([A-Z]+) (\S+)` \|(?: (full|partial) \|)?/gm)];
  expect(rows.length).toBeGreaterThan(100);
  for (const [, method, path, state] of rows) {
    const router = state === undefined ? absent : there;
    expect(router.find(method!, path!.replace(/\{\w+\}/g, "x")), `${method} ${path}`).toBeDefined();
  }
});

test.each(pages)("the links of %s lead somewhere", (page) => {
  const text = readFileSync(join(top, page), "utf8");
  const links = [...text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(([, link]) => link!);
  expect(links.filter((link) => !existsSync(join(top, dirname(page), link)))).toEqual([]);
});
