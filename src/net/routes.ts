/** What the host itself routes, which no network of ours may overlap. */
import { listRoutes4, NetlinkSocket } from "../linux/netlink/index.ts";

/** Destinations of the host's IPv4 routes as CIDR, the default route left out. @throws Errno */
export function hostRoutes(): string[] {
  using netlink = new NetlinkSocket();
  return listRoutes4(netlink).map(({ destination }) => destination);
}
