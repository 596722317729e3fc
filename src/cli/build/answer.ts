/** What is asked about a Dockerfile instead of building it: `--check`, `--call`. */
import type { CliContext } from "../context.ts";
import { runCheck } from "./check.ts";
import type { BuildValues } from "./flags.ts";
import { questionOf } from "./request.ts";
import type { PreparedBuild } from "./run-build.ts";

/** The engine's answer, for people or as it is. `ok`: nothing was found that is wrong. */
export async function answerOf(
  context: CliContext,
  flags: BuildValues,
  build: PreparedBuild,
  signal?: AbortSignal,
): Promise<{ text: string; ok: boolean }> {
  const question = questionOf(flags);
  if (!question) return runCheck(context, build, signal);
  const { path, query, body, start } = build;
  start();
  const answer = await context.client.call<Record<string, string>>("POST", path, { query, body, signal });
  const text = question.json ? `${answer["result.json"]}\n` : (answer["result.txt"] ?? "");
  return { text, ok: Number(answer["result.statuscode"] ?? 0) === 0 };
}
