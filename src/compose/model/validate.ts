/** What the schema can't see: references between resources, and values that contradict each other. */
import { ComposeError, didYouMean, type Problem } from "./errors.ts";
import { startOrder } from "./graph.ts";
import { locate, type Node } from "./node.ts";
import type { FileObject, Project, Service } from "./types.ts";

/**
 * @param tree the merged tree, for the places of problems
 * @throws ComposeError with every problem
 */
export function validate(project: Project, tree: Node): void {
  const problems: Problem[] = [];
  for (const [name, service] of Object.entries(project.services)) {
    const report = (path: string[], message: string, hint?: string) =>
      problems.push({
        at: locate(tree, ["services", name, ...path]),
        message: `service ${JSON.stringify(name)} ${message}`,
        hint,
      });
    checkReferences(project, service, report);
    checkContradictions(service, report);
    checkValues(service, report);
  }
  for (const section of ["secrets", "configs"] as const)
    for (const [name, item] of Object.entries(project[section])) {
      const message = fileObjectProblem(item);
      if (message)
        problems.push({ at: locate(tree, [section, name]), message: `${section}.${name} ${message}` });
    }
  for (const section of ["networks", "volumes"] as const)
    for (const [name, item] of Object.entries(project[section]))
      if (item.external && (item.driver || item.driver_opts || item.labels))
        problems.push({
          at: locate(tree, [section, name]),
          message: `${section}.${name} is external: only its name can be given here, not its driver, options or labels`,
        });
  if (problems.length > 0) throw new ComposeError(problems);
  checkOrder(project, tree);
}

function checkOrder(project: Project, tree: Node): void {
  try {
    startOrder(project.services);
  } catch (error) {
    if (!(error instanceof ComposeError)) throw error;
    const first = /: (\S+) ->/.exec(error.message)?.[1] ?? "";
    throw ComposeError.at(locate(tree, ["services", first, "depends_on"]), error.message);
  }
}

type Report = (path: string[], message: string, hint?: string) => void;

function checkReferences(project: Project, service: Service, report: Report): void {
  if (!service.image && !service.build && !service.provider)
    report([], "has neither an image nor a build context specified: invalid compose project");
  for (const needed of Object.keys(service.depends_on ?? {})) {
    if (project.services[needed]) continue;
    const hint = project.disabledServices[needed]
      ? `it has the profiles ${project.disabledServices[needed].profiles?.join(", ")}: activate one with --profile`
      : didYouMean(needed, Object.keys(project.services));
    report(["depends_on", needed], `depends on undefined service ${JSON.stringify(needed)}`, hint);
  }
  const known = <T>(items: Record<string, T>, key: string, kind: string, path: string[]) => {
    if (!items[key])
      report(
        path,
        `refers to undefined ${kind} ${key}`,
        didYouMean(key, Object.keys(items)) ?? `declare it at the top level under ${kind}s:`,
      );
  };
  for (const key of Object.keys(service.networks ?? {}))
    known(project.networks, key, "network", ["networks", key]);
  service.volumes?.forEach((mount, index) => {
    if (mount.type === "volume" && mount.source)
      known(project.volumes, mount.source, "volume", ["volumes", String(index)]);
    if (mount.target === undefined) report(["volumes", String(index)], "has a volume without target");
  });
  for (const [index, { source }] of (service.secrets ?? []).entries())
    known(project.secrets, source, "secret", ["secrets", String(index)]);
  for (const [index, { source }] of (service.build?.secrets ?? []).entries())
    known(project.secrets, source, "secret", ["build", "secrets", String(index)]);
  for (const [name, context] of Object.entries(service.build?.additional_contexts ?? {})) {
    const needed = /^service:(.*)$/.exec(context)?.[1];
    if (needed === undefined || project.services[needed]?.build) continue;
    report(
      ["build", "additional_contexts", name],
      `takes the context ${name} from service ${JSON.stringify(needed)}, which builds nothing`,
      didYouMean(needed, Object.keys(project.services)),
    );
  }
  for (const [index, { source }] of (service.configs ?? []).entries())
    known(project.configs, source, "config", ["configs", String(index)]);
}

