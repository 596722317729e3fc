/** Carries a plan out: each target is a `gantry build` of its own, which starts when those that it takes from are done. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cancelled, InvalidParameter } from "../../lib/errors.ts";
import { ownCommand } from "../../lib/own-command.ts";
import { type CliContext, ExitStatus } from "../context.ts";
import { overrideWords } from "../global-flags.ts";
import { Prefixed } from "./prefixed.ts";
import type { Plan } from "./resolve.ts";
import { isCheck, wordsOf } from "./words.ts";

export interface RunOptions {
  progress: string;
  metadataFile: string | undefined;
  /** Entitlements that the user agrees to. */
  allow: readonly string[];
}

/** @returns the exit status @throws InvalidParameter for what the user has not agreed to */
export async function runPlan(context: CliContext, plan: Plan, options: RunOptions): Promise<number> {
  checkEntitlements(plan, options.allow);
  const directory = mkdtempSync(join(tmpdir(), "gantry-bake-"));
  const run = new Run(context, plan, options, directory);
  const interrupted = () => run.stop();
  for (const signal of endings) process.on(signal, interrupted);
  try {
    await run.all();
    if (options.metadataFile !== undefined)
      writeFileSync(options.metadataFile, `${JSON.stringify(run.metadata(), undefined, 2)}\n`);
    return run.status;
  } finally {
    for (const signal of endings) process.off(signal, interrupted);
    rmSync(directory, { recursive: true, force: true });
  }
}

const endings = ["SIGINT", "SIGTERM"] as const;

function checkEntitlements({ targets }: Plan, allow: readonly string[]): void {
  for (const [name, { entitlements = [] }] of targets) {
    const missing = entitlements.find((right) => !allow.includes(right));
    if (missing !== undefined)
      throw new InvalidParameter(`target ${name} asks for ${missing}: agree with --allow ${missing}`);
  }
}

class Run {
  /** What checks have found, as an exit status. */
  status = 0;
  readonly #images = new Map<string, string>();
  readonly #builds = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #output: Prefixed | undefined;

  constructor(
    private readonly context: CliContext,
    private readonly plan: Plan,
    private readonly options: RunOptions,
    private readonly directory: string,
  ) {
    // One build alone has the terminal for itself.
    const names = [...plan.targets.keys()];
    if (names.length > 1) this.#output = new Prefixed(names, (text) => context.err(text));
  }

  /** @throws ExitStatus of the first target that fails, the others are stopped; Cancelled after `stop` */
  async all(): Promise<void> {
    const results = await Promise.allSettled([...this.plan.targets.keys()].map((name) => this.#once(name)));
    const failures = results.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    const failure = failures.find((error) => error instanceof ExitStatus);
    if (failure) throw failure;
    if (this.#stop.signal.aborted) throw new Cancelled("canceled");
    if (failures.length > 0) throw failures[0];
  }

  /** Ends what is being built; `all` throws Cancelled. */
  stop(): void {
    this.#stop.abort();
  }

  /** By target: the image and its names. */
  metadata(): Record<string, Record<string, string>> {
    return Object.fromEntries(
      [...this.#images].map(([name, id]) => {
        const tags = this.plan.targets.get(name)?.tags ?? [];
        return [
          name,
          { "containerimage.config.digest": id, ...(tags.length > 0 && { "image.name": tags.join(",") }) },
        ];
      }),
    );
  }

  #once(name: string): Promise<void> {
    let build = this.#builds.get(name);
    if (!build) {
      build = this.#build(name);
      this.#builds.set(name, build);
    }
    return build;
  }

  async #build(name: string): Promise<void> {
    const target = this.plan.targets.get(name)!;
    const checks = isCheck(target);
    if (!checks) await Promise.all(this.plan.needs.get(name)!.map((needed) => this.#once(needed)));
    this.#stop.signal.throwIfAborted();
    const { flags, context, stdin } = wordsOf(target, this.#images);
    const idFile = join(this.directory, name);
    const own = checks ? [] : [`--iidfile=${idFile}`, `--progress=${this.#progress}`];
    const words = [...overrideWords(this.context.overrides), "build", ...flags, ...own, "--", context];
    const status = await this.#spawn(name, words, stdin);
    if (checks) this.status ||= status;
    else if (status === 0) this.#images.set(name, readFileSync(idFile, "utf8"));
    else {
      const first = !this.#stop.signal.aborted;
      this.#stop.abort();
      if (first) throw new ExitStatus(status, `target ${name}: failed to build`);
    }
  }

  /** Several builds can't draw on one terminal: they are told of by lines. */
  get #progress(): string {
    const { progress } = this.options;
    return this.#output && progress === "auto" ? "plain" : progress;
  }

  async #spawn(name: string, words: string[], stdin: string | undefined): Promise<number> {
    const output = this.#output?.open(name);
    const child = Bun.spawn([...ownCommand(Bun.main, process.execPath), ...words], {
      env: this.context.env,
      stdin: stdin === undefined ? "ignore" : Buffer.from(stdin),
      stdout: output ? "pipe" : "inherit",
      stderr: output ? "pipe" : "inherit",
      signal: this.#stop.signal,
    });
    if (output) await Promise.all([output.copy(child.stdout!), output.copy(child.stderr!)]);
    return child.exited;
  }
}
