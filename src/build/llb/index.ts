/** Builds that are low-level definitions: solved, and handed to the export as what a Dockerfile's target is. */
import type { HistoryEntry, ImageConfig } from "../../lib/oci.ts";
import type { BuiltPlatform } from "../export/index.ts";
import { defaultPath } from "../graph/metadata.ts";
import { hostPlatform } from "../graph/scope.ts";
import type { BuiltState, StageHistory } from "../solve/stage.ts";
import { StepSession, type StepSessionParts } from "../solve/step-session.ts";
import type { Layered } from "./output.ts";
import { Solver } from "./solver.ts";
import type { LowLevelBuild, Op } from "./types.ts";

/**
 * @param sessions keeps what was solved until it is exported
 * @throws what the operations throw
 */
export async function solveDefinitions(
  parts: StepSessionParts,
  build: LowLevelBuild,
  sessions: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<BuiltPlatform[]> {
  const session = sessions.use(new StepSession(parts, signal));
  const solver = new Solver(session, build);
  const solved = await session.together(build.results.map(({ definition }) => solver.solve(definition)));
  const bases = await session.bases();
  return build.results.map(({ platform, definition, config }, i) => {
    const state = stateOf(solved[i]!, platform, config);
    const { result } = definition;
    return {
      state,
      vertex: result?.op ?? "",
      packer: session.packer,
      records: () => session.usedRecords(),
      origin: () => ({
        platform: state.platform,
        bases,
        secrets: [...definition.ops.values()].flatMap((op) => askedFor(op, "secret")),
        ssh: [...definition.ops.values()].flatMap((op) => askedFor(op, "ssh")),
      }),
      open: () => session.views.open(state.tree.snapshot),
    };
  });
}

function askedFor({ does }: Op, type: "secret" | "ssh") {
  if (does.type !== "exec") return [];
  const mounts = does.mounts.flatMap((mount) =>
    mount.type === type && "required" in mount ? [{ id: mount.id, optional: !mount.required }] : [],
  );
  const env = type === "secret" ? does.secretEnv.map(({ id, optional }) => ({ id, optional })) : [];
  return [...mounts, ...env];
}

function stateOf(
  { tree, layers, history, image }: Layered,
  platform: BuiltState["platform"] | undefined,
  written: ImageConfig | undefined,
): BuiltState {
  const state = {
    tree,
    layers,
    history,
    platform: platform ?? image?.platform ?? hostPlatform(),
  };
  if (written)
    return {
      ...state,
      config: written.config ?? {},
      author: written.author,
      written: aligned(written, history, layers.length),
    };
  // An image that is handed on as it is stays what it is.
  if (image) return { ...state, config: image.config.config ?? {}, author: image.config.author, base: image };
  const plain = layers.slice(history.filter(({ emptyLayer }) => !emptyLayer).length);
  const before: StageHistory[] = plain.map(() => ({ createdBy: "layer", createdAt: 0, emptyLayer: false }));
  return { ...state, config: { Env: [`PATH=${defaultPath}`] }, history: [...before, ...history] };
}

/**
 * A front end writes the history that it expects; steps that changed no file gave no layer, and their entries say so.
 */
function aligned(written: ImageConfig, steps: readonly StageHistory[], layers: number): ImageConfig {
  const entries: HistoryEntry[] = (written.history ?? []).map((entry) => ({ ...entry }));
  const own = [...steps].reverse();
  for (const entry of [...entries].reverse()) {
    if (entry.empty_layer) continue;
    const step = own.shift();
    if (!step) break;
    if (step.emptyLayer) entry.empty_layer = true;
  }
  const count = entries.filter((entry) => !entry.empty_layer).length;
  if (count > layers) return { ...written, history: undefined };
  const missing = Array.from({ length: layers - count }, () => ({ created_by: "layer", comment: "gantry" }));
  return { ...written, history: [...entries, ...missing] };
}
