/** The folders are the architecture: imports point downwards only, and only through a layer's public face. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const src = join(import.meta.dir, "..", "src");

/** Top first. Layers of one row do not know each other. */
const rows = [
  ["cli", "compose", "hub"],
  ["api"],
  ["engine"],
  ["build"],
  ["registry"],
  ["runtime", "store", "net"],
  ["linux"],
  ["lib"],
];
const rank = new Map(rows.flatMap((row, index) => row.map((layer) => [layer, index] as const)));
/** The people's side reaches the engine over the API only, as a stranger would. */
const clients = ["cli", "compose"];

interface Import {
  from: string;
  to: string;
}

function imports(file: string): Import[] {
  const text = readFileSync(join(src, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g)].map((match) => ({
    from: file,
    to: relative(src, join(src, dirname(file), match[1]!)),
  }));
}

const files = [...new Bun.Glob("**/*.ts").scanSync(src)].filter((file) => !file.endsWith(".test.ts"));
const all = files.flatMap(imports).filter(({ to }) => !to.startsWith(".."));
const layerOf = (path: string) => path.split("/")[0]!;
const across = all.filter(({ from, to }) => rank.has(layerOf(from)) && layerOf(from) !== layerOf(to));
const show = ({ from, to }: Import) => `${from} -> ${to}`;

/** `gantry daemon` and `gantry registry` are the servers' own commands, and stand apart from the client. */
const isServerCommand = (path: string) => path.startsWith("cli/daemon/") || path === "cli/registry.ts";

describe("architecture", () => {
  test("there are files to look at", () => {
    expect(files.length).toBeGreaterThan(100);
    expect(across.length).toBeGreaterThan(100);
  });

  test("every folder of src is a known layer", () => {
    expect(
      [...new Set(files.filter((file) => file.includes("/")).map(layerOf))].filter(
        (layer) => !rank.has(layer),
      ),
    ).toEqual([]);
  });

  test("imports point downwards only", () => {
    const upwards = across.filter(({ from, to }) => !(rank.get(layerOf(to))! > rank.get(layerOf(from))!));
    expect(upwards.map(show)).toEqual([]);
  });

  test("clients reach the engine over the API only", () => {
    const shortcuts = across.filter(
      ({ from, to }) =>
        clients.includes(layerOf(from)) &&
        !isServerCommand(from) &&
        !(layerOf(to) === "lib" || to.startsWith("api/client/") || to === "api/types.ts"),
    );
    expect(shortcuts.map(show)).toEqual([]);
  });

  test("a layer is entered by its index or its types", () => {
    const facade = (path: string) => /(^|\/)(index|types|config)\.ts$/.test(path);
    const past = across.filter(({ to }) => !["lib", "linux", "api"].includes(layerOf(to)) && !facade(to));
    expect(past.map(show)).toEqual([]);
  });

  test("only linux/ calls the kernel", () => {
    const callers = files.filter(
      (file) => layerOf(file) !== "linux" && /["']bun:ffi["']/.test(readFileSync(join(src, file), "utf8")),
    );
    expect(callers).toEqual([]);
  });

  test("every import leads to a file", () => {
    expect(all.filter(({ to }) => to.endsWith(".ts") && !existsSync(join(src, to))).map(show)).toEqual([]);
  });
});
