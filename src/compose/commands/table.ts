/** The commands of `compose`, each in a module that is loaded when it is called for: the others cost nothing. */
import type { Command } from "./command.ts";

export interface Entry {
  summary: string;
  /** What follows `gantry compose` where help shows the command at work. */
  example: string;
  load: () => Promise<Command>;
}

export const commands: Record<string, Entry> = {
  attach: {
    summary: "Attach local standard input, output, and error streams to a service's running container",
    example: "attach --no-stdin web",
    load: async () => (await import("./single.ts")).attach,
  },
  build: {
    summary: "Build or rebuild services",
    example: "build --pull web",
    load: async () => (await import("./images.ts")).build,
  },
  commit: {
    summary: "Create a new image from a service container's changes",
    example: "commit -m configured web app:configured",
    load: async () => (await import("./single.ts")).commit,
  },
  config: {
    summary: "Parse, resolve and render compose file in canonical format",
    example: "config --format json",
    load: async () => (await import("./config.ts")).config,
  },
  cp: {
    summary: "Copy files/folders between a service container and the local filesystem",
    example: "cp web:/etc/hosts .",
    load: async () => (await import("./copy.ts")).cp,
  },
  create: {
    summary: "Creates containers for a service",
    example: "create",
    load: async () => (await import("./up.ts")).create,
  },
  down: {
    summary: "Stop and remove containers, networks",
    example: "down --volumes",
    load: async () => (await import("./down.ts")).down,
  },
  events: {
    summary: "Receive real time events from containers",
    example: "events --json",
    load: async () => (await import("./info.ts")).events,
  },
  exec: {
    summary: "Execute a command in a running container",
    example: "exec web sh",
    load: async () => (await import("./exec.ts")).exec,
  },
  export: {
    summary: "Export a service container's filesystem as a tar archive",
    example: "export -o web.tar web",
    load: async () => (await import("./single.ts")).exportCommand,
  },
  images: {
    summary: "List images used by the created containers",
    example: "images",
    load: async () => (await import("./info.ts")).images,
  },
  kill: {
    summary: "Force stop service containers",
    example: "kill -s HUP web",
    load: async () => (await import("./lifecycle.ts")).kill,
  },
  logs: {
    summary: "View output from containers",
    example: "logs -f --tail 20 web",
    load: async () => (await import("./logs.ts")).logs,
  },
  ls: {
    summary: "List running compose projects",
    example: "ls --all",
    load: async () => (await import("./info.ts")).ls,
  },
  pause: {
    summary: "Pause services",
    example: "pause web",
    load: async () => (await import("./lifecycle.ts")).pause,
  },
  port: {
    summary: "Print the public port for a port binding",
    example: "port web 80",
    load: async () => (await import("./info.ts")).port,
  },
  ps: {
    summary: "List containers",
    example: "ps --all",
    load: async () => (await import("./ps.ts")).ps,
  },
  pull: {
    summary: "Pull service images",
    example: "pull",
    load: async () => (await import("./images.ts")).pull,
  },
  push: {
    summary: "Push service images",
    example: "push web",
    load: async () => (await import("./images.ts")).push,
  },
  restart: {
    summary: "Restart service containers",
    example: "restart web",
    load: async () => (await import("./lifecycle.ts")).restart,
  },
  rm: {
    summary: "Removes stopped service containers",
    example: "rm --force web",
    load: async () => (await import("./lifecycle.ts")).rm,
  },
  run: {
    summary: "Run a one-off command on a service",
    example: "run --rm web env",
    load: async () => (await import("./run.ts")).run,
  },
  scale: {
    summary: "Scale services",
    example: "scale web=3",
    load: async () => (await import("./scale.ts")).scale,
  },
  start: {
    summary: "Start services",
    example: "start web",
    load: async () => (await import("./lifecycle.ts")).start,
  },
  stats: {
    summary: "Display a live stream of container(s) resource usage statistics",
    example: "stats --no-stream",
    load: async () => (await import("./single.ts")).stats,
  },
  stop: {
    summary: "Stop services",
    example: "stop -t 30 web",
    load: async () => (await import("./lifecycle.ts")).stop,
  },
  top: {
    summary: "Display the running processes",
    example: "top web",
    load: async () => (await import("./info.ts")).top,
  },
  unpause: {
    summary: "Unpause services",
    example: "unpause web",
    load: async () => (await import("./lifecycle.ts")).unpause,
  },
  up: {
    summary: "Create and start containers",
    example: "up -d --build --wait",
    load: async () => (await import("./up.ts")).up,
  },
  version: {
    summary: "Show the Docker Compose version information",
    example: "version --short",
    load: async () => (await import("./info.ts")).version,
  },
  volumes: {
    summary: "List volumes",
    example: "volumes",
    load: async () => (await import("./info.ts")).volumes,
  },
  wait: {
    summary: "Block until containers of all (or specified) services stop.",
    example: "wait job",
    load: async () => (await import("./lifecycle.ts")).wait,
  },
  watch: {
    summary: "Watch build context for service and rebuild/refresh containers when files are updated",
    example: "watch web",
    load: async () => (await import("./watch.ts")).watch,
  },
};

/** Commands of Docker Compose that are known here but not done. */
export const missing: Record<string, string> = {
  alpha: "experimental commands are not supported",
  bridge: "conversion to other platforms is not supported",
  publish: "publishing projects is not supported",
};

export const aliases: Record<string, string> = { convert: "config" };
