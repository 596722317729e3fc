/** The images of services: which is there, which has to be pulled or built, and how that is shown. */

import { parseDuration } from "../../lib/duration.ts";
import { NotFound } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import type { Project, Service } from "../model/types.ts";
import { formatDuration } from "../model/units.ts";
import { type BuildOptions, buildServices } from "./build.ts";
import type { ImageDetails } from "./engine.ts";
import { forEachParallel } from "./parallel.ts";
import type { Progress } from "./progress.ts";
import type { Session } from "./session.ts";

/** The image that a service's containers are made from. */
export function imageOf(project: Project, name: string): string {
  return project.services[name]?.image ?? `${project.name}-${name}`;
}

export interface EnsureOptions {
  /** `--pull`: overrides each service's own policy. */
  pull?: string;
  quietPull: boolean;
  /** `always` with --build, `never` with --no-build. */
  build: "always" | "missing" | "never";
  buildOptions?: BuildOptions;
}

/**
 * Sees to it that every chosen service's image is there.
 * @returns image ids by service
 */
export async function ensureImages(
  session: Session,
  project: Project,
  names: Iterable<string>,
  options: EnsureOptions,
): Promise<Record<string, string | undefined>> {
  const chosen = [...names].filter((name) => !project.services[name]!.provider);
  const ids: Record<string, string | undefined> = {};
  const toBuild: string[] = [];
  const toPull: string[] = [];
  await forEachParallel(chosen, session.flags.parallel, async (name) => {
    const service = project.services[name]!;
    const image = await session.engine.image(imageOf(project, name));
    ids[name] = image?.Id;
    const step = whatToDo(service, name, image, options);
    if (step === "build") toBuild.push(name);
    if (step === "pull") toPull.push(name);
  });

  if (toPull.length > 0) {
    using progress = session.progress("Pulling", options.quietPull);
    await pullServices(session, project, toPull, progress, async (name, error) => {
      // An image that can't be pulled but can be built is built.
      if (!project.services[name]!.build || options.build === "never") throw error;
      toBuild.push(name);
    });
  }
  if (toBuild.length > 0)
    await buildServices(session, project, toBuild, { ...options.buildOptions, forRunning: true });
  for (const name of [...toPull, ...toBuild])
    ids[name] = (await session.engine.image(imageOf(project, name)))?.Id;
  if (!session.flags.dryRun)
    for (const name of chosen)
      if (ids[name] === undefined) throw new NotFound(`No such image: ${imageOf(project, name)}`);
  return ids;
}

function whatToDo(
  service: Service,
  name: string,
  image: ImageDetails | undefined,
  options: EnsureOptions,
): "build" | "pull" | "nothing" {
  const policy = options.pull ?? service.pull_policy ?? "missing";
  if (service.build && (options.build === "always" || service.pull_policy === "build")) return "build";
  if (policy === "build" && !service.build)
    throw ComposeError.at(
      undefined,
      `service ${JSON.stringify(name)} has pull_policy build but no build section`,
    );
  const stale = image !== undefined && isStale(policy, image);
  if (image && !stale && policy !== "always") return "nothing";
  if (service.build && !service.image) {
    if (image) return "nothing";
    if (options.build === "never")
      throw new NotFound(
        `No such image: service ${JSON.stringify(name)} has to be built, but --no-build was given`,
      );
    return "build";
  }
  if (policy === "never") {
    if (!image)
      throw new NotFound(
        `No such image: ${service.image}: service ${JSON.stringify(name)} has pull policy never`,
      );
    return "nothing";
  }
  if (service.build && !image && policy === "missing" && options.build !== "never") return "build";
  return "pull";
}

/** `daily`, `weekly`, `every_12h`: whether the image is older than that. */
function isStale(policy: string, image: ImageDetails): boolean {
  const period =
    policy === "daily"
      ? "1d"
      : policy === "weekly"
        ? "7d"
        : policy.startsWith("every_")
          ? policy.slice("every_".length)
          : undefined;
  if (period === undefined) return false;
  const nanoseconds = parseDuration(period, { days: true });
  if (nanoseconds === undefined)
    throw ComposeError.at(
      undefined,
      `invalid pull_policy ${JSON.stringify(policy)}`,
      `write for example every_${formatDuration(3600e9)}`,
    );
  return Date.now() - Date.parse(image.Created) > nanoseconds / 1e6;
}

interface PullMessage {
  status?: string;
  id?: string;
  error?: string;
  errorDetail?: { message: string };
}

/** Pulls each distinct image once; a failure goes to `onFailure`. */
export async function pullServices(
  session: Session,
  project: Project,
  names: string[],
  progress: Progress,
  onFailure: (name: string, error: unknown) => Promise<void>,
): Promise<void> {
  const byImage = new Map<string, string[]>();
  for (const name of names) {
    const key = `${imageOf(project, name)} ${project.services[name]?.platform ?? ""}`;
    byImage.set(key, [...(byImage.get(key) ?? []), name]);
  }
  await forEachParallel([...byImage.values()], session.flags.parallel, async (group) => {
    const [name] = group as [string, ...string[]];
    progress.event(name, "Pulling");
    try {
      if (!session.flags.dryRun)
        await pullImage(session, imageOf(project, name), project.services[name]?.platform);
      progress.event(name, "Pulled", "done");
    } catch (error) {
      progress.event(name, `Error ${error instanceof Error ? error.message : String(error)}`, "error");
      for (const each of group) await onFailure(each, error);
    }
  });
}

/** @throws NotFound, Unavailable and what else the engine answers, with its words */
export async function pullImage(session: Session, reference: string, platform?: string): Promise<void> {
  const auth = await session.context.registryAuth?.(reference);
  const { fromImage, tag } = splitReference(reference);
  const messages = session.client.messages<PullMessage>("POST", "/images/create", {
    query: { fromImage, tag, platform },
    headers: auth ? { "X-Registry-Auth": auth } : {},
  });
  for await (const message of messages) {
    const error = message.errorDetail?.message ?? message.error;
    if (error) throw new NotFound(error);
  }
}

/** `a/b:tag` for the query of `/images/create`; a digest stands in `tag`. */
export function splitReference(reference: string): { fromImage: string; tag: string } {
  const [name = "", digest] = reference.split("@");
  const cut = name.lastIndexOf(":");
  const hasTag = cut > name.lastIndexOf("/");
  const repository = hasTag ? name.slice(0, cut) : name;
  return { fromImage: repository, tag: digest ?? (hasTag ? name.slice(cut + 1) : "latest") };
}
