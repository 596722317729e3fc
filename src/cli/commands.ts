/** The table of commands: names to modules, which load when they are asked for. */
import type { Command } from "./command.ts";

export interface Entry {
  /** Every spelling; the first is the name under its group. */
  names: string[];
  /** Not for people: left out of help and of guesses. */
  hidden: boolean;
  load(): Promise<Command>;
}

interface Module {
  load(): Promise<unknown>;
  /** The spellings of each command that the module exports. */
  exports: Record<string, string>;
}

function from<M>(
  load: () => Promise<M>,
  exports: { [K in keyof M as M[K] extends Command ? K : never]?: string },
): Module {
  return { load, exports: exports as Record<string, string> };
}

const modules: readonly Module[] = [
  from(() => import("./container/run.ts"), { command: "container run, run" }),
  from(() => import("./container/create.ts"), { command: "container create, create" }),
  from(() => import("./container/ps.ts"), { command: "container ls, container list, container ps, ps" }),
  from(() => import("./container/start.ts"), { command: "container start, start" }),
  from(() => import("./container/attach.ts"), { command: "container attach, attach" }),
  from(() => import("./container/exec.ts"), { command: "container exec, exec" }),
  from(() => import("./container/logs.ts"), { command: "container logs, logs" }),
  from(() => import("./container/lifecycle.ts"), {
    stop: "container stop, stop",
    restart: "container restart, restart",
    kill: "container kill, kill",
    pause: "container pause, pause",
    unpause: "container unpause, unpause",
    wait: "container wait, wait",
    rm: "container rm, container remove, rm",
    rename: "container rename, rename",
  }),
  from(() => import("./container/details.ts"), {
    inspect: "container inspect",
    top: "container top, top",
    port: "container port, port",
    diff: "container diff, diff",
  }),
  from(() => import("./container/stats.ts"), { command: "container stats, stats" }),
  from(() => import("./container/checkpoint.ts"), {
    create: "checkpoint create",
    ls: "checkpoint ls, checkpoint list",
    rm: "checkpoint rm, checkpoint remove",
  }),
  from(() => import("./container/update.ts"), { command: "container update, update" }),
  from(() => import("./container/commit.ts"), { command: "container commit, commit" }),
  from(() => import("./container/why.ts"), { command: "container why, why" }),
  from(() => import("./container/cp.ts"), { command: "container cp, cp" }),
  from(() => import("./image/files.ts"), {
    exportContainer: "container export, export",
    save: "image save, save",
    load: "image load, load",
    importImage: "image import, import",
  }),
  from(() => import("./prune.ts"), {
    containers: "container prune",
    images: "image prune",
    builds: "builder prune, buildx prune",
    networks: "network prune",
    volumes: "volume prune",
    system: "system prune",
  }),
  from(() => import("./image/ls.ts"), { command: "image ls, image list, images" }),
  from(() => import("./image/mount.ts"), {
    mount: "image mount",
    unmount: "image unmount, image umount",
  }),
  from(() => import("./image/search.ts"), { command: "search" }),
  from(() => import("./image/why-big.ts"), { command: "image why-big" }),
  from(() => import("./build/build.ts"), {
    command: "image build, build, builder build, buildx build, buildx b",
  }),
  from(() => import("./lint/lint.ts"), { command: "lint" }),
  from(() => import("./bake/bake.ts"), { command: "buildx bake, buildx f, bake" }),
  from(() => import("./builder/du.ts"), { command: "buildx du" }),
  from(() => import("./builder/ls.ts"), { ls: "buildx ls", inspect: "buildx inspect" }),
  from(() => import("./builder/manage.ts"), {
    create: "buildx create",
    use: "buildx use",
    rm: "buildx rm",
    stop: "buildx stop",
    version: "buildx version",
  }),
  from(() => import("./builder/imagetools.ts"), {
    create: "buildx imagetools create",
    inspect: "buildx imagetools inspect",
  }),
  from(() => import("./builder/history.ts"), {
    ls: "buildx history ls",
    inspect: "buildx history inspect",
    logs: "buildx history logs",
    rm: "buildx history rm",
  }),
  from(() => import("./image/transfer.ts"), { pull: "image pull, pull", push: "image push, push" }),
  from(() => import("./image/manage.ts"), {
    tag: "image tag, tag",
    rmi: "image rm, image remove, rmi",
    inspect: "image inspect",
    history: "image history, history",
  }),
  from(() => import("./manifest/manifest.ts"), {
    create: "manifest create",
    annotate: "manifest annotate",
    inspect: "manifest inspect",
    push: "manifest push",
    rm: "manifest rm",
  }),
  from(() => import("./network/network.ts"), {
    ls: "network ls, network list",
    create: "network create",
    rm: "network rm, network remove",
    inspect: "network inspect",
    connect: "network connect",
    disconnect: "network disconnect",
  }),
  from(() => import("./volume/volume.ts"), {
    ls: "volume ls, volume list",
    create: "volume create",
    rm: "volume rm, volume remove",
    inspect: "volume inspect",
    update: "volume update",
  }),
  from(() => import("./contexts/contexts.ts"), {
    ls: "context ls, context list",
    use: "context use",
    create: "context create",
    update: "context update",
    rm: "context rm, context remove",
    show: "context show",
    inspect: "context inspect",
  }),
  from(() => import("./contexts/transfer.ts"), {
    exportContext: "context export",
    importContext: "context import",
  }),
  from(() => import("./install/docker-alias.ts"), { command: "install docker-alias" }),
  from(() => import("./token/token.ts"), {
    create: "token create",
    ls: "token ls, token list",
    rm: "token rm, token remove",
  }),
  from(() => import("./system/dial-stdio.ts"), { command: "system dial-stdio, buildx dial-stdio" }),
  from(() => import("./system/check.ts"), { command: "system check" }),
  from(() => import("./system/df.ts"), { command: "system df" }),
  from(() => import("./system/events.ts"), { command: "system events, events" }),
  from(() => import("./system/info.ts"), { command: "system info, info" }),
  from(() => import("./system/inspect.ts"), { command: "inspect" }),
  from(() => import("./system/version.ts"), { command: "version" }),
  from(() => import("./init/init.ts"), { command: "init" }),
  from(() => import("./auth/login.ts"), { login: "login", logout: "logout" }),
  from(() => import("./completion/completion.ts"), { command: "completion", complete: "__complete" }),
];

