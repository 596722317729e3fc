import { randomBytes } from "node:crypto";
import { parseDotenv } from "../model/dotenv.ts";
import { ComposeError } from "../model/errors.ts";
import { withDependencies } from "../model/graph.ts";
import { parseVolume } from "../model/mounts.ts";
import { absolutePath } from "../model/paths.ts";
import { parsePort } from "../model/ports.ts";
import type { Project, Service, VolumeMount } from "../model/types.ts";
import { splitWords } from "../model/words.ts";
import { label } from "../plan/observed.ts";
import { createContainer } from "../run/converge.ts";
import { isOneOff, numberOf } from "../run/engine.ts";
import { ensureImages, imageOf } from "../run/images.ts";
import { provide } from "../run/provider.ts";
import { readFile, type Session } from "../run/session.ts";
import { startServices } from "../run/start.ts";
import { hasTerminal, join } from "../run/terminal.ts";
import { defineCommand } from "./command.ts";
import { createProject } from "./up.ts";

const flagSpecs = {
  build: { type: "bool", help: "Build image before starting container" },
  "cap-add": { type: "list", help: "Add Linux capabilities" },
  "cap-drop": { type: "list", help: "Drop Linux capabilities" },
  detach: { type: "bool", short: "d", help: "Run container in background and print container ID" },
  entrypoint: { type: "string", help: "Override the entrypoint of the image" },
  env: { type: "list", short: "e", help: "Set environment variables" },
  "env-from-file": { type: "list", help: "Set environment variables from file" },
  interactive: { type: "bool", short: "i", help: "Keep STDIN open even if not attached", default: true },
  label: { type: "list", short: "l", help: "Add or override a label" },
  name: { type: "string", help: "Assign a name to the container" },
  "no-tty": { type: "bool", short: "T", help: "Disable pseudo-TTY allocation (default: auto-detected)" },
  "no-deps": { type: "bool", help: "Don't start linked services" },
  publish: { type: "list", short: "p", help: "Publish a container's port(s) to the host" },
  pull: { type: "string", help: 'Pull image before running ("always"|"missing"|"never")' },
  quiet: { type: "bool", short: "q", help: "Don't print anything to STDOUT" },
  "quiet-build": { type: "bool", help: "Suppress progress output from the build process" },
  "quiet-pull": { type: "bool", help: "Pull without printing progress information" },
  "remove-orphans": { type: "bool", help: "Remove containers for services not defined in the Compose file" },
  rm: { type: "bool", help: "Automatically remove the container when it exits" },
  "service-ports": {
    type: "bool",
    short: "P",
    help: "Run command with all service's ports enabled and mapped to the host",
  },
  tty: { type: "bool", short: "t", help: "Allocate a pseudo-TTY", hidden: true },
  "use-aliases": {
    type: "bool",
    help: "Use the service's network useAliases in the network(s) the container connects to",
  },
  user: { type: "string", short: "u", help: "Run as specified username or uid" },
  volume: { type: "list", short: "v", help: "Bind mount a volume" },
  workdir: { type: "string", short: "w", help: "Working directory inside the container" },
} as const;

interface Overrides {
  "cap-add": string[];
  "cap-drop": string[];
  entrypoint: string | undefined;
  env: string[];
  "env-from-file": string[];
  label: string[];
  publish: string[];
  "service-ports": boolean;
  user: string | undefined;
  volume: string[];
  workdir: string | undefined;
  interactive: boolean;
}

export const run = defineCommand({
  name: "run",
  usage: "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
  summary: "Run a one-off command on a service",
  interspersed: false,
  flags: flagSpecs,
  async run(session, flags, args) {
    const [name, ...command] = args;
    if (!name) throw ComposeError.at(undefined, "requires at least 1 arg(s), only received 0");
    const given = session.project([name]);
    if (!given.services[name]) throw ComposeError.at(undefined, `no such service: ${name}`);
    const chosen = flags["no-deps"] ? [] : withDependencies(given.services, [name]);
    const project = await provide(session, given, new Set(chosen));
    const service = project.services[name]!;

    const needed = flags["no-deps"] ? [] : Object.keys(service.depends_on ?? {});
    await startNeeded(session, project, needed, flags);
    const imageIds = await ensureImages(session, project, [name], {
      pull: flags.pull,
      quietPull: flags["quiet-pull"],
      build: flags.build ? "always" : "missing",
      buildOptions: { quiet: flags["quiet-build"] },
    });

    const tty = !flags["no-tty"] && !flags.detach && hasTerminal();
    const slug = randomBytes(32).toString("hex");
    const containerName = flags.name ?? `${project.name}-${name}-run-${slug.slice(0, 12)}`;
    const own = withOverrides(session, project, service, flags, command);
    own.tty = tty;
    const siblings = (await session.engine.containers(project.name)).filter(
      (container) => !isOneOff(container),
    );
    await ensureNetworks(session, project, name);
    const id = await createContainer(
      session,
      project,
      name,
      own,
      {
        number: 1,
        containerName,
        image: imageOf(project, name),
        imageId: imageIds[name],
        oneOff: true,
        slug,
        useAliases: flags["use-aliases"],
        containerOf: (other) => {
          const found = siblings.find((item) => item.Labels[label.service] === other && numberOf(item) === 1);
          if (!found)
            throw ComposeError.at(
              undefined,
              `service ${JSON.stringify(other)} has no container to share with`,
            );
          return found.Id;
        },
        inheritedVolumes: {},
      },
      containerName,
      ({ body }) => {
        body.AttachStdin = flags.interactive && !flags.detach;
        body.StdinOnce = body.AttachStdin;
        body.HostConfig.AutoRemove = flags.rm && flags.detach;
        body.HostConfig.RestartPolicy = undefined;
      },
    );
    if (flags.detach) {
      await session.engine.start(id);
      session.out.write(`${containerName}\n`);
      return 0;
    }
    try {
      return await foreground(session, id, { tty, input: flags.interactive });
    } finally {
      if (flags.rm) await session.engine.remove(id, true);
    }
  },
});

