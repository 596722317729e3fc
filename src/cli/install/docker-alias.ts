import { accessSync, constants, lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename, delimiter, join, resolve } from "node:path";
import { Conflict, InvalidParameter, messageOf, NotFound } from "../../lib/errors.ts";
import { defineCommand, none } from "../command.ts";

const alias = "docker";

export const command = defineCommand({
  name: "install docker-alias",
  usage: "[OPTIONS]",
  summary: "Put a docker command there that is this program",
  flags: {
    dir: { kind: "string", help: "Directory to put it in", default: "/usr/local/bin" },
    force: { kind: "bool", short: "f", help: "Replace another program of that name" },
    remove: { kind: "bool", help: "Take it away again" },
  },
  arity: none,
  examples: ["install docker-alias", "install docker-alias --dir ~/bin", "install docker-alias --remove"],
  async run(context, { flags }) {
    const path = join(resolve(flags.dir), alias);
    const present = look(path);
    if (flags.remove) {
      if (present === "nothing") throw new NotFound(`${path} is not there`);
      if (present === "other") throw new Conflict(`${path} is another program: it stays`);
      rmSync(path);
      context.line(`Removed ${path}`);
      return 0;
    }
    if (!Bun.main.startsWith("/$bunfs/"))
      throw new InvalidParameter("only the built executable can be installed: see script/build");
    if (present === "other" && !flags.force)
      throw new Conflict(`${path} is another program; --force replaces it`);
    link(path);
    context.line(`${path} is ${process.execPath} now`);
    const hint = pathHint(path, context.env.PATH ?? "");
    if (hint !== undefined) context.err(`Warning: ${hint}\n`);
    return 0;
  },
});

/** What stands there: a link of ours is one to a program called gantry, wherever that is or was. */
function look(path: string): "nothing" | "alias" | "other" {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat) return "nothing";
  return stat.isSymbolicLink() && basename(readlinkSync(path)) === "gantry" ? "alias" : "other";
}

/** Replaces in one step: there is a `docker` at every instant. */
function link(path: string): void {
  const partial = `${path}.${process.pid}`;
  try {
    symlinkSync(process.execPath, partial);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw new InvalidParameter(`cannot write ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Why a shell would not find it. */
function pathHint(path: string, search: string): string | undefined {
  const candidates = search
    .split(delimiter)
    .filter(Boolean)
    .map((directory) => join(resolve(directory), alias));
  if (!candidates.includes(path)) return `${path} is in no directory of the PATH`;
  const first = candidates.find(isExecutable);
  return first === path ? undefined : `${first} comes before it on the PATH`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
