export { createRegistryClient } from "./client/client.ts";
export { serveRegistry } from "./server/index.ts";
