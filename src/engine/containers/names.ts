/** What the embedded DNS knows for one container: its neighbours on the user-defined networks. */
import type { Family } from "../../lib/ip.ts";
import type { NameSource } from "../../net/types.ts";
import type { ContainerRecord, EndpointState } from "../types.ts";
import { parseLink } from "./links.ts";

interface Neighbour {
  endpoint: EndpointState;
  record: ContainerRecord;
}

/**
 * @param neighbours the endpoints on the networks whose names it sees, as they are at each query
 * @param upstream servers for what isn't known here; undefined: the host's
 */
export function nameSource(
  record: ContainerRecord,
  neighbours: () => Neighbour[],
  upstream: string[] | undefined,
): NameSource {
  return {
    lookup(name, family) {
      const wanted = name.toLowerCase().replace(/\.$/, "");
      if (wanted === "host.docker.internal" || wanted === "gateway.docker.internal") return undefined;
      const links = linkTargets(record, wanted);
      const found = neighbours().filter(
        ({ endpoint, record: other }) =>
          endpoint.dnsNames.some(
            (own) =>
              own.toLowerCase() === wanted || `${own}.${endpoint.networkName}`.toLowerCase() === wanted,
          ) ||
          links.some(
            ({ network, target }) =>
              endpoint.networkId === network && (other.name === target || other.id.startsWith(target)),
          ),
      );
      if (found.length === 0) return undefined;
      return found.map(({ endpoint }) => addressOf(endpoint, family)).filter((address) => address !== "");
    },
    reverse(address) {
      const found = neighbours().find(({ endpoint }) =>
        [endpoint.ipAddress, endpoint.globalIPv6Address].includes(address),
      );
      return found && `${found.record.name}.${found.endpoint.networkName}`;
    },
    upstream,
  };
}

/** Of an endpoint; empty: it has none of the family. */
export const addressOf = (endpoint: EndpointState, family: Family) =>
  family === 4 ? endpoint.ipAddress : endpoint.globalIPv6Address;

/** The containers that a name means by the links of an endpoint. */
function linkTargets(record: ContainerRecord, name: string): { network: string; target: string }[] {
  return Object.values(record.endpoints).flatMap(({ networkId: network, config }) =>
    (config.Links ?? [])
      .map(parseLink)
      .filter(({ alias }) => alias.toLowerCase() === name)
      .map(({ target }) => ({ network, target })),
  );
}