// Loops instead of callbacks, as in format/table.ts: this runs at each start.
const all: Entry[] = [];
for (const module of modules) {
  for (const name in module.exports) {
    const names = module.exports[name]!.split(", ");
    const load = async () => ((await module.load()) as Record<string, Command>)[name]!;
    all.push({ names, hidden: names[0]!.startsWith("__"), load });
  }
}
export const commands: readonly Entry[] = all;

/** Words that other commands stand behind, with what they are about. */
export const groups: Readonly<Record<string, string>> = {
  builder: "Manage builds",
  buildx: "Build with more, and manage builders",
  checkpoint: "Manage checkpoints",
  container: "Manage containers",
  context: "Manage contexts",
  image: "Manage images",
  install: "Put parts of Gantry in place on this machine",
  manifest: "Manage image manifests and manifest lists",
  network: "Manage networks",
  system: "Manage Gantry",
  token: "Manage tokens of the API",
  volume: "Manage volumes",
};

/** Groups inside a group. */
export const subgroups: Readonly<Record<string, string>> = {
  "buildx history": "Look at builds of the past",
  "buildx imagetools": "Work with images in registries",
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
  // Three words are buildx's alone: the others don't pay for the look.
  for (const length of words[0] === "buildx" ? [3, 2, 1] : [2, 1]) {
    const spelling = words.slice(0, length).join(" ");
    if (words.length < length) continue;
    for (const entry of commands) {
      if (entry.names.includes(spelling)) return { entry, spelling, rest: words.slice(length) };
    }
  }
  return undefined;
}
