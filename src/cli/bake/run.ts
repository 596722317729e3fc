/** Carries a plan out: each target is a build as `gantry build` does it, and starts when those that it takes from are done. */
import { writeFileSync } from "node:fs";
import { InvalidParameter } from "../../lib/errors.ts";
import { Slots } from "../../lib/slots.ts";
import { parseFlags } from "../args/parse.ts";
import { type BuildValues, buildFlags } from "../build/flags.ts";
import { checkProgress, type Display, named, openDisplay } from "../build/progress/index.ts";
import { BuildFailed, type BuildOutcome, detailOf, prepareBuild, runBuild } from "../build/run-build.ts";
import { shown } from "../build/shown.ts";
import { type CliContext, ExitStatus } from "../context.ts";
import { describe } from "../errors.ts";
import type { Plan } from "./resolve.ts";
import type { Target } from "./target.ts";
import { questionOf, wordsOf } from "./words.ts";

export interface RunOptions {
  progress: string;
  metadataFile?: string;
  /** Entitlements that the user agrees to. */
  allow: readonly string[];
  /** Builds at once; 0 or less: no limit. */
  parallel?: number;
  /** What holds for every build, over what its target says. */
  edit?: (values: BuildValues) => BuildValues;
}

/**
 * @returns the exit status
 * @throws InvalidParameter for what the user has not agreed to; BuildFailed of the first target that fails, the others
 * are stopped; Cancelled when the user has ended it
 */
export async function runPlan(context: CliContext, plan: Plan, options: RunOptions): Promise<number> {
  checkEntitlements(plan, options.allow);
  const kind = checkProgress(options.progress);
  const asked = [...plan.targets].filter(([, target]) => questionOf(target)).map(([name]) => name);
  const display = await openDisplay(asked.length === plan.targets.size ? "quiet" : kind, context.env);
  const run = new Run(context, plan, options, display);
  await shown(context, display, (signal) => run.all(signal));
  if (options.metadataFile !== undefined)
    writeFileSync(options.metadataFile, `${JSON.stringify(run.metadata(), undefined, 2)}\n`);
  const reports = asked.map((name) => ({ name, ...run.reports.get(name)! }));
  const several = reports.length > 1;
  context.out(reports.map(({ name, text }) => (several ? `${name}\n${text}` : text)).join("\n"));
  return reports.every(({ ok }) => ok) ? 0 : 1;
}

function checkEntitlements({ targets }: Plan, allow: readonly string[]): void {
  for (const [name, { entitlements = [] }] of targets) {
    const missing = entitlements.find((right) => !allow.includes(right));
    if (missing !== undefined)
      throw new InvalidParameter(`target ${name} asks for ${missing}: agree with --allow ${missing}`);
  }
}

class Run {
  /** Of the targets that something is asked about. */
  readonly reports = new Map<string, { text: string; ok: boolean }>();
  readonly #outcomes = new Map<string, BuildOutcome>();
  readonly #builds = new Map<string, Promise<void>>();
  readonly #failed = new AbortController();
  readonly #slots: Slots;

  constructor(
    private readonly context: CliContext,
    private readonly plan: Plan,
    private readonly options: RunOptions,
    private readonly display: Display,
  ) {
    this.#slots = new Slots(options.parallel && options.parallel > 0 ? options.parallel : plan.targets.size);
  }

  async all(signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#failed.signal]);
    await Promise.allSettled([...this.plan.targets.keys()].map((name) => this.#once(name, either)));
    either.throwIfAborted();
  }

  /** By target, as `build --metadata-file` has it. */
  metadata(): Record<string, BuildOutcome["metadata"]> {
    const inOrder = [...this.plan.targets.keys()];
    return Object.fromEntries(
      inOrder.flatMap((name) => {
        const made = this.#outcomes.get(name);
        return made ? [[name, made.metadata] as const] : [];
      }),
    );
  }

  #once(name: string, signal: AbortSignal): Promise<void> {
    let build = this.#builds.get(name);
    if (!build) {
      build = this.#build(name, signal).catch((error: unknown) => {
        // The first failure is the reason; those after it are its consequences.
        this.#failed.abort(failureOf(name, error));
        throw error;
      });
      this.#builds.set(name, build);
    }
    return build;
  }

  async #build(name: string, signal: AbortSignal): Promise<void> {
    const target = this.plan.targets.get(name)!;
    if (questionOf(target) === undefined)
      await Promise.all(this.plan.needs.get(name)!.map((needed) => this.#once(needed, signal)));
    await this.#slots.run(() => this.#run(name, target, signal), signal);
  }

  async #run(name: string, target: Target, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { flags, context: place, stdin } = wordsOf(target, this.#images());
    const values = parseFlags(buildFlags, flags).flags;
    await using cleanup = new AsyncDisposableStack();
    const build = await prepareBuild(this.context, this.options.edit?.(values) ?? values, place, cleanup, {
      stdin: () => textStream(stdin ?? ""),
    });
    if (questionOf(target) !== undefined) {
      const { answerOf } = await import("../build/answer.ts");
      this.reports.set(name, await answerOf(this.context, values, build, signal));
      return;
    }
    const show =
      this.plan.targets.size > 1 ? named(this.display, name) : this.display.show.bind(this.display);
    const onText = (text: string) => this.context.err(text);
    this.#outcomes.set(name, await runBuild(this.context, build, { show, onText, signal }));
  }

  #images(): Map<string, string> {
    return new Map([...this.#outcomes].map(([name, { imageId = "" }]) => [name, imageId]));
  }
}

/** The failure with the name of its target; a step gives its own exit status. */
function failureOf(name: string, error: unknown): ExitStatus {
  const reason = error instanceof ExitStatus ? error.message.replace(/^ERROR: /, "") : describe(error);
  const status = error instanceof BuildFailed ? error.stepStatus : undefined;
  return new BuildFailed(status, `ERROR: target ${name}: ${reason}`, detailOf(error));
}

async function* textStream(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}
