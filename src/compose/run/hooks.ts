/** `post_start` and `pre_stop`: commands that run in a container when it has started, and before it is stopped. */
import { Conflict, Internal, NotFound, NotModified } from "../../lib/errors.ts";
import { Demultiplexer } from "../../lib/stdcopy.ts";
import type { Hook, Project } from "../model/types.ts";
import type { Session } from "./session.ts";

/** A container as far as hooks and stopping need it. */
export interface HookedContainer {
  id: string;
  name: string;
  service: string;
}

/** As much of a hook's output as a failure shows (characters). */
const shownOutput = 4096;

/**
 * Runs the hooks of a container, one after another.
 * @param onOutput hears what they say; without it only what one that fails has said is shown
 * @throws Internal `web hook exited with status 3`
 */
export async function runHooks(
  session: Session,
  hooks: readonly Hook[] | undefined,
  container: HookedContainer,
  onOutput?: (text: string) => void,
): Promise<void> {
  for (const hook of hooks ?? []) {
    let said = "";
    const status = await exec(session, hook, container.id, (text) => {
      said = (said + text).slice(-shownOutput);
      onOutput?.(text);
    });
    if (status === 0) continue;
    if (!onOutput) session.err.write(said);
    throw new Internal(`${container.service} hook exited with status ${status}`);
  }
}

async function exec(
  session: Session,
  { command = [], user, privileged, working_dir, environment = {} }: Hook,
  container: string,
  onOutput: (text: string) => void,
): Promise<number> {
  const { Id } = await session.client.call<{ Id: string }>("POST", `/containers/${container}/exec`, {
    body: {
      AttachStdout: true,
      AttachStderr: true,
      Cmd: command,
      User: user,
      Privileged: privileged,
      WorkingDir: working_dir,
      Env: Object.entries(environment).map(([name, value]) => `${name}=${value ?? session.env[name] ?? ""}`),
    },
  });
  const stream = await session.client.hijack("POST", `/exec/${Id}/start`, {
    body: { Detach: false, Tty: false },
  });
  try {
    const frames = new Demultiplexer((_, data) => onOutput(data.toString()));
    for await (const chunk of stream.output) frames.push(chunk);
  } finally {
    stream.close();
  }
  const { ExitCode } = await session.client.call<{ ExitCode: number | null }>("GET", `/exec/${Id}/json`);
  return ExitCode ?? 0;
}

/**
 * Stops a container after its `pre_stop` hooks. One that does not run any more, or is gone, is what was wanted.
 * @param project undefined: its files aren't there, and neither are its hooks
 * @param timeout seconds; undefined: the container's own
 */
export async function stopContainer(
  session: Session,
  project: Project | undefined,
  container: HookedContainer,
  timeout?: number,
): Promise<void> {
  try {
    await runHooks(session, project?.services[container.service]?.pre_stop, container);
  } catch (error) {
    if (!(error instanceof NotFound || error instanceof Conflict || error instanceof NotModified))
      throw error;
  }
  try {
    await session.engine.stop(container.id, timeout);
  } catch (error) {
    if (!(error instanceof NotFound)) throw error;
  }
}
