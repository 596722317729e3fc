/** The commands that people and scripts call most often and that are over soonest, by their words; see quick.ts. */
import type { Command } from "./command.ts";
import { command as ps } from "./container/ps.ts";

export const frequent: Readonly<Record<string, () => Command | Promise<Command>>> = {
  exec: async () => (await import("./container/exec.ts")).command,
  images: async () => (await import("./image/ls.ts")).command,
  // There from the start: each module more takes its time to load.
  ps: () => ps,
};
