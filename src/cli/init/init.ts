import { existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Conflict, InvalidParameter, NotFound } from "../../lib/errors.ts";
import { nearest } from "../args/nearest.ts";
import { between, defineCommand } from "../command.ts";
import { renderFiles } from "./files.ts";
import { kinds } from "./kinds/index.ts";
import type { Folder, Plan } from "./project.ts";

/** Longer files are no manifest. Bytes. */
const readLimit = 1 << 20;

export const command = defineCommand({
  name: "init",
  usage: "[OPTIONS] [DIRECTORY]",
  summary: "Write a Dockerfile, .dockerignore and compose.yaml for a project",
  flags: {
    kind: {
      kind: "string",
      help: `The kind of project, when it is not to be guessed (${kindNames().join(", ")})`,
    },
    port: { kind: "int", short: "p", help: "The port that the application listens on" },
    force: { kind: "bool", short: "f", help: "Replace files that are there" },
    "dry-run": { kind: "bool", help: "Print the files, write none" },
  },
  arity: between(0, 1),
  examples: ["init", "init --dry-run ./service", "init --kind python --port 5000"],
  async run(context, { flags, args: [directory = "."] }) {
    const { port } = flags;
    if (port !== undefined && (port < 1 || port > 65535))
      throw new InvalidParameter(`invalid port ${port}: a number from 1 to 65535`);
    const folder = openFolder(directory);
    const plan = makePlan(folder, flags.kind, port);
    const files = renderFiles(plan, folder.name);
    for (const reason of plan.because) context.err(`${reason}\n`);
    if (flags["dry-run"]) {
      for (const [name, text] of Object.entries(files)) context.out(`--- ${name}\n${text}\n`);
      return 0;
    }
    const taken = Object.keys(files).filter((name) =>
      lstatSync(join(directory, name), { throwIfNoEntry: false }),
    );
    if (taken.length > 0 && !flags.force)
      throw new Conflict(
        `${taken.join(", ")} already there: --force replaces, --dry-run shows what would be written`,
      );
    for (const [name, text] of Object.entries(files)) {
      // Without --force a file that has come meanwhile stays.
      writeFileSync(join(directory, name), text, { flag: flags.force ? "w" : "wx" });
      context.line(`Wrote ${join(directory, name)}`);
    }
    context.line("Start it with: gantry compose up --build");
    return 0;
  },
});

function kindNames(): string[] {
  return kinds.map(({ name }) => name).sort();
}

/** @throws InvalidParameter unknown kind, NotFound when nothing is recognized */
function makePlan(folder: Folder, wanted: string | undefined, port: number | undefined): Plan {
  const tried = wanted === undefined ? kinds : kinds.filter(({ name }) => name === wanted);
  if (tried.length === 0) {
    const meant = nearest(wanted!, kindNames());
    throw new InvalidParameter(
      `unknown kind of project: ${wanted} (${meant ? `did you mean ${meant}?` : kindNames().join(", ")})`,
    );
  }
  for (const kind of tried) {
    const plan = kind.plan(folder, { port });
    if (plan) return plan;
  }
  throw new NotFound(
    wanted === undefined
      ? "no project that is known: a package.json, pyproject.toml, requirements.txt, go.mod, Cargo.toml, pom.xml, build.gradle, composer.json or index.html was looked for"
      : `nothing of a ${wanted} project is here`,
  );
}

/** @throws NotFound when the directory is not there */
function openFolder(directory: string): Folder {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory())
    throw new NotFound(`no such directory: ${directory}`);
  const at = (path: string) => join(directory, path);
  return {
    name: basename(resolve(directory)),
    has: (path) => existsSync(at(path)),
    read(path) {
      const found = statSync(at(path), { throwIfNoEntry: false });
      return found?.isFile() && found.size <= readLimit ? readFileSync(at(path), "utf8") : undefined;
    },
    names(path = ".") {
      return statSync(at(path), { throwIfNoEntry: false })?.isDirectory() ? readdirSync(at(path)).sort() : [];
    },
  };
}
