/** What a project means beyond what is written: default network, names of resources, dependencies. */
import { dependenciesOf } from "./graph.ts";
import type { BuildConfig, FileReference, Project, Service } from "./types.ts";

/** @param allResources those that no service uses stay */
export function normalize(project: Project, allResources = false): Project {
  const services = mapRecord(project.services, (service, name) => {
    const complete = completeService(service, project);
    return { ...complete, depends_on: presentDependencies(complete, name, project) };
  });
  const used = usedResources(services);
  const networks = { ...project.networks };
  if (used.networks.has("default")) networks.default ??= {};
  const named = <T extends { name?: string; external?: boolean }>(
    items: Record<string, T>,
    keys: Set<string>,
  ) =>
    mapRecord(
      Object.fromEntries(
        Object.entries(items)
          .filter(([key]) => allResources || keys.has(key))
          .sort(byKey),
      ),
      (item, key): T => ({ name: item.external ? key : `${project.name}_${key}`, ...item }),
    );
  return {
    ...project,
    services,
    networks: named(networks, used.networks),
    volumes: named(project.volumes, used.volumes),
    secrets: named(project.secrets, used.secrets),
    configs: named(project.configs, used.configs),
  };
}

function completeService(service: Service, project: Project): Service {
  const result: Service = { ...service };
  if (service.build) result.build = completeBuild(service.build, project);
  if (
    !service.provider &&
    service.network_mode === undefined &&
    Object.keys(service.networks ?? {}).length === 0
  )
    result.networks = { default: null };
  if (service.secrets)
    result.secrets = service.secrets.map(
      (secret): FileReference => ({ ...secret, target: secret.target ?? `/run/secrets/${secret.source}` }),
    );
  return result;
}

function completeBuild(build: BuildConfig, project: Project): BuildConfig {
  const { context, dockerfile, dockerfile_inline, entitlements, args, ...rest } = build;
  return {
    context: context ?? project.workingDir,
    ...(dockerfile_inline === undefined ? { dockerfile: dockerfile ?? "Dockerfile" } : { dockerfile_inline }),
    ...(entitlements ? { entitlements } : {}),
    ...(args ? { args: mapRecord(args, (value, name) => value ?? project.environment[name] ?? null) } : {}),
    ...rest,
  };
}

/** All that a service waits for, without optional ones that are not in use. */
function presentDependencies(service: Service, _name: string, project: Project): Service["depends_on"] {
  const entries = Object.entries(dependenciesOf(service)).filter(
    ([needed, { required }]) => required || project.services[needed],
  );
  return entries.length > 0 ? Object.fromEntries(entries.sort(byKey)) : undefined;
}

function usedResources(services: Record<string, Service>) {
  const used = {
    networks: new Set<string>(),
    volumes: new Set<string>(),
    secrets: new Set<string>(),
    configs: new Set<string>(),
  };
  for (const service of Object.values(services)) {
    for (const name of Object.keys(service.networks ?? {})) used.networks.add(name);
    for (const mount of service.volumes ?? [])
      if (mount.type === "volume" && mount.source) used.volumes.add(mount.source);
    for (const secret of [...(service.secrets ?? []), ...(service.build?.secrets ?? [])])
      used.secrets.add(secret.source);
    for (const config of service.configs ?? []) used.configs.add(config.source);
  }
  return used;
}

function mapRecord<T, U>(items: Record<string, T>, change: (item: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(items).map(([key, item]) => [key, change(item, key)]));
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