function checkContradictions(service: Service, report: Report): void {
  if (service.network_mode !== undefined && Object.keys(service.networks ?? {}).length > 0)
    report(
      ["network_mode"],
      "declares mutually exclusive `network_mode` and `networks`: invalid compose project",
    );
  const limits = service.deploy?.resources?.limits;
  const distinct = (key: keyof Service, other: number | undefined, path: string) => {
    const own = service[key];
    if (own !== undefined && other !== undefined && own !== other)
      report([key], `can't set distinct values on '${key}' and '${path}': invalid compose project`);
  };
  distinct("mem_limit", limits?.memory, "deploy.resources.limits.memory");
  distinct("cpus", limits?.cpus, "deploy.resources.limits.cpus");
  distinct("pids_limit", limits?.pids, "deploy.resources.limits.pids");
  distinct(
    "mem_reservation",
    service.deploy?.resources?.reservations?.memory,
    "deploy.resources.reservations.memory",
  );
  distinct("scale", service.deploy?.replicas, "deploy.replicas");
  if (service.container_name && (service.scale ?? service.deploy?.replicas ?? 1) > 1)
    report(["container_name"], "can't set container_name and scale above 1: container names must be unique");
  for (const [path, requests] of [
    [["gpus"], service.gpus],
    [["deploy", "resources", "reservations", "devices"], service.deploy?.resources?.reservations?.devices],
  ] as const)
    for (const [index, { count, device_ids }] of (requests ?? []).entries())
      if (count !== undefined && device_ids?.length)
        report(
          [...path, String(index)],
          "asks for devices by both count and device_ids, which are exclusive",
        );
  for (const [index, { action, target, exec }] of (service.develop?.watch ?? []).entries()) {
    const here = ["develop", "watch", String(index)];
    if (action.startsWith("sync") && target === undefined)
      report(here, `has a watch rule with the action ${action}, which needs a target`);
    if (action === "sync+exec" && !exec?.command?.length)
      report(here, "has a watch rule with the action sync+exec, which needs exec with a command");
    if (action === "rebuild" && !service.build)
      report(here, "has a watch rule with the action rebuild, but no build section");
  }
  const { dockerfile, dockerfile_inline } = service.build ?? {};
  if (dockerfile !== undefined && dockerfile_inline !== undefined)
    report(
      ["build"],
      "declares mutually exclusive dockerfile and dockerfile_inline: invalid compose project",
    );
  const { platforms } = service.build ?? {};
  if (service.platform && platforms?.length && !platforms.includes(service.platform))
    report(
      ["build", "platforms"],
      `service.build.platforms MUST include service.platform ${JSON.stringify(service.platform)}`,
    );
  for (const [index, mount] of (service.volumes ?? []).entries())
    if (!["bind", "volume", "tmpfs", "image"].includes(mount.type))
      report(["volumes", String(index)], `has a volume of type ${mount.type}, which is not supported`);
}

const restartPolicies = ["no", "always", "on-failure", "unless-stopped"];

/**
 * Values that the schema takes for any text, and that the engine would refuse without a place. Variables that were not
 * to be filled may stand for anything.
 */
function checkValues(service: Service, report: Report): void {
  const isOpen = (text: string) => text.includes("$");
  const { restart } = service;
  if (restart && !isOpen(restart)) checkRestart(restart, report);
  const [form] = service.healthcheck?.test ?? [];
  if (form !== undefined && !isOpen(form) && !["CMD", "CMD-SHELL", "NONE"].includes(form))
    report(["healthcheck", "test"], 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"');
  for (const [index, port] of (service.expose ?? []).entries())
    if (!isOpen(port) && !/^\d+(-\d+)?(\/[a-z]+)?$/.test(port))
      report(["expose", String(index)], `exposes ${JSON.stringify(port)}, which is no port`);
}

function checkRestart(text: string, report: Report): void {
  const [policy = "", retries, ...more] = text.split(":");
  const isKnown = restartPolicies.includes(policy) && more.length === 0;
  if (isKnown && (retries === undefined || (policy === "on-failure" && /^\d+$/.test(retries)))) return;
  report(
    ["restart"],
    `has an unknown restart policy ${JSON.stringify(text)}`,
    didYouMean(policy, restartPolicies) ?? `there are ${restartPolicies.join(", ")}, and on-failure:5`,
  );
}

function fileObjectProblem(item: FileObject): string | undefined {
  if (item.external) return "is external, which only Swarm has; give its file, content or environment";
  const given = [item.file, item.environment, item.content].filter((value) => value !== undefined).length;
  return given === 1 ? undefined : "must have exactly one of file, environment and content";
}
