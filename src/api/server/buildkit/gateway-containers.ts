/** Containers of the gateway (NewContainer, ExecProcess): people and front ends run programs in a build's result. */
import { constants } from "node:os";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type {
  ContainerMount,
  ContainerRequest,
  StartedProcess,
  StepContainer,
} from "../../../build/types.ts";
import type { Engine } from "../../../engine/types.ts";
import { Conflict, InvalidParameter, messageOf, NotFound } from "../../../lib/errors.ts";
import { AsyncQueue } from "../../../lib/queue.ts";
import type { HeldResult } from "./held-result.ts";
import { parseMount } from "./low-level.ts";
import {
  type ExecMessage,
  ExecMessageSchema,
  type InitMessage,
  type NewContainerRequest,
} from "./proto/gateway_pb.ts";
import { type Mount, MountType, NetMode, SecurityMode } from "./proto/ops_pb.ts";

/** Those of one build; they end with it. */
export class GatewayContainers implements AsyncDisposable {
  readonly #open = new Map<string, StepContainer>();

  constructor(
    private readonly engine: Engine,
    private readonly result: (id: string) => HeldResult | undefined,
    private readonly client: Pick<ContainerRequest, "secret" | "ssh" | "entitlements">,
    private readonly signal: AbortSignal,
  ) {}

  /** @throws NotFound a result that is not there, Conflict, InvalidParameter */
  async create({ containerId, mounts, network, extraHosts, hostname }: NewContainerRequest): Promise<void> {
    if (this.#open.has(containerId)) throw new Conflict(`the container ${containerId} is there already`);
    const root = mounts.find(({ dest }) => dest === "/");
    if (!root) throw new InvalidParameter("a container needs a root file system: nothing is mounted at /");
    const others = mounts.filter((mount) => mount !== root);
    const request: ContainerRequest = {
      ...this.client,
      snapshot: await this.#snapshot(root),
      readonlyRoot: root.readonly,
      mounts: await Promise.all(others.map((mount) => this.#mount(mount))),
      network: network === NetMode.HOST ? "host" : network === NetMode.NONE ? "none" : "default",
      hostname: hostname || "buildkitsandbox",
      extraHosts: extraHosts.map(({ host, ip }) => `${host}:${ip}`),
    };
    this.#open.set(containerId, this.engine.builds.container(request, this.signal));
  }

  async release(id: string): Promise<void> {
    const container = this.#open.get(id);
    this.#open.delete(id);
    await container?.[Symbol.asyncDispose]();
  }

  async #mount(mount: Mount): Promise<ContainerMount> {
    if (mount.mountType === MountType.BIND) {
      const { dest: target, selector, readonly } = mount;
      return { type: "bind", target, selector, readonly, snapshot: await this.#snapshot(mount) };
    }
    const parsed = parseMount(mount);
    if (parsed.type === "bind") throw new InvalidParameter(`${mount.dest}: no such mount`);
    return parsed;
  }

  async #snapshot({ resultId, dest }: Mount): Promise<string | undefined> {
    if (resultId === "") return undefined;
    const held = this.result(resultId);
    if (!held) throw new NotFound(`no such reference: ${resultId} (mounted at ${dest})`);
    return (await held.files()).snapshot;
  }

  /** Processes of one call, and what they and their client say to one another. */
  async *exec(messages: AsyncIterable<ExecMessage>): AsyncGenerator<ExecMessage> {
    const answers = new AsyncQueue<ExecMessage>();
    const processes = new Map<string, StartedProcess>();
    const hearing = (async () => {
      for await (const { processId, input } of messages) {
        if (input.case === "init") {
          const process = await this.#start(processId, input.value, answers);
          if (process) processes.set(processId, process);
        } else await heard(processes.get(processId), input);
      }
    })();
    // The client's end of the call, or its failure, ends it.
    hearing.catch(() => {}).finally(() => answers.close());
    try {
      yield* answers;
      await hearing;
    } finally {
      for (const process of processes.values()) await process.kill(9);
    }
  }

  async #start(
    processId: string,
    { containerId, meta, fds, tty, security, secretenv }: InitMessage,
    answers: AsyncQueue<ExecMessage>,
  ): Promise<StartedProcess | undefined> {
    const say = (input: ExecMessage["input"]) =>
      answers.push(create(ExecMessageSchema, { processId, input }));
    const exit = (code: number, message: string) => {
      const error = code === 0 ? undefined : { code: Code.Unknown, message };
      for (const fd of [1, 2]) if (fds.includes(fd)) say({ case: "file", value: { fd, eof: true } as never });
      say({ case: "exit", value: { code, error } as never });
      say({ case: "done", value: {} as never });
    };
    const container = this.#open.get(containerId);
    if (!container) throw new NotFound(`no such container: ${containerId}`);
    try {
      const process = await container.start(
        {
          args: meta?.args ?? [],
          env: meta?.env ?? [],
          cwd: meta?.cwd ?? "/",
          user: meta?.user ?? "",
          terminal: tty,
          insecure: security === SecurityMode.INSECURE,
          secretEnv: secretenv.map(({ id, name, optional }) => ({ id, name, optional })),
        },
        {
          input: fds.includes(0),
          onOutput: (fd, data) => {
            if (fds.includes(fd)) say({ case: "file", value: { fd, data: Uint8Array.from(data) } as never });
          },
        },
      );
      say({ case: "started", value: {} as never });
      void process.exited.then((code) => exit(code, `exit code: ${code}`));
      return process;
    } catch (error) {
      exit(startFailure(error), messageOf(error));
      return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#open.keys()]) await this.release(id);
  }
}

/** A command that can't be run ends as a shell would say it. */
function startFailure(error: unknown): number {
  return typeof error === "object" &&
    error !== null &&
    "exitCode" in error &&
    typeof error.exitCode === "number"
    ? error.exitCode
    : 255;
}

/** What a client says to a process; one that has ended hears nothing. */
async function heard(process: StartedProcess | undefined, input: ExecMessage["input"]): Promise<void> {
  if (!process) return;
  switch (input.case) {
    case "file":
      if (input.value.fd !== 0) return;
      if (input.value.data.length > 0) await process.write(input.value.data);
      if (input.value.eof) process.end();
      return;
    case "resize":
      return process.resize(input.value.cols, input.value.rows);
    case "signal": {
      const name = input.value.name.startsWith("SIG") ? input.value.name : `SIG${input.value.name}`;
      const number = constants.signals[name as keyof typeof constants.signals];
      if (number === undefined) throw new InvalidParameter(`unknown signal ${input.value.name}`);
      return process.kill(number);
    }
  }
}
