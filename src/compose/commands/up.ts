import { ComposeError } from "../model/errors.ts";
import type { Project } from "../model/types.ts";
import { chooseServices, planUp, type RecreatePolicy } from "../plan/plan.ts";
import { Attachment } from "../run/attachment.ts";
import { converge, type LiveContainer } from "../run/converge.ts";
import { ensureImages } from "../run/images.ts";
import { provide } from "../run/provider.ts";
import type { Session } from "../run/session.ts";
import { startServices, stopContainers } from "../run/start.ts";
import { timeoutSignal, waitForCondition } from "../run/wait.ts";
import { defineCommand } from "./command.ts";

const convergeFlags = {
  build: { type: "bool", help: "Build images before starting containers" },
  "no-build": { type: "bool", help: "Don't build an image, even if it's policy" },
  "force-recreate": {
    type: "bool",
    help: "Recreate containers even if their configuration and image haven't changed",
  },
  "no-recreate": { type: "bool", help: "If containers already exist, don't recreate them" },
  pull: { type: "string", help: 'Pull image before running ("always"|"missing"|"never"|"build")' },
  "quiet-pull": { type: "bool", help: "Pull without printing progress information" },
  "remove-orphans": { type: "bool", help: "Remove containers for services not defined in the Compose file" },
  scale: {
    type: "list",
    help: "Scale SERVICE to NUM instances. Overrides the `scale` setting in the Compose file if present",
  },
  yes: { type: "bool", short: "y", help: "Assume yes to all prompts", hidden: true },
} as const;

interface ConvergeFlags {
  build: boolean;
  "no-build": boolean;
  "force-recreate": boolean;
  "no-recreate": boolean;
  pull: string | undefined;
  "quiet-pull": boolean;
  "quiet-build"?: boolean;
  "remove-orphans": boolean;
  scale: string[];
  "no-deps"?: boolean;
  "always-recreate-deps"?: boolean;
  "renew-anon-volumes"?: boolean;
  timeout?: number;
}

/** Images, plan, and everything created; nothing started yet. */
export async function createProject(
  session: Session,
  given: Project,
  services: string[],
  flags: ConvergeFlags,
): Promise<Map<string, LiveContainer[]>> {
  if (flags.build && flags["no-build"])
    throw ComposeError.at(undefined, "--build and --no-build are incompatible");
  if (flags["force-recreate"] && flags["no-recreate"])
    throw ComposeError.at(undefined, "--force-recreate and --no-recreate are incompatible");
  const noDeps = flags["no-deps"] ?? false;
  const chosen = chooseServices(given, { services, noDeps });
  if (Object.keys(given.services).length === 0) throw ComposeError.at(undefined, "no service selected");
  // What providers set is in the configuration that containers are compared with.
  const project = await provide(session, given, chosen);
  const imageIds = await ensureImages(session, project, chosen, {
    pull: flags.pull,
    quietPull: flags["quiet-pull"],
    build: flags.build ? "always" : flags["no-build"] ? "never" : "missing",
    buildOptions: { quiet: flags["quiet-build"] },
  });
  const observed = await session.engine.observe(project.name, {
    networks: Object.values(project.networks).map(({ name }) => name!),
    volumes: Object.values(project.volumes).map(({ name }) => name!),
  });
  const recreate: RecreatePolicy = flags["force-recreate"]
    ? "force"
    : flags["no-recreate"]
      ? "never"
      : "diverged";
  const plan = planUp(project, observed, {
    services,
    recreate,
    recreateDependencies: flags["no-recreate"]
      ? "never"
      : flags["always-recreate-deps"]
        ? "force"
        : "diverged",
    noDeps,
    scale: parseScale(flags.scale, project),
    removeOrphans: flags["remove-orphans"],
    imageIds,
  });
  using progress = session.progress("Running");
  return await converge(session, project, plan, progress, {
    imageIds,
    timeout: flags.timeout,
    renewAnonymousVolumes: flags["renew-anon-volumes"] ?? false,
  });
}

/** @throws ComposeError for anything but `SERVICE=NUM` */
export function parseScale(values: string[], project: Project): Record<string, number> {
  return Object.fromEntries(
    values.map((value) => {
      const [, name, count] = /^([^=]+)=(\d+)$/.exec(value) ?? [];
      if (!name || count === undefined)
        throw ComposeError.at(
          undefined,
          `invalid --scale option ${JSON.stringify(value)}. Should be SERVICE=NUM`,
        );
      if (!project.services[name]) throw ComposeError.at(undefined, `no such service: ${name}`);
      return [name, Number(count)];
    }),
  );
}

export const create = defineCommand({
  name: "create",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Creates containers for a service",
  flags: convergeFlags,
  async run(session, flags, args) {
    await createProject(session, session.project(args), args, flags);
    return 0;
  },
});

