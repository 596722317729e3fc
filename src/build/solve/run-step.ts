/** RUN as a step: what it depends on, and how it is done. */
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { NotFound } from "../../lib/errors.ts";
import type { MountSpec } from "../../runtime/types.ts";
import type { Run } from "../dockerfile/instructions.ts";
import { BuildStepFailed, stepError, unsupported } from "../errors.ts";
import { bindMount, runInWorkspace, secretFile } from "../exec/run.ts";
import { parseRunMounts, type RunMount } from "../exec/run-mounts.ts";
import { Workspace } from "../exec/workspace.ts";
import { resolveInside } from "../files/inside.ts";
import { commandArgs, defaultPath, defaultShell, workdir } from "../graph/metadata.ts";
import { envMap } from "../graph/scope.ts";
import type { Vertex } from "./progress.ts";
import type { LayerStep, StageBuilder } from "./stage.ts";

/** @throws DockerfileError, NotImplemented */
export async function runStep(builder: StageBuilder, run: Run, vertex: Vertex): Promise<LayerStep> {
  const { session, state } = builder;
  const { config, scope } = state;
  if (run.security !== undefined && run.security !== "sandbox") {
    throw unsupported(run.range, `RUN --security=${run.security}`);
  }
  if (run.device !== undefined) throw unsupported(run.range, "RUN --device");
  const network = networkOf(run, session.request.networkMode);
  const mounts = parseRunMounts(
    run,
    (text) => builder.expand(text, run),
    (path) => workdir(config.WorkingDir, path),
  );
  const { args, script } = commandOf(run, config.Shell);
  const args_ = scope.runArgs(config.Env ?? []);
  const env = [...(config.Env ?? []), ...args_];
  if (!envMap(env).has("PATH")) env.unshift(`PATH=${defaultPath}`);
  const cwd = config.WorkingDir || "/";
  const shown = args_.length > 0 ? `|${args_.length} ${args_.join(" ")} ${args.join(" ")}` : args.join(" ");
  const keys = await Promise.all(mounts.map((mount) => mountKey(builder, run, mount)));
  return {
    inputs: ["RUN", args, script ?? null, env, cwd, config.User ?? "", network, keys],
    createdBy: `RUN ${shown}`,
    work: async (workspace) => {
      await using prepared = await prepareMounts(builder, run, mounts, workspace);
      if (script !== undefined) {
        const path = join(workspace.directory, "script");
        secretFile(path, Buffer.from(script), { mode: 0o755, uid: 0, gid: 0 });
        prepared.specs.push(bindMount(path, args[0]!, true));
      }
      const step = {
        args,
        env: [...env, ...scope.proxies(), ...prepared.env],
        cwd,
        user: config.User ?? "",
        network,
        mounts: prepared.specs,
        onOutput: vertex.log,
      };
      const exitCode = await runInWorkspace(
        session.backend,
        session.request,
        workspace,
        step,
        session.signal,
      );
      if (exitCode !== 0) throw new BuildStepFailed(args.join(" "), exitCode, run.range);
    },
  };
}

function networkOf(run: Run, fallback: string): string {
  const network = run.network ?? "default";
  if (network !== "default" && network !== "none" && network !== "host") {
    throw stepError(run.range, `unsupported network mode ${JSON.stringify(network)}`);
  }
  return network === "default" ? fallback : network;
}

/** A heredoc alone is a script: with `#!` a program of its own, else the shell's text. Others are the shell's. */
function commandOf(run: Run, shell: string[] | null | undefined): { args: string[]; script?: string } {
  const { command, heredocs } = run;
  if (command.form === "exec" || heredocs.length === 0) return { args: commandArgs(command, shell) };
  const [only] = heredocs;
  if (heredocs.length === 1 && /^\d*<<-?\s*["']?[^\s"']+["']?$/.test(command.text)) {
    if (only!.content.startsWith("#!")) return { args: [`/dev/pipes/${only!.name}`], script: only!.content };
    return { args: [...(shell?.length ? shell : defaultShell), only!.content] };
  }
  const bodies = heredocs.map(({ name, content }) => `${content}${name}`).join("\n");
  return { args: commandArgs({ form: "shell", text: `${command.text}\n${bodies}` }, shell) };
}

/** What a mount adds to the step's key: the files it shows. Caches and secrets add only that they are there. */
async function mountKey(builder: StageBuilder, run: Run, mount: RunMount): Promise<unknown> {
  if (mount.type !== "bind") return mount;
  const { session } = builder;
  if (mount.from !== undefined) {
    const { tree } = await session.source(mount.from, run.range);
    return [mount, tree.id];
  }
  const context = session.context();
  const selection = await context.select(mount.source.replace(/^\/+/, "") || ".", undefined, session.signal);
  if (!selection) throw stepError(run.range, `failed to mount: stat ${mount.source}: file does not exist`);
  return [mount, await context.digest([selection], { owners: false, signal: session.signal })];
}

interface PreparedMounts extends AsyncDisposable {
  specs: MountSpec[];
  env: string[];
}

async function prepareMounts(
  builder: StageBuilder,
  run: Run,
  mounts: RunMount[],
  workspace: Workspace,
): Promise<PreparedMounts> {
  await using stack = new AsyncDisposableStack();
  const { session } = builder;
  const specs: MountSpec[] = [];
  const env: string[] = [];
  for (const [i, mount] of mounts.entries()) {
    switch (mount.type) {
      case "tmpfs": {
        const options = ["nosuid", "nodev", "mode=1777"];
        if (mount.size !== undefined) options.push(`size=${mount.size}`);
        specs.push({ destination: mount.target, type: "tmpfs", source: "tmpfs", options });
        break;
      }
      case "cache": {
        const { path } = stack.use(await session.cacheMounts.acquire(mount, session.signal));
        specs.push(bindMount(path, mount.target, mount.readonly));
        break;
      }
      case "bind": {
        const root = await bindRoot(builder, run, mount, stack);
        const inside = resolveInside(root, mount.source);
        if (inside === undefined) {
          throw stepError(run.range, `failed to mount: stat ${mount.source}: file does not exist`);
        }
        specs.push(bindMount(join(root, inside), mount.target, !mount.writable));
        break;
      }
      case "secret": {
        const bytes = await session.request.secret?.(mount.id, session.signal);
        if (bytes === undefined) {
          if (mount.required) throw new NotFound(`secret ${mount.id}: not found`);
          break;
        }
        if (mount.env !== undefined) env.push(`${mount.env}=${new TextDecoder().decode(bytes)}`);
        if (mount.target === undefined) break;
        const directory = join(workspace.directory, "secrets");
        mkdirSync(directory, { recursive: true });
        chmodSync(directory, 0o700);
        secretFile(join(directory, `${i}`), bytes, mount);
        specs.push(bindMount(join(directory, `${i}`), mount.target, true));
        break;
      }
    }
  }
  const owned = stack.move();
  return { specs, env, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Where a bind mount's source is found; a writable one gets a layer of its own that is thrown away. */
async function bindRoot(
  { session }: StageBuilder,
  run: Run,
  mount: Extract<RunMount, { type: "bind" }>,
  stack: AsyncDisposableStack,
): Promise<string> {
  if (mount.from === undefined) {
    if (mount.writable) throw unsupported(run.range, "RUN --mount=type=bind,rw of the build context");
    return session.visibleContext();
  }
  const { tree } = await session.source(mount.from, run.range);
  if (!mount.writable) return session.views.open(tree.snapshot);
  const { store, execDir } = session.backend;
  return stack.use(Workspace.open(store.snapshots, execDir, tree.snapshot)).root;
}
