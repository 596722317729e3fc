/** What the host itself routes, which no network of ours may overlap. */
import { families } from "../lib/ip.ts";
import { listRoutes, NetlinkSocket } from "../linux/netlink/index.ts";

/** Destinations of the host's routes of both families as CIDR, default routes left out. @throws Errno */
export function hostRoutes(): string[] {
  using netlink = new NetlinkSocket();
  return families.flatMap((family) => listRoutes(netlink, family).map(({ destination }) => destination));
}
