/** What there is to say of a Dockerfile without building it: checks, practices, arguments and targets. */
import { InvalidParameter } from "../lib/errors.ts";
import type { IgnoreRules } from "../lib/ignore.ts";
import { formatReference, normalize, parseReference } from "../lib/reference.ts";
import {
  type CheckWarning,
  checkFile,
  checkStages,
  inOrder,
  type StageSubject,
  violationMessage,
} from "./checks/index.ts";
import {
  type DockerfileText,
  filesOf,
  graphOf,
  readDockerfile,
  readIgnoreRules,
  settingsOf,
} from "./definition.ts";
import { type ParsedDockerfile, parseDockerfile } from "./dockerfile/parse.ts";
import { DockerfileError, excerptOf, isLocated } from "./errors.ts";
import { formatPlatform } from "./graph/scope.ts";
import { type Graph, platformOf, type Stage } from "./graph/stages.ts";
import { outlineOf, targetsOf } from "./outline/outline.ts";
import type { Outline, TargetList } from "./outline/types.ts";
import { lint } from "./practices/index.ts";
import type { BaseImage, BuildBackend, BuildRequest, LintReport } from "./types.ts";

/** A parsed file with its stages. */
export interface StagedFile {
  dockerfile: ParsedDockerfile;
  ignore: IgnoreRules;
  graph: Graph;
}

/** Each question releases the request's files when it is answered. */
export class Review {
  constructor(private readonly backend: BuildBackend) {}

  async check(request: BuildRequest, signal: AbortSignal): Promise<LintReport> {
    await using _ = filesOf(request);
    const source = readDockerfile(request);
    const { name, text } = source;
    const report = (warnings: CheckWarning[], error?: LintReport["error"]) =>
      reportOf(source, warnings, error);
    const warnings: CheckWarning[] = [];
    try {
      const dockerfile = parseDockerfile(text, name);
      const settings = settingsOf(request, dockerfile);
      warnings.push(...checkFile(dockerfile, settings));
      const graph = graphOf(request, dockerfile);
      const definition = { dockerfile, graph, ignore: readIgnoreRules(request) };
      warnings.push(...checkStages(await subjectOf(this.backend, request, definition, signal), settings));
      const fails = settings.error && warnings.length > 0;
      return report(warnings, fails ? { message: violationMessage(warnings) } : undefined);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof DockerfileError)) throw error;
      const { message, line, endLine } = error;
      return report(warnings, { message, line, endLine });
    }
  }

  async lint(request: BuildRequest): Promise<LintReport> {
    await using _ = filesOf(request);
    const source = readDockerfile(request);
    let dockerfile: ParsedDockerfile | undefined;
    try {
      dockerfile = parseDockerfile(source.text, source.name);
      const definition = {
        dockerfile,
        graph: graphOf(request, dockerfile),
        ignore: readIgnoreRules(request),
      };
      const subject = stageSubject(request, definition, ({ base }) =>
        typeof base === "object" && "image" in base ? this.#known(base.image) : undefined,
      );
      return reportOf(source, lint(dockerfile, subject, settingsOf(request, dockerfile)));
    } catch (error) {
      if (!(error instanceof DockerfileError)) throw error;
      const { message, line, endLine } = error;
      // What a stage that is missing breaks can't be told of; the rest can.
      const found = dockerfile ? lint(dockerfile, undefined, settingsOf(request, dockerfile)) : [];
      return reportOf(source, found, { message, line, endLine });
    }
  }

  outline(request: BuildRequest): Promise<Outline> {
    return this.#parsed(request, (file) => outlineOf(file, graphOf(request, file), request.buildArgs));
  }

  targets(request: BuildRequest): Promise<TargetList> {
    return this.#parsed(request, (file) => targetsOf(file, graphOf({ ...request, target: undefined }, file)));
  }

  async #parsed<T>(request: BuildRequest, read: (dockerfile: ParsedDockerfile) => T): Promise<T> {
    await using _ = filesOf(request);
    const { text, name } = readDockerfile(request);
    try {
      return read(parseDockerfile(text, name));
    } catch (error) {
      if (isLocated(error)) error.excerpt ??= excerptOf(text, error);
      throw error;
    }
  }

  /** An image that is here; one that isn't is not fetched for a look at it. */
  #known(reference: string): BaseImage | undefined {
    try {
      const name = formatReference(normalize(parseReference(reference)));
      return this.backend.store.images.byName(name);
    } catch (error) {
      if (error instanceof InvalidParameter) return undefined;
      throw error;
    }
  }
}

/** The stages with their base images; one that can't be had is left unknown: only a build needs it. */
export async function subjectOf(
  backend: Pick<BuildBackend, "resolveImage">,
  request: BuildRequest,
  definition: StagedFile,
  signal: AbortSignal,
): Promise<StageSubject> {
  const { graph } = definition;
  const bases = new Map<number, BaseImage>();
  const resolve = async ({ index, base }: Stage) => {
    if (typeof base !== "object" || !("image" in base)) return;
    const platform = platformOf(graph.stages[index]!, request);
    try {
      const options = { pull: request.pull, platform, signal };
      bases.set(index, await backend.resolveImage(base.image, options));
    } catch {
      signal.throwIfAborted();
    }
  };
  await Promise.all(graph.needed.map((index) => resolve(graph.stages[index]!)));
  return stageSubject(request, definition, (stage) => bases.get(stage.index));
}

/** What checks of stages look at. @param base of a stage, as far as it is known */
export function stageSubject(
  request: BuildRequest,
  definition: StagedFile,
  base: StageSubject["base"],
): StageSubject {
  return { ...definition, base, platform: (stage) => formatPlatform(platformOf(stage, request)) };
}

function reportOf(
  { name, text }: DockerfileText,
  warnings: readonly CheckWarning[],
  error?: LintReport["error"],
): LintReport {
  return {
    file: name,
    source: text,
    warnings: inOrder(warnings).map(({ rule, range, detail, edits }) => ({
      rule: rule.name,
      severity: rule.severity ?? "warning",
      description: rule.description,
      advice: rule.advice,
      url: rule.url,
      detail,
      line: range.line,
      endLine: range.endLine,
      edits,
    })),
    error,
  };
}
