/** Networks of containers: bridges, sandboxes, endpoints, published ports, names, and address management. */
export {
  type AddressPool,
  type AddressRequest,
  allocateAddress,
  claimSubnet,
  findFreeSubnet,
  lengthOf,
  macFor,
  uniqueLocalPool,
  withPrefixOf,
} from "./ipam.ts";
export { openNetwork } from "./network.ts";
export { hostRoutes } from "./routes.ts";
export type * from "./types.ts";
