/** Which service needs which, in what order they start, and the cycles that make that impossible. */
import { ComposeError } from "./errors.ts";
import type { Dependency, Service } from "./types.ts";

/**
 * Everything a service waits for: `depends_on`, and what `links`, `network_mode: service:x`, `ipc`, `pid`, `uts` and
 * `volumes_from` imply.
 */
export function dependenciesOf(service: Service): Record<string, Dependency> {
  const result: Record<string, Dependency> = { ...service.depends_on };
  const imply = (name: string, restart = false) => {
    result[name] ??= { condition: "service_started", ...(restart ? { restart } : {}), required: true };
  };
  for (const link of service.links ?? []) imply(link.split(":")[0]!);
  for (const mode of [service.network_mode, service.ipc, service.pid, service.uts])
    if (mode?.startsWith("service:")) imply(mode.slice("service:".length), true);
  for (const from of service.volumes_from ?? [])
    if (!from.startsWith("container:")) imply(from.split(":")[0]!);
  return result;
}

/**
 * Service names so that each stands after all it needs; services of one rank in alphabetical order.
 * @throws ComposeError `dependency cycle detected: a -> b -> a`
 */
export function startOrder(services: Record<string, Service>): string[] {
  const order: string[] = [];
  const done = new Set<string>();
  const visit = (name: string, trail: string[]): void => {
    if (done.has(name)) return;
    if (trail.includes(name)) {
      const cycle = [...trail.slice(trail.indexOf(name)), name];
      throw ComposeError.at(undefined, `dependency cycle detected: ${cycle.join(" -> ")}`);
    }
    const service = services[name];
    if (!service) return;
    for (const needed of Object.keys(dependenciesOf(service)).sort()) visit(needed, [...trail, name]);
    done.add(name);
    order.push(name);
  };
  for (const name of Object.keys(services).sort()) visit(name, []);
  return order;
}

/** The named services and all that they need, directly or not. */
export function withDependencies(services: Record<string, Service>, names: Iterable<string>): Set<string> {
  const result = new Set<string>();
  const visit = (name: string): void => {
    const service = services[name];
    if (!service || result.has(name)) return;
    result.add(name);
    for (const needed of Object.keys(dependenciesOf(service))) visit(needed);
  };
  for (const name of names) visit(name);
  return result;
}
