/** What services build, as orders for the part that builds. */
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import type { BuildOrder, ServiceBuild } from "../../lib/service-build.ts";
import type { Project } from "../model/types.ts";
import { parseSize } from "../model/units.ts";
import { composeVersion, label } from "../plan/observed.ts";
import { imageOf } from "./images.ts";
import type { Session } from "./session.ts";

export interface BuildOptions {
  /** `NAME=value`, or `NAME` to take the caller's. */
  buildArgs?: string[];
  noCache?: boolean;
  pull?: boolean;
  /** As written: `512m`. */
  memory?: string;
  /** `default`, `ID`, `ID=SOCKET`. */
  ssh?: string;
  provenance?: string;
  sbom?: string;
  quiet?: boolean;
  /** `--progress`, over the one of all commands. */
  progress?: string;
  builder?: string;
  call?: BuildOrder["call"];
  /** The image is for this engine's own containers: of several platforms one is enough. */
  forRunning?: boolean;
}

/**
 * Builds services side by side, and those that they take files from.
 * @returns the exit status; only checks that have found something give one
 * @throws what is wrong with a build, or in it
 */
export async function buildServices(
  session: Session,
  project: Project,
  names: Iterable<string>,
  options: BuildOptions,
): Promise<number> {
  const all = [...withContexts(project, names)];
  const built = all.map((name) => {
    const build = serviceBuild(project, name);
    if (!build) throw new NotImplemented(`service ${JSON.stringify(name)} has no build section`);
    return withOptions(session, project, build, options);
  });
  if (session.flags.dryRun) {
    report(session, all, options.quiet);
    return 0;
  }
  if (!session.context.buildServices) throw new NotImplemented("images can't be built here");
  const call = options.call ?? "build";
  const status = await session.context.buildServices({
    builds: built,
    env: project.environment,
    call,
    progress: options.progress || session.buildProgress(options.quiet),
    parallel: session.flags.parallel,
    memory: memoryOf(options.memory),
    builder: options.builder,
  });
  if (call === "build") report(session, all, options.quiet);
  return status;
}

function report(session: Session, names: string[], quiet = false): void {
  using progress = session.progress("Building", quiet);
  for (const name of names) progress.event(name, "Built", "done");
}

/** What a service builds, as its file says; undefined: nothing. */
export function serviceBuild(project: Project, name: string): ServiceBuild | undefined {
  const { build, image } = project.services[name]!;
  if (!build) return undefined;
  const secrets = build.secrets?.map(({ source, target = source }) => {
    const { file, environment, content } = project.secrets[source] ?? {};
    if (content !== undefined)
      throw new InvalidParameter(
        `service ${JSON.stringify(name)} builds with secret ${JSON.stringify(source)}, which has only content: give it as file or environment`,
      );
    return { id: target, file, environment };
  });
  return { ...build, service: name, image, secrets };
}

/** Each service after those whose images it takes files from (`additional_contexts: service:NAME`). */
function withContexts(project: Project, names: Iterable<string>): Set<string> {
  const result = new Set<string>();
  const visit = (name: string, through: string[]): void => {
    if (result.has(name) || through.includes(name)) return;
    const contexts = Object.values(project.services[name]?.build?.additional_contexts ?? {});
    for (const context of contexts)
      if (context.startsWith("service:")) visit(context.slice("service:".length), [...through, name]);
    result.add(name);
  };
  for (const name of names) visit(name, []);
  return result;
}

function withOptions(
  session: Session,
  project: Project,
  { "x-bake": _, ...build }: ServiceBuild,
  options: BuildOptions,
): ServiceBuild {
  const { service } = build;
  const own = project.services[service]?.platform ?? (session.env.DOCKER_DEFAULT_PLATFORM || undefined);
  const several = (build.platforms?.length ?? 0) > 1;
  const platforms =
    build.platforms?.length && !(several && options.forRunning) ? build.platforms : own && [own];
  return {
    ...build,
    tags: [...new Set([...(build.tags ?? []), imageOf(project, service)])],
    args: { ...build.args, ...argumentsOf(session, options.buildArgs ?? []) },
    labels: {
      ...build.labels,
      [label.project]: project.name,
      [label.service]: service,
      [label.version]: composeVersion,
    },
    platforms: platforms || undefined,
    no_cache: build.no_cache || options.noCache,
    pull: build.pull || options.pull,
    ssh: { ...build.ssh, ...agentOf(options.ssh) },
    provenance: options.provenance ?? build.provenance,
    sbom: options.sbom ?? build.sbom,
  };
}

/** A name alone takes the caller's value. */
function argumentsOf(session: Session, entries: string[]): Record<string, string | null> {
  return Object.fromEntries(
    entries.map((entry) => {
      const cut = entry.indexOf("=");
      return cut < 0 ? [entry, session.env[entry] ?? null] : [entry.slice(0, cut), entry.slice(cut + 1)];
    }),
  );
}

function agentOf(text: string | undefined): Record<string, string | null> {
  if (!text) return {};
  const cut = text.indexOf("=");
  return cut < 0 ? { [text]: null } : { [text.slice(0, cut)]: text.slice(cut + 1) };
}

function memoryOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseSize(text);
  if (bytes === undefined)
    throw new InvalidParameter(
      `invalid argument ${JSON.stringify(text)} for "-m, --memory" flag: invalid size: '${text}'`,
    );
  return bytes;
}
