export { createRegistryClient } from "./client/client.ts";
export { collectRegistry, readRegistrySettings, serveRegistry } from "./server/index.ts";
