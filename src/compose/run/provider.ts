/**
 * Services that a program of the user's brings up in its own way (`provider`). It is called as `PROGRAM compose
 * --project-name=NAME up|stop|down --OPTION=VALUE SERVICE`, and speaks JSON lines: `{"type": "info", "message": "…"}`.
 * (Source: docker/compose, docs/extension.md.)
 */
import { accessSync, constants } from "node:fs";
import { Internal, NotFound } from "../../lib/errors.ts";
import { startOrder } from "../model/graph.ts";
import type { Project, Service } from "../model/types.ts";
import type { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** Projects for which all providers have been asked: one command may come here twice. */
const provided = new WeakSet<Project>();

/** Brings up what providers give. @returns the project with what they have set for those that depend on them */
export async function provide(
  session: Session,
  project: Project,
  chosen: ReadonlySet<string>,
): Promise<Project> {
  const names = providedServices(project).filter((name) => chosen.has(name));
  if (names.length === 0 || provided.has(project)) return project;
  const services = { ...project.services };
  using progress = session.progress("Running");
  for (const name of names) {
    const variables = await runProvider(session, { ...project, services }, name, "up", progress);
    for (const [other, service] of Object.entries(services))
      if (service.depends_on?.[name])
        services[other] = { ...service, environment: { ...service.environment, ...variables } };
  }
  const result = { ...project, services };
  provided.add(result);
  return result;
}

/** Has those providers stop their services that say they can, those that need others first. */
export async function suspend(
  session: Session,
  project: Project,
  chosen: ReadonlySet<string>,
  progress: Progress,
): Promise<void> {
  for (const name of providedServices(project).reverse())
    if (chosen.has(name) && (await stops(session, project, name)))
      await runProvider(session, project, name, "stop", progress);
}

/** Whether a provider's `metadata` has `stop`; one without metadata is older than that, and one that is gone can't. */
async function stops(session: Session, project: Project, name: string): Promise<boolean> {
  const program = findProgram(session, project.services[name]!.provider!.type ?? "");
  if (!program) return false;
  const child = Bun.spawn([program, "compose", "metadata"], {
    cwd: project.workingDir,
    env: session.env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  const [text, status] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  if (status !== 0) return false;
  try {
    const metadata: unknown = JSON.parse(text);
    return typeof metadata === "object" && metadata !== null && "stop" in metadata;
  } catch {
    return false;
  }
}

/** Takes down what providers have given, those that need others first. */
export async function withdraw(session: Session, project: Project, progress: Progress): Promise<void> {
  for (const name of providedServices(project).reverse())
    await runProvider(session, project, name, "down", progress);
}

function providedServices({ services }: Project): string[] {
  return startOrder(services).filter((name) => services[name]!.provider);
}

const words = {
  up: ["Creating", "Created"],
  stop: ["Stopping", "Stopped"],
  down: ["Removing", "Removed"],
} as const;

/** @returns the variables that it sets @throws NotFound without such a program, Internal when that fails */
async function runProvider(
  session: Session,
  project: Project,
  name: string,
  action: keyof typeof words,
  progress: Progress,
): Promise<Record<string, string>> {
  const service = project.services[name]!;
  const [doing, done] = words[action];
  progress.event(name, doing);
  const variables: Record<string, string> = {};
  if (!session.flags.dryRun) {
    const child = Bun.spawn(commandOf(session, project, name, service, action), {
      cwd: project.workingDir,
      env: { ...session.env, ...definedOnly(service.environment), COMPOSE_PROJECT_NAME: project.name },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    let failure: string | undefined;
    for await (const line of linesOf(child.stdout)) {
      const { type, message } = messageOf(line, name);
      const cut = message.indexOf("=");
      const variable = message.slice(0, cut);
      if (type === "error") failure = message;
      else if (type === "setenv") variables[`${name.toUpperCase()}_${variable}`] = message.slice(cut + 1);
      else if (type === "rawsetenv") variables[variable] = message.slice(cut + 1);
      else if (type === "info") progress.event(name, message);
    }
    const status = await child.exited;
    if (failure !== undefined || status !== 0) {
      progress.event(name, "Error", "error");
      throw new Internal(
        `provider of service ${JSON.stringify(name)}: ${failure ?? `exit status ${status}`}`,
      );
    }
  }
  progress.event(name, done, "done");
  return variables;
}

function commandOf(
  session: Session,
  project: Project,
  name: string,
  service: Service,
  action: string,
): string[] {
  const { type = "", options = {} } = service.provider!;
  const flags = Object.entries(options).flatMap(([key, values]) =>
    values.map((value) => `--${key}=${value}`),
  );
  const program = programOf(session, type);
  return [program, "compose", `--project-name=${project.name}`, action, ...flags, name];
}

const pluginDirectories = [
  "/usr/local/lib/docker/cli-plugins",
  "/usr/local/libexec/docker/cli-plugins",
  "/usr/lib/docker/cli-plugins",
  "/usr/libexec/docker/cli-plugins",
];

/** A plugin of Docker's client, or a program of that name. */
function findProgram({ env }: Session, type: string): string | undefined {
  const own = `${env.DOCKER_CONFIG || `${env.HOME ?? "/root"}/.docker`}/cli-plugins`;
  const plugin = [own, ...pluginDirectories].map((at) => `${at}/docker-${type}`).find(isProgram);
  return plugin ?? Bun.which(type, { PATH: env.PATH ?? "" }) ?? undefined;
}

/** @throws NotFound */
function programOf(session: Session, type: string): string {
  const found = findProgram(session, type);
  if (!found)
    throw new NotFound(
      `provider ${JSON.stringify(type)} not found: no plugin docker-${type}, no program ${type}`,
    );
  return found;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function messageOf(line: string, name: string): { type?: string; message: string } {
  try {
    const { type, message } = JSON.parse(line) as { type?: string; message?: unknown };
    return { type, message: String(message ?? "") };
  } catch (error) {
    throw new Internal(`provider of service ${JSON.stringify(name)} said what is no JSON: ${line}`, {
      cause: error,
    });
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield line;
  }
  if (rest.trim() !== "") yield rest;
}

const definedOnly = (environment: Record<string, string | null> = {}) =>
  Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== null),
  );
