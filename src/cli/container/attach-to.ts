/** Attaches to a container that exists, and starts it when asked to. */
import type { ContainerDetails } from "../api.ts";
import type { CliContext } from "../context.ts";
import { exitCode } from "./exit-code.ts";
import { post } from "./lifecycle.ts";
import { proxySignals, runStreams } from "./streams.ts";

export interface AttachOptions {
  stdin: boolean;
  detachKeys?: string;
  /** Forward our signals. */
  proxy: boolean;
  start: boolean;
}

/** @returns the container's exit status; 0 when the user detached */
export async function attachTo(
  context: CliContext,
  details: ContainerDetails,
  options: AttachOptions,
): Promise<number> {
  const { client } = context;
  const detachKeys = options.detachKeys ?? context.config.detachKeys;
  const { Id: id, Config } = details;
  const condition = !options.start ? "not-running" : details.HostConfig.AutoRemove ? "removed" : "next-exit";
  const [stream, waiting] = await Promise.all([
    client.hijack("POST", `/containers/${id}/attach`, {
      query: {
        stream: 1,
        stdin: options.stdin ? 1 : 0,
        stdout: 1,
        stderr: 1,
        detachKeys,
      },
    }),
    client.send("POST", `/containers/${id}/wait`, { query: { condition } }),
  ]);
  const unproxy = options.proxy ? proxySignals(context, id) : () => {};
  try {
    if (options.start) await post(context, id, "start");
    const result = await runStreams(stream, {
      tty: Config.Tty,
      stdin: options.stdin,
      detachKeys: options.detachKeys,
      resize: ({ columns, rows }) =>
        client.call("POST", `/containers/${id}/resize`, { query: { h: rows, w: columns } }),
    });
    return result === "detached" ? 0 : await exitCode(waiting.body);
  } finally {
    unproxy();
  }
}
