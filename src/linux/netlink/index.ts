/** Links, addresses and routes of the kernel over rtnetlink(7). */
export * from "./addresses.ts";
export * from "./links.ts";
export { NetlinkSocket, type Request, routeSocket } from "./socket.ts";
