/** Networks that only hold settings for others: `network create --config-only` and `--config-from`. */
import { Forbidden, NotFound } from "../lib/errors.ts";
import type { CreateNetwork, NetworkRecord } from "./types.ts";

/** @throws Forbidden for what such a network can't have, in Docker's words */
export function checkConfigOnly(request: CreateNetwork): void {
  if (request.configFrom !== "")
    throw new Forbidden("a configuration network cannot depend on another configuration network");
  if (request.internal || request.attachable)
    throw new Forbidden(
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    );
}

/**
 * @param find the network of a name
 * @returns the request with the settings of the network that it names
 * @throws NotFound without such a network, Forbidden for settings of its own
 */
export function withConfigOf(
  request: CreateNetwork,
  find: (name: string) => NetworkRecord | undefined,
): CreateNetwork {
  if (request.configFrom === "") return request;
  const source = find(request.configFrom);
  if (!source?.configOnly)
    throw new NotFound(`configuration network ${JSON.stringify(request.configFrom)} does not exist`);
  const own = [request.options, request.labels, request.ipam.options, request.ipam.config];
  if (
    own.some((given) => Object.keys(given).length > 0) ||
    request.enableIPv6 ||
    request.enableIPv4 === false
  )
    throw new Forbidden(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
  const { options, labels, enableIPv4, enableIPv6, ipam } = source;
  return { ...request, options, labels, enableIPv4, enableIPv6, ipam };
}
