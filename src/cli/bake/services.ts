/** What the services of a Compose project build, in the way of `bake`: for `compose build` and `compose up`. */
import type { BuildOrder } from "../../lib/service-build.ts";
import type { BuildValues } from "../build/flags.ts";
import { contextOfBuilder } from "../builder/builders.ts";
import type { CliContext } from "../context.ts";
import { targetName, targetOf } from "./compose.ts";
import { addTarget, type Project, plan } from "./resolve.ts";
import { runPlan } from "./run.ts";

/** @returns the exit status @throws BuildFailed, and what is wrong with a build */
export async function buildServices(
  current: CliContext,
  { builds, env, call, progress, parallel, memory, builder }: BuildOrder,
): Promise<number> {
  const context = (await contextOfBuilder(current, builder)).withEnvironment(env);
  const project: Project = { targets: new Map(), groups: new Map() };
  for (const build of builds) {
    const target = targetOf(build, env);
    addTarget(project, targetName(build.service), call === "check" ? { ...target, call } : target);
  }
  const planned = plan(project, [...project.targets.keys()], []);
  if (call === "print") {
    const { formatPlan } = await import("./print.ts");
    context.out(formatPlan(planned));
    return 0;
  }
  // Who writes a right into the Compose file agrees with it.
  const allow = [...planned.targets.values()].flatMap(({ entitlements = [] }) => entitlements);
  const edit = (values: BuildValues) => ({ ...values, memory });
  return runPlan(context, planned, { progress, allow, parallel, edit });
}
