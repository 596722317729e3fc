import { hostPlatform, platformArgs } from "../graph/scope.ts";

/** `TARGETOS`, `BUILDPLATFORM` ...: there without a declaration in FROM lines. */
export const platformArgNames: ReadonlySet<string> = new Set(
  platformArgs(hostPlatform(), hostPlatform(), undefined).keys(),
);
