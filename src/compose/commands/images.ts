/** build, pull, push: what a project does with its images. */
import { Unavailable } from "../../lib/errors.ts";
import { ComposeError } from "../model/errors.ts";
import { withDependencies } from "../model/graph.ts";
import type { Project } from "../model/types.ts";
import { buildServices } from "../run/build.ts";
import { encodeImage } from "../run/engine.ts";
import { imageOf, pullServices, splitReference } from "../run/images.ts";
import { forEachParallel } from "../run/parallel.ts";
import type { Session } from "../run/session.ts";
import { defineCommand } from "./command.ts";

function namesOf(project: Project, args: string[], withDeps: boolean): string[] {
  for (const name of args)
    if (!project.services[name]) throw ComposeError.at(undefined, `no such service: ${name}`);
  if (args.length === 0) return Object.keys(project.services);
  return withDeps ? [...withDependencies(project.services, args)] : args;
}

export const build = defineCommand({
  name: "build",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Build or rebuild services",
  flags: {
    "build-arg": { type: "list", help: "Set build-time variables for services" },
    builder: { type: "string", help: "Set builder to use" },
    check: { type: "bool", help: "Check build configuration" },
    compress: { type: "bool", help: "Deprecated - no effect", hidden: true },
    "force-rm": { type: "bool", help: "Deprecated - no effect", hidden: true },
    memory: { type: "string", short: "m", help: "Set memory limit for each build step" },
    "no-cache": { type: "bool", help: "Do not use cache when building the image" },
    "no-rm": { type: "bool", help: "Deprecated - no effect", hidden: true },
    parallel: { type: "bool", help: "Deprecated - no effect", hidden: true },
    print: { type: "bool", help: "Print equivalent bake file" },
    progress: {
      type: "string",
      help: "Set type of ui output (auto, tty, plain, quiet, rawjson)",
      hidden: true,
    },
    provenance: { type: "string", help: "Add a provenance attestation" },
    pull: { type: "bool", help: "Always attempt to pull a newer version of the image" },
    push: { type: "bool", help: "Push service images" },
    quiet: { type: "bool", short: "q", help: "Suppress the build output" },
    sbom: { type: "string", help: "Add a SBOM attestation" },
    ssh: {
      type: "string",
      help: "Set SSH authentications used when building service images. (use 'default' for using your default SSH Agent)",
    },
    "with-dependencies": { type: "bool", help: "Also build dependencies (transitively)" },
  },
  async run(session, flags, args) {
    const project = session.project(args);
    const names = namesOf(project, args, flags["with-dependencies"]).filter(
      (name) => project.services[name]!.build,
    );
    if (names.length === 0) {
      session.warn("No services to build");
      return 0;
    }
    const call = flags.print ? "print" : flags.check ? "check" : "build";
    const status = await buildServices(session, project, names, {
      buildArgs: flags["build-arg"],
      noCache: flags["no-cache"],
      pull: flags.pull,
      memory: flags.memory,
      ssh: flags.ssh,
      provenance: flags.provenance,
      sbom: flags.sbom,
      quiet: flags.quiet,
      progress: flags.progress,
      builder: flags.builder,
      call,
    });
    if (flags.push && call === "build")
      await pushServices(session, project, names, { quiet: flags.quiet, ignoreFailures: false });
    return status;
  },
});

