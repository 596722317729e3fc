/** The networks of a service's container as the Engine API's endpoints. Pure. */
import type { Project, Service } from "../model/types.ts";
import type { RequestContext } from "./request.ts";
import type { EndpointConfig } from "./wire.ts";

/** A service's networks, the one that its container is created with first: by priority, then by name. */
export function endpoints(
  project: Project,
  name: string,
  service: Service,
  context: RequestContext,
): { name: string; endpoint: EndpointConfig }[] {
  if (service.network_mode !== undefined) return [];
  const links = [
    ...(service.links ?? []).map((link) => linkOf(link, context)),
    ...(service.external_links ?? []),
  ];
  return Object.entries(service.networks ?? {})
    .sort(([a, x], [b, y]) => (y?.priority ?? 0) - (x?.priority ?? 0) || (a < b ? -1 : 1))
    .map(([key, own], index) => ({
      name: project.networks[key]!.name!,
      endpoint: {
        Aliases: [
          ...(context.useAliases ? [context.containerName, name] : [context.containerName]),
          ...(context.useAliases ? (own?.aliases ?? []) : []),
        ],
        ...(links.length > 0 ? { Links: links } : {}),
        ...(own?.ipv4_address || own?.ipv6_address || own?.link_local_ips
          ? {
              IPAMConfig: {
                IPv4Address: own.ipv4_address,
                IPv6Address: own.ipv6_address,
                LinkLocalIPs: own.link_local_ips,
              },
            }
          : {}),
        MacAddress: own?.mac_address ?? (index === 0 ? service.mac_address : undefined),
        DriverOpts: own?.driver_opts,
        ...(own?.gw_priority === undefined ? {} : { GwPriority: own.gw_priority }),
      },
    }));
}

function linkOf(link: string, context: RequestContext): string {
  const [service = "", alias = service] = link.split(":");
  return `${context.containerOf(service)}:${alias}`;
}