export const up = defineCommand({
  name: "up",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Create and start containers",
  flags: {
    ...convergeFlags,
    detach: { type: "bool", short: "d", help: "Detached mode: Run containers in the background" },
    "no-deps": { type: "bool", help: "Don't start linked services" },
    "no-start": { type: "bool", help: "Don't start the services after creating them" },
    "no-color": { type: "bool", help: "Produce monochrome output" },
    "no-log-prefix": { type: "bool", help: "Don't print prefix in logs" },
    "always-recreate-deps": {
      type: "bool",
      help: "Recreate dependent containers. Incompatible with --no-recreate",
    },
    "renew-anon-volumes": {
      type: "bool",
      short: "V",
      help: "Recreate anonymous volumes instead of retrieving data from the previous containers",
    },
    "quiet-build": { type: "bool", help: "Suppress the build output" },
    "abort-on-container-exit": {
      type: "bool",
      help: "Stops all containers if any container was stopped. Incompatible with -d",
    },
    "abort-on-container-failure": {
      type: "bool",
      help: "Stops all containers if any container exited with failure. Incompatible with -d",
    },
    "exit-code-from": {
      type: "string",
      help: "Return the exit code of the selected service container. Implies --abort-on-container-exit",
    },
    attach: {
      type: "list",
      help: "Restrict attaching to the specified services. Incompatible with --attach-dependencies",
    },
    "attach-dependencies": { type: "bool", help: "Automatically attach to log output of dependent services" },
    "no-attach": { type: "list", help: "Do not attach (stream logs) to the specified services" },
    timeout: {
      type: "int",
      short: "t",
      help: "Use this timeout in seconds for container shutdown when attached or when containers are already running",
    },
    menu: { type: "bool", help: "Interactive shortcuts: there are none", hidden: true },
    timestamps: { type: "bool", help: "Show timestamps" },
    watch: {
      type: "bool",
      short: "w",
      help: "Watch source code and rebuild/refresh containers when files are updated.",
    },
    wait: { type: "bool", help: "Wait for services to be running|healthy. Implies detached mode" },
    "wait-timeout": {
      type: "int",
      help: "Maximum duration in seconds to wait for the project to be running|healthy",
    },
  },
  async run(session, flags, args) {
    const aborts =
      flags["abort-on-container-exit"] ||
      flags["abort-on-container-failure"] ||
      flags["exit-code-from"] !== undefined;
    const attaching = flags["attach-dependencies"] || flags.attach.length > 0;
    if (flags.detach && (aborts || attaching || flags.watch))
      throw ComposeError.at(
        undefined,
        "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch",
      );
    if (flags.wait && (aborts || attaching))
      throw ComposeError.at(
        undefined,
        "--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
      );
    if (flags["always-recreate-deps"] && flags["no-recreate"])
      throw ComposeError.at(undefined, "--always-recreate-deps and --no-recreate are incompatible");
    const project = session.project(args);
    const exitFrom = flags["exit-code-from"];
    if (exitFrom !== undefined && !project.services[exitFrom])
      throw ComposeError.at(undefined, `no such service: ${exitFrom}`);
    const watched = flags.watch ? (await import("./watch.ts")).toWatch(project, args) : [];
    const live = await createProject(session, project, args, flags);
    if (flags["no-start"]) return 0;

    if (flags.detach || flags.wait || session.flags.dryRun) {
      using progress = session.progress("Running");
      await startServices(session, project, live, progress);
      if (flags.wait && !session.flags.dryRun) {
        const signal = timeoutSignal(flags["wait-timeout"]);
        await Promise.all(
          [...live.values()]
            .flat()
            .map((container) => waitForCondition(session, container, "running_or_healthy", progress, signal)),
        );
      }
      return 0;
    }

    const attached = (name: string): boolean => {
      if (flags["no-attach"].includes(name) || project.services[name]!.attach === false) return false;
      if (flags.attach.length > 0) return flags.attach.includes(name);
      return args.length === 0 || args.includes(name) || flags["attach-dependencies"];
    };
    const attachment = new Attachment(session, project, [...live.values()].flat(), {
      attached,
      prefix: !flags["no-log-prefix"],
      colored: !flags["no-color"] && session.colored(session.out),
      timestamps: flags.timestamps,
      stopWhen: flags["abort-on-container-failure"] ? "failure" : aborts ? "exit" : "never",
      exitCodeFrom: exitFrom,
    });
    return attachment.run(
      async (onStarted, onHookOutput, signal) => {
        using quiet = session.progress("Running", true);
        await startServices(session, project, live, quiet, { onStarted, onHookOutput, signal });
      },
      async () => {
        using progress = session.progress("Stopping");
        const containers = (await session.engine.containers(project.name)).filter(({ Labels }) =>
          live.has(Labels["com.docker.compose.service"] ?? ""),
        );
        await stopContainers(session, project, containers, progress, flags.timeout);
      },
      async () => {
        await Promise.all(
          [...live.values()].flat().map(({ id }) => session.client.send("POST", `/containers/${id}/kill`)),
        );
      },
      watched.length === 0
        ? undefined
        : async (onStarted, signal) => {
            const [{ recreating }, { watchServices }] = await Promise.all([
              import("./watch.ts"),
              import("../run/watch/watch.ts"),
            ]);
            const recreate = recreating(session, project, onStarted);
            await watchServices(session, project, watched, { quiet: false, prune: true, recreate, signal });
          },
    );
  },
});
