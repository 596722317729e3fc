/** The table of commands: names to modules, which load when they are asked for. */
import type { Command } from "./command.ts";

export interface Entry {
  /** Every spelling; the first is the name under its group. */
  names: string[];
  load(): Promise<Command>;
}

/** The spellings, and the module's export that is the command. */
function entry<M>(names: string, load: () => Promise<M>, pick: (module: M) => Command): Entry {
  return { names: names.split(", "), load: async () => pick(await load()) };
}
const only = ({ command }: { command: Command }) => command;

const lifecycle = () => import("./container/lifecycle.ts");
const details = () => import("./container/details.ts");

export const commands: readonly Entry[] = [
  entry("container run, run", () => import("./container/run.ts"), only),
  entry("container create, create", () => import("./container/create.ts"), only),
  entry("container ls, container list, container ps, ps", () => import("./container/ps.ts"), only),
  entry("container start, start", () => import("./container/start.ts"), only),
  entry("container attach, attach", () => import("./container/attach.ts"), only),
  entry("container exec, exec", () => import("./container/exec.ts"), only),
  entry("container logs, logs", () => import("./container/logs.ts"), only),
  entry("container stop, stop", lifecycle, (m) => m.stop),
  entry("container restart, restart", lifecycle, (m) => m.restart),
  entry("container kill, kill", lifecycle, (m) => m.kill),
  entry("container pause, pause", lifecycle, (m) => m.pause),
  entry("container unpause, unpause", lifecycle, (m) => m.unpause),
  entry("container wait, wait", lifecycle, (m) => m.wait),
  entry("container rm, container remove, rm", lifecycle, (m) => m.rm),
  entry("container rename, rename", lifecycle, (m) => m.rename),
  entry("container inspect", details, (m) => m.inspect),
  entry("container top, top", details, (m) => m.top),
  entry("container port, port", details, (m) => m.port),
  entry("container diff, diff", details, (m) => m.diff),
];

/** Words that other commands stand behind, with what they are about. */
export const groups: Readonly<Record<string, string>> = {
  builder: "Manage builds",
  container: "Manage containers",
  context: "Manage contexts",
  image: "Manage images",
  network: "Manage networks",
  system: "Manage Gantry",
  volume: "Manage volumes",
};

/** Programs of their own behind a word; see main.ts. */
export const programs: Readonly<Record<string, string>> = {
  compose: "Define and run applications of several containers",
  daemon: "Run the engine",
  registry: "Run and manage a registry",
};

/** The command behind the longest row of leading words. */
export function findCommand(
  words: readonly string[],
): { entry: Entry; spelling: string; rest: string[] } | undefined {
  for (const length of [2, 1]) {
    const spelling = words.slice(0, length).join(" ");
    const found = words.length >= length && commands.find(({ names }) => names.includes(spelling));
    if (found) return { entry: found, spelling, rest: words.slice(length) };
  }
  return undefined;
}
