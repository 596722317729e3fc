/** Networks of containers: bridges, sandboxes, endpoints, published ports, names, and address management. */
export {
  type AddressPool,
  type AddressRequest,
  allocateAddress,
  claimSubnet,
  defaultAddressPools,
  findFreeSubnet,
  macFromIpv4,
  withPrefixOf,
} from "./ipam.ts";
export { openNetwork } from "./network.ts";
export { hostRoutes } from "./routes.ts";
export type * from "./types.ts";
