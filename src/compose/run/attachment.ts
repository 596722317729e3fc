/** `up` in the foreground: output of all containers, until they end or the user does. */
import { messageOf, NotFound } from "../../lib/errors.ts";
import type { Project } from "../model/types.ts";
import type { LiveContainer } from "./converge.ts";
import { LinePrinter, printLogs } from "./logs.ts";
import type { Session } from "./session.ts";

export interface AttachmentOptions {
  attached: (service: string) => boolean;
  prefix: boolean;
  colored: boolean;
  timestamps: boolean;
  /** When the end of one container ends all. */
  stopWhen: "never" | "exit" | "failure";
  exitCodeFrom?: string;
}

/** The exit code of a command that Ctrl-C ended. */
const interruptedCode = 130;

export class Attachment {
  readonly #printer: LinePrinter;
  readonly #followers = new Map<string, Promise<void>>();
  #firstEnd: { service: string; code: number } | undefined;
  #exitCode: number | undefined;
  #stop: () => void = () => {};

  constructor(
    private readonly session: Session,
    private readonly project: Project,
    private readonly containers: LiveContainer[],
    private readonly options: AttachmentOptions,
  ) {
    this.#printer = new LinePrinter(session.out, { colored: options.colored, prefix: options.prefix });
  }

  /**
   * @param start starts what does not run and tells of each start
   * @param stop stops all in good order
   * @param kill ends all at once, at the second Ctrl-C
   * @param alongside goes on beside the containers when they have started, until the signal; tells of each start
   * @returns the exit code
   */
  async run(
    start: (
      onStarted: (container: LiveContainer) => void,
      onHookOutput: (container: LiveContainer, text: string) => void,
      signal: AbortSignal,
    ) => Promise<void>,
    stop: () => Promise<void>,
    kill: () => Promise<void>,
    alongside?: (onStarted: (container: LiveContainer) => void, signal: AbortSignal) => Promise<void>,
  ): Promise<number> {
    const shown = this.containers.filter(({ service }) => this.options.attached(service));
    for (const container of shown) this.#printer.register(this.#nameOf(container));
    if (shown.length > 0)
      this.session.out.write(
        `Attaching to ${shown
          .map((container) => this.#nameOf(container))
          .sort()
          .join(", ")}\n`,
      );

    let interrupts = 0;
    let stopping: Promise<void> | undefined;
    const starting = new AbortController();
    const ended = Promise.withResolvers<void>();
    const beside = new AbortController();
    this.#stop = () => {
      beside.abort();
      stopping ??= stop().finally(() => ended.resolve());
    };
    const release = this.session.onInterrupt(() => {
      interrupts++;
      if (interrupts === 1) {
        this.session.out.write("Gracefully Stopping... press Ctrl+C again to force\n");
        starting.abort();
        this.#stop();
      } else void kill();
    });
    try {
      for (const container of shown)
        if (container.state === "running") this.#follow(container, { tail: "0" });
      const before = await this.#ends(shown.filter(({ state }) => state === "kept"));
      try {
        const onStarted = (container: LiveContainer) => {
          if (this.options.attached(container.service))
            this.#follow(container, { since: before.get(container.id) });
          else if (this.options.stopWhen !== "never") this.#watch(container);
        };
        await start(
          onStarted,
          (container, text) => {
            for (const line of text.replace(/\n$/, "").split("\n"))
              this.#printer.line(`${this.#nameOf(container)} ->`, line);
          },
          starting.signal,
        );
        if (alongside && !stopping) this.#track("alongside", "watch", alongside(onStarted, beside.signal));
      } catch (error) {
        if (interrupts === 0) throw error;
      }
      await this.#allFollowersEnd();
      if (stopping) await ended.promise;
      await stopping;
    } finally {
      release();
    }
    if (interrupts > 0) return interruptedCode;
    return this.#exitCode ?? (this.options.stopWhen === "never" ? 0 : (this.#firstEnd?.code ?? 0));
  }

  #nameOf({ name, service, number }: LiveContainer): string {
    return this.project.services[service]?.container_name === undefined ? `${service}-${number}` : name;
  }

  /** When each container ended last: what its log says up to then is old. */
  async #ends(containers: LiveContainer[]): Promise<Map<string, string>> {
    const entries = containers.map(async ({ id }): Promise<[string, string]> => {
      const { State } = await this.session.engine.inspect(id);
      return [id, State.FinishedAt];
    });
    return new Map(await Promise.all(entries));
  }

  async #allFollowersEnd(): Promise<void> {
    while (this.#followers.size > 0) await Promise.race(this.#followers.values());
  }

  #follow(container: LiveContainer, query: { tail?: string; since?: string }): void {
    this.#track(container.id, container.name, this.#printUntilExit(container, query));
  }

  /** Waits for the end of a container whose output is not shown. */
  #watch(container: LiveContainer): void {
    this.#track(
      container.id,
      container.name,
      this.session.engine.wait(container.id).then((code) => this.#onExit(container, code)),
    );
  }

  /** @param name for what it has to tell */
  #track(key: string, name: string, work: Promise<void>): void {
    const follower = work
      .catch((error: unknown) => this.session.warn(`${name}: ${messageOf(error)}`))
      .finally(() => this.#followers.delete(key));
    this.#followers.set(key, follower);
  }

  /** A restart policy can start it again: then its output goes on. */
  async #printUntilExit(container: LiveContainer, query: { tail?: string; since?: string }): Promise<void> {
    const name = this.#nameOf(container);
    const print = (line: string) => this.#printer.line(name, line);
    let details = await this.session.engine.inspect(container.id);
    let { tail, since } = query;
    for (;;) {
      const startedAt = details.State.StartedAt;
      await printLogs(
        this.session,
        { id: container.id, name: container.name, tty: details.Config.Tty },
        {
          follow: true,
          since: since && engineTime(since),
          tail,
          timestamps: this.options.timestamps,
        },
        print,
      );
      try {
        details = await this.session.engine.inspect(container.id);
        // The log may end a moment before the state changes.
        while (details.State.Running && details.State.StartedAt === startedAt) {
          await Bun.sleep(50);
          details = await this.session.engine.inspect(container.id);
        }
        const { Status, ExitCode } = details.State;
        if (Status !== "restarting" && !details.State.Running) {
          this.#printer.note(name, `${name} exited with code ${ExitCode}`);
          this.#onExit(container, ExitCode);
          return;
        }
        this.#printer.note(name, `${name} exited with code ${ExitCode} (restarting)`);
        while (details.State.Status === "restarting") {
          await Bun.sleep(100);
          details = await this.session.engine.inspect(container.id);
        }
      } catch (error) {
        if (error instanceof NotFound) return;
        throw error;
      }
      tail = undefined;
      since = details.State.FinishedAt;
    }
  }

  #onExit({ service }: LiveContainer, code: number): void {
    this.#firstEnd ??= { service, code };
    if (service === this.options.exitCodeFrom) this.#exitCode ??= code;
    const { stopWhen } = this.options;
    if (stopWhen === "exit" || (stopWhen === "failure" && code !== 0)) {
      if (stopWhen === "failure") this.#exitCode ??= code;
      this.#stop();
    }
  }
}

/** RFC 3339 with nanoseconds -> `seconds.nanoseconds`, which every engine reads. */
export function engineTime(text: string): string {
  const [, whole, fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(text) ?? [];
  if (whole === undefined || whole.startsWith("0001-")) return "0";
  return `${Math.floor(Date.parse(`${whole}Z`) / 1000)}.${fraction.padEnd(9, "0")}`;
}