export const pull = defineCommand({
  name: "pull",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Pull service images",
  flags: {
    "ignore-buildable": { type: "bool", help: "Ignore images that can be built" },
    "ignore-pull-failures": { type: "bool", help: "Pull what it can and ignores images with pull failures" },
    "include-deps": { type: "bool", help: "Also pull services declared as dependencies" },
    "no-parallel": { type: "bool", help: "Deprecated - no effect", hidden: true },
    parallel: { type: "bool", help: "Deprecated - no effect", hidden: true },
    policy: { type: "string", help: 'Apply pull policy ("missing"|"always")' },
    quiet: { type: "bool", short: "q", help: "Pull without printing progress information" },
  },
  async run(session, flags, args) {
    if (flags.policy !== undefined && flags.policy !== "missing" && flags.policy !== "always")
      throw ComposeError.at(
        undefined,
        `invalid --policy ${JSON.stringify(flags.policy)}`,
        "missing or always",
      );
    const project = session.project(args);
    using progress = session.progress("Pulling", flags.quiet);
    const names: string[] = [];
    for (const name of namesOf(project, args, flags["include-deps"])) {
      const service = project.services[name]!;
      if (service.provider) continue;
      if (service.image === undefined) progress.event(name, "Skipped No image to be pulled", "done");
      else if (service.build && flags["ignore-buildable"])
        progress.event(name, "Skipped Image can be built", "done");
      else if (service.pull_policy === "never" || service.pull_policy === "build")
        progress.event(
          name,
          `Skipped ${service.pull_policy === "build" ? "Image must be built" : "Pull policy is never"}`,
          "done",
        );
      else if (
        (flags.policy ?? service.pull_policy) === "missing" &&
        (await session.engine.image(service.image))
      )
        progress.event(name, "Skipped Image is already present locally", "done");
      else names.push(name);
    }
    const failures: string[] = [];
    await pullServices(session, project, names, progress, async (name, error) => {
      const buildable = project.services[name]!.build !== undefined;
      if (flags["ignore-pull-failures"]) return;
      if (buildable) failures.push(name);
      else throw error;
    });
    if (failures.length > 0)
      session.warn(
        `Some service image(s) must be built from source by running:\n    gantry compose build ${[...new Set(failures)].join(" ")}`,
      );
    return 0;
  },
});

interface PushMessage {
  error?: string;
  errorDetail?: { message: string };
}

export const push = defineCommand({
  name: "push",
  usage: "[OPTIONS] [SERVICE...]",
  summary: "Push service images",
  flags: {
    "ignore-push-failures": { type: "bool", help: "Push what it can and ignores images with push failures" },
    "include-deps": { type: "bool", help: "Also push images of services declared as dependencies" },
    quiet: { type: "bool", short: "q", help: "Push without printing progress information" },
  },
  async run(session, flags, args) {
    const project = session.project(args);
    const names = namesOf(project, args, flags["include-deps"]);
    await pushServices(session, project, names, {
      quiet: flags.quiet,
      ignoreFailures: flags["ignore-push-failures"],
    });
    return 0;
  },
});

/** Pushes what was built under a name of the user's choice. */
async function pushServices(
  session: Session,
  project: Project,
  names: string[],
  options: { quiet: boolean; ignoreFailures: boolean },
): Promise<void> {
  using progress = session.progress("Pushing", options.quiet);
  const built = names.filter((name) => project.services[name]!.build);
  await forEachParallel(built, session.flags.parallel, async (name) => {
    if (project.services[name]!.image === undefined) {
      progress.event(name, "Skipped", "done");
      return;
    }
    progress.event(name, "Pushing");
    try {
      if (!session.flags.dryRun) await pushImage(session, imageOf(project, name));
      progress.event(name, "Pushed", "done");
    } catch (error) {
      progress.event(name, "Error", "error");
      if (!options.ignoreFailures) throw error;
    }
  });
}

async function pushImage(session: Session, reference: string): Promise<void> {
  const { fromImage, tag } = splitReference(reference);
  // The engine wants the header even from those who have no password.
  const anonymous = Buffer.from("{}").toString("base64url");
  const messages = session.client.messages<PushMessage>("POST", `/images/${encodeImage(fromImage)}/push`, {
    query: { tag },
    headers: { "X-Registry-Auth": (await session.context.registryAuth?.(reference)) ?? anonymous },
  });
  for await (const message of messages) {
    const error = message.errorDetail?.message ?? message.error;
    if (error) throw new Unavailable(error);
  }
}