async function foreground(
  session: Session,
  id: string,
  options: { tty: boolean; input: boolean },
): Promise<number> {
  // Attached before it starts, so that nothing it says is lost.
  const stream = await session.client.hijack("POST", `/containers/${id}/attach`, {
    query: { stream: true, stdin: options.input, stdout: true, stderr: true },
  });
  const release = options.tty
    ? () => {}
    : session.onInterrupt(() => {
        void session.client.send("POST", `/containers/${id}/kill`, { query: { signal: "SIGINT" } });
      });
  try {
    await session.engine.start(id);
    await join(session, stream, {
      ...options,
      resize: ({ rows, columns }) =>
        session.client.call("POST", `/containers/${id}/resize`, { query: { h: rows, w: columns } }),
    });
    return await session.engine.wait(id);
  } finally {
    release();
    stream.close();
  }
}

async function startNeeded(
  session: Session,
  project: Project,
  names: string[],
  flags: {
    "quiet-pull": boolean;
    "quiet-build": boolean;
    "remove-orphans": boolean;
    pull: string | undefined;
  },
): Promise<void> {
  if (names.length === 0) return;
  const live = await createProject(session, project, names, {
    build: false,
    "no-build": false,
    "force-recreate": false,
    "no-recreate": false,
    scale: [],
    ...flags,
  });
  using progress = session.progress("Running");
  // The command itself waits for the conditions on what it needs: a stand-in of its place carries them out.
  await startServices(session, project, live, progress);
}

/** A service alone may still need its networks and volumes: planning for zero containers makes just those. */
async function ensureNetworks(session: Session, project: Project, name: string): Promise<void> {
  const bare: Project = {
    ...project,
    services: { [name]: { ...project.services[name]!, scale: 0, depends_on: undefined } },
  };
  const observed = await session.engine.observe(project.name, {
    networks: Object.values(project.networks).map(({ name: network }) => network!),
    volumes: Object.values(project.volumes).map(({ name: volume }) => volume!),
  });
  const { planUp } = await import("../plan/plan.ts");
  const { converge } = await import("../run/converge.ts");
  const plan = planUp(
    bare,
    { ...observed, containers: [] },
    {
      services: [],
      recreate: "never",
      recreateDependencies: "never",
      noDeps: true,
      scale: {},
      removeOrphans: false,
      imageIds: {},
    },
  );
  using progress = session.progress("Running");
  await converge(session, bare, plan, progress, { imageIds: {}, renewAnonymousVolumes: false });
}

function withOverrides(
  session: Session,
  project: Project,
  service: Service,
  flags: Overrides,
  command: string[],
): Service {
  const environment: Record<string, string | null> = { ...service.environment };
  for (const file of flags["env-from-file"]) {
    const path = absolutePath(file, session.cwd);
    const text = readFile(path);
    if (text === undefined) throw ComposeError.at(undefined, `env file ${path} not found`);
    Object.assign(
      environment,
      parseDotenv(text, path, (key) => session.env[key]),
    );
  }
  for (const entry of flags.env) {
    const cut = entry.indexOf("=");
    if (cut < 0) environment[entry] = project.environment[entry] ?? null;
    else environment[entry.slice(0, cut)] = entry.slice(cut + 1);
  }
  const labels = Object.fromEntries(
    flags.label.map((entry) => {
      const cut = entry.indexOf("=");
      return cut < 0 ? [entry, ""] : [entry.slice(0, cut), entry.slice(cut + 1)];
    }),
  );
  const { container_name: _name, healthcheck: _check, restart: _restart, ports, ...rest } = service;
  return {
    ...rest,
    ...(flags["service-ports"] ? { ports } : {}),
    ...(flags.publish.length > 0
      ? { ports: [...(flags["service-ports"] ? (ports ?? []) : []), ...flags.publish.flatMap(portOf)] }
      : {}),
    ...(command.length > 0 ? { command } : flags.entrypoint !== undefined ? { command: [] } : {}),
    ...(flags.entrypoint !== undefined ? { entrypoint: splitWords(flags.entrypoint) } : {}),
    ...(flags.user !== undefined ? { user: flags.user } : {}),
    ...(flags.workdir !== undefined ? { working_dir: flags.workdir } : {}),
    cap_add: [...(service.cap_add ?? []), ...flags["cap-add"]],
    cap_drop: [...(service.cap_drop ?? []), ...flags["cap-drop"]],
    environment,
    labels: { ...service.labels, ...labels },
    stdin_open: flags.interactive,
    volumes: [
      ...(service.volumes ?? []),
      ...flags.volume.map((text) => volumeOf(text, session.cwd, project)),
    ],
  };
}

function portOf(text: string) {
  try {
    return parsePort(text);
  } catch (error) {
    if (error instanceof RangeError) throw ComposeError.at(undefined, error.message);
    throw error;
  }
}

/** `-v` names the engine's volumes, not the project's. */
function volumeOf(text: string, cwd: string, project: Project): VolumeMount {
  try {
    const mount = parseVolume(text);
    if (mount.type === "bind") return { ...mount, source: absolutePath(mount.source!, cwd) };
    if (mount.source && !project.volumes[mount.source])
      project.volumes[mount.source] = { name: mount.source, external: true };
    return mount;
  } catch (error) {
    if (error instanceof RangeError) throw ComposeError.at(undefined, error.message);
    throw error;
  }
}
