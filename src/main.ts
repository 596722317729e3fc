/** The executable's entry: one program, of which each part loads only what it needs. */
import type { ReadComposeBuilds } from "./cli/bake/compose.ts";
import { main, type ProgramRunner, runWords } from "./cli/index.ts";

const runners: Record<string, ProgramRunner> = {
  compose: async (args, context) => {
    compileSoon();
    const { composeCommand } = await import("./compose/index.ts");
    return composeCommand(args, {
      client: context.client,
      env: context.env,
      buildServices: async (order) => (await import("./cli/bake/services.ts")).buildServices(context, order),
      runCommand: (words) => runWords(context, words),
      registryAuth: async (image) => (await import("./cli/auth/credentials.ts")).imageAuth(context, image),
    });
  },
  "log-relay": async (args) => (await import("./runtime/index.ts")).relay(args),
  daemon: async (args) => {
    compileSoon();
    return (await import("./cli/daemon/index.ts")).daemonCommand(args);
  },
  registry: async (args) => {
    compileSoon();
    return (await import("./cli/registry.ts")).registryCommand(args);
  },
};

/** script/build makes the compiler wait, which a short command never sees; what stays longer wants it as it is. */
function compileSoon(): void {
  Bun.unsafe.setJITPolicy(1);
}

const composeBuilds: ReadComposeBuilds = async (files, context, stdin) => {
  const { projectBuilds } = await import("./compose/index.ts");
  return projectBuilds({ client: context.client, env: context.env, stdin }, files);
};

// No top-level await: what is imported later could then share no chunk with this one (bun build --splitting).
void main(process.argv.slice(2), process.env, runners, composeBuilds).then((status) => {
  // What commands write is written when they return, and no handler waits for the end: the short way out saves 3 ms.
  if (status !== undefined) process.reallyExit(status);
});
