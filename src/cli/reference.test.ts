/** Docker's own commands and flags, as its client 28 lists them, against what there is here. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, Flag } from "./command.ts";
import { commands, groups, subgroups } from "./commands.ts";
import { globalFlags } from "./global-flags.ts";

const rows = (file: string) =>
  readFileSync(join(import.meta.dir, "../../test/reference", file), "utf8")
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"));
/** `docker container ls` → `container ls`. */
const words = (name: string) => name.replace(/^docker ?/, "");

/** What Gantry has not, with the reason. */
const absentCommands: Record<string, string> = {};
const windows = "Docker refuses it too where the engine is not on Windows";
const swarm = "of cluster volumes, which only a swarm has";
const absentFlags: Record<string, string> = {
  "cpu-count": windows,
  "cpu-percent": windows,
  "io-maxbandwidth": windows,
  "io-maxiops": windows,
  "use-api-socket": "experimental, and gives a container the engine with the user's credentials",
  cluster: swarm,
  "volume create --availability": swarm,
  "volume create --group": swarm,
  "volume create --limit-bytes": swarm,
  "volume create --required-bytes": swarm,
  "volume create --scope": swarm,
  "volume create --secret": swarm,
  "volume create --sharing": swarm,
  "volume create --topology-preferred": swarm,
  "volume create --topology-required": swarm,
  "volume create --type": swarm,
};

const bySpelling = new Map<string, Command>();
for (const entry of commands) {
  const command = await entry.load();
  for (const name of entry.names) bySpelling.set(name, command);
}

describe("commands", () => {
  test.each(rows("cli-commands.tsv"))("%s", (name, aliases = "") => {
    for (const spelling of [name!, ...aliases.split(",").filter(Boolean)].map(words)) {
      if (spelling === "" || Object.hasOwn(groups, spelling)) continue;
      expect({ spelling, there: bySpelling.has(spelling) }).toEqual({
        spelling,
        there: !Object.hasOwn(absentCommands, spelling),
      });
    }
  });
});

/** Docker's names of types, and the kinds that take the same values. */
const kinds: Record<string, Flag["kind"]> = {
  bool: "bool",
  bytes: "bytes",
  decimal: "decimal",
  duration: "duration",
  filter: "list",
  "gpu-request": "string",
  int: "int",
  int64: "int",
  ip: "string",
  ipNetSlice: "strings",
  ipSlice: "strings",
  list: "list",
  map: "list",
  mount: "list",
  network: "list",
  string: "string",
  stringSlice: "strings",
  stringToString: "list",
  uint16: "int",
  ulimit: "list",
};

/** A zero of Go's and no value are the same: the engine's own choice. */
const meaning = (text: string | undefined) =>
  text === undefined || ["0", "0s", "map[]", "<nil>"].includes(text) ? "" : text;

describe("flags", () => {
  const shown = rows("cli-flags.tsv").filter(([name]) => !Object.hasOwn(absentCommands, words(name!)));
  test.each(shown)("%s %s %s", (name, short, long, type, defaultValue = "") => {
    const command = words(name!);
    const flagName = long!.slice(2);
    // Every command has it.
    if (flagName === "help") return;
    const flags: Record<string, Flag> = command === "" ? globalFlags : bySpelling.get(command)!.flags;
    const flag = flags[flagName];
    const absent = absentFlags[flagName] ?? absentFlags[`${command} ${long}`];
    expect(flag === undefined).toBe(absent !== undefined);
    if (!flag) return;
    // The paths below the configuration depend on where that is.
    const given = defaultValue.startsWith("~/.docker") ? "" : defaultValue;
    expect({
      short: flag.short ? `-${flag.short}` : "",
      kind: flag.kind,
      default: meaning(flag.default),
    }).toEqual({
      short: short!,
      // Docker's takes one too, and says so itself when there are more.
      kind: flagName === "host" ? "list" : kinds[type!]!,
      default: meaning(given),
    });
  });
});

/** buildx's commands that Gantry has not. */
const absentBuildx: Record<string, string> = {
  "buildx dap": "a protocol of editors",
  "buildx debug": "build --debug-shell opens a shell",
  "buildx history export": "builds are kept in the engine alone",
  "buildx history import": "builds are kept in the engine alone",
  "buildx history inspect attachment": "attestations are kept with the image",
  "buildx history open": "there is no Docker Desktop to open",
  "buildx history trace": "no traces are kept",
  "buildx policy": "there are no policies of sources",
};
/** `gantry -c CONTEXT bake` names the builder; there are no policies of sources. */
const absentFlagsOfBuildx = ["buildx bake --builder", "buildx bake --policy"];
const isAbsent = (command: string) =>
  Object.keys(absentBuildx).some((name) => command === name || command.startsWith(`${name} `));

describe("buildx", () => {
  const kindsOfBuildx: Record<string, Flag["kind"]> = { ...kinds, stringArray: "list" };
  const shown = rows("cli-buildx-flags.tsv").filter(([name]) => !isAbsent(words(name!)));
  test.each(shown)("%s %s %s", (name, short, long, type, defaultValue = "") => {
    const command = words(name!);
    const flagName = long!.slice(2);
    // Before the command it is everybody's.
    if (flagName === "debug" && command !== "buildx build") return;
    if (Object.hasOwn(groups, command) || Object.hasOwn(subgroups, command)) return;
    if (absentFlagsOfBuildx.includes(`${command} ${long}`)) return;
    const flag = bySpelling.get(command)?.flags[flagName];
    expect({
      short: flag?.short ? `-${flag.short}` : "",
      kind: flag?.kind,
      default: meaning(flag?.default),
    }).toEqual({
      short: short!,
      // One of `docker build` at a time: the engine splits them.
      kind: flagName === "add-host" ? "list" : kindsOfBuildx[type!]!,
      default: meaning(defaultValue),
    });
  });
});
