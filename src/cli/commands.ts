/** The table of commands: names to modules, which load when they are asked for. */
import type { Command } from "./command.ts";

export interface Entry {
  /** Every spelling; the first is the name under its group. */
  names: string[];
  /** Not for people: left out of help and of guesses. */
  hidden?: boolean;
  load(): Promise<Command>;
}

/** The spellings, and the module's export that is the command. */
function entry<M>(names: string, load: () => Promise<M>, pick: (module: M) => Command): Entry {
  return { names: names.split(", "), load: async () => pick(await load()) };
}
const only = ({ command }: { command: Command }) => command;

const lifecycle = () => import("./container/lifecycle.ts");
const details = () => import("./container/details.ts");
const manage = () => import("./image/manage.ts");
const transfer = () => import("./image/transfer.ts");
const files = () => import("./image/files.ts");
const network = () => import("./network/network.ts");
const volume = () => import("./volume/volume.ts");
const prune = () => import("./prune.ts");
const contexts = () => import("./contexts/contexts.ts");
const completion = () => import("./completion/completion.ts");

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
  entry("container stats, stats", () => import("./container/stats.ts"), only),
  entry("container update, update", () => import("./container/update.ts"), only),
  entry("container commit, commit", () => import("./container/commit.ts"), only),
  entry("container cp, cp", () => import("./container/cp.ts"), only),
  entry("container export, export", files, (m) => m.exportContainer),
  entry("container prune", prune, (m) => m.containers),

  entry("image ls, image list, images", () => import("./image/ls.ts"), only),
  entry("image build, build, builder build", () => import("./build/build.ts"), only),
  entry("image pull, pull", transfer, (m) => m.pull),
  entry("image push, push", transfer, (m) => m.push),
  entry("image tag, tag", manage, (m) => m.tag),
  entry("image rm, image remove, rmi", manage, (m) => m.rmi),
  entry("image inspect", manage, (m) => m.inspect),
  entry("image history, history", manage, (m) => m.history),
  entry("image save, save", files, (m) => m.save),
  entry("image load, load", files, (m) => m.load),
  entry("image import, import", files, (m) => m.importImage),
  entry("image prune", prune, (m) => m.images),
  entry("builder prune", prune, (m) => m.builds),

  entry("network ls, network list", network, (m) => m.ls),
  entry("network create", network, (m) => m.create),
  entry("network rm, network remove", network, (m) => m.rm),
  entry("network inspect", network, (m) => m.inspect),
  entry("network connect", network, (m) => m.connect),
  entry("network disconnect", network, (m) => m.disconnect),
  entry("network prune", prune, (m) => m.networks),

  entry("volume ls, volume list", volume, (m) => m.ls),
  entry("volume create", volume, (m) => m.create),
  entry("volume rm, volume remove", volume, (m) => m.rm),
  entry("volume inspect", volume, (m) => m.inspect),
  entry("volume prune", prune, (m) => m.volumes),

  entry("context ls, context list", contexts, (m) => m.ls),
  entry("context use", contexts, (m) => m.use),
  entry("context create", contexts, (m) => m.create),
  entry("context update", contexts, (m) => m.update),
  entry("context rm, context remove", contexts, (m) => m.rm),
  entry("context show", contexts, (m) => m.show),
  entry("context inspect", contexts, (m) => m.inspect),

  entry("system df", () => import("./system/df.ts"), only),
  entry("system events, events", () => import("./system/events.ts"), only),
  entry("system info, info", () => import("./system/info.ts"), only),
  entry("system prune", prune, (m) => m.system),
  entry("inspect", () => import("./system/inspect.ts"), only),
  entry("version", () => import("./system/version.ts"), only),
  entry(
    "login",
    () => import("./auth/login.ts"),
    (m) => m.login,
  ),
  entry(
    "logout",
    () => import("./auth/login.ts"),
    (m) => m.logout,
  ),
  entry("completion", completion, (m) => m.command),
  { ...entry("__complete", completion, (m) => m.complete), hidden: true },
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
