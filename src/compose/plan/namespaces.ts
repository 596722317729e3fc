import type { Service } from "../model/types.ts";

/**
 * The service with `network_mode`, `ipc`, `pid` and `uts` of the form `service:x` pointed at that service's container.
 * Hashes are taken over this form, so that a service is recreated when the container it shares with is a new one.
 */
export function withSharedNamespaces(service: Service, containerOf: (service: string) => string): Service {
  const result: Service = { ...service };
  for (const key of ["network_mode", "ipc", "pid", "uts"] as const) {
    const mode = service[key];
    if (mode?.startsWith("service:")) result[key] = `container:${containerOf(mode.slice("service:".length))}`;
  }
  return result;
}
