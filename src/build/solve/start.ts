/** What a stage begins from: an image, an earlier stage, a named context or nothing. */
import { defaultPath } from "../graph/metadata.ts";
import { envMap } from "../graph/scope.ts";
import { platformOf, type Stage } from "../graph/stages.ts";
import type { BaseImage } from "../types.ts";
import { placeOf } from "./explain.ts";
import type { NamedInput, Origin } from "./inputs.ts";
import { keyOf } from "./key.ts";
import type { Vertex } from "./progress.ts";
import type { Session } from "./session.ts";
import type { StageState } from "./stage.ts";

/** A base image costs no step; whether it is another one than the last time matters to those after it. */
export function explainBase(session: Session, stage: Stage, base: BaseImage, { explain }: Vertex): void {
  const { explanations, request } = session;
  const { text } = stage.from;
  const place = placeOf(request, stage, "FROM", "from", text);
  const inputs: NamedInput[] = [
    { kind: "instruction", name: text, digest: explanations.digest(text) },
    { kind: "base", name: baseName(stage), digest: base.id },
  ];
  const reasons = explanations.reasons(place, inputs);
  if (request.explain) explain(reasons.length === 0, reasons);
  if (reasons.length > 0) explanations.remember(place, inputs);
}

function baseName({ base, from }: Stage): string {
  return typeof base === "object" && "image" in base ? base.image : from.image;
}

/** A stage's begin, and the ONBUILD triggers that its base has left for it. */
export interface Start {
  state: StageState;
  triggers: string[];
}

export async function startOf(session: Session, stage: Stage, vertex: Vertex): Promise<Start> {
  const state = await baseState(session, stage, vertex);
  const { OnBuild, ...config } = state.config;
  // They run once, in the stage that begins from what has them.
  return { state: { ...state, config }, triggers: OnBuild ?? [] };
}

async function baseState(session: Session, stage: Stage, vertex: Vertex): Promise<StageState> {
  const { base } = stage;
  if (typeof base === "object" && "stage" in base) {
    const parent = await session.stage(base.stage);
    const origin: Origin = { kind: "parent", name: `stage ${stage.from.image}` };
    return {
      ...parent,
      treeFrom: origin,
      chainFrom: origin,
      layers: [...parent.layers],
      history: [...parent.history],
      scope: session.newScope(parent.scope),
      cmdSet: false,
    };
  }
  const platform = platformOf(stage, session.request);
  const start = {
    cmdSet: false,
    history: [],
    scope: session.newScope(),
    platform,
  };
  if (base === "scratch" || "directory" in base) {
    const config = { Env: [`PATH=${defaultPath}`], WorkingDir: "/" };
    const origin: Origin = { kind: "base", name: stage.from.image };
    const begun = { tree: { id: "scratch" }, chain: "scratch", treeFrom: origin, chainFrom: origin };
    return { ...start, ...begun, config, layers: [] };
  }
  const image = await session.image(base.image, stage.platform === undefined ? undefined : platform, {
    range: stage.from.range,
    onProgress: vertex.progress,
  });
  const config = image.config.config ?? {};
  const Env = config.Env ?? [];
  const origin: Origin = { kind: "base", name: base.image, shown: image.id };
  return {
    ...start,
    treeFrom: origin,
    chainFrom: origin,
    tree: session.treeOf(image),
    chain: keyOf("image", image.id),
    config: { ...config, Env: envMap(Env).has("PATH") ? Env : [`PATH=${defaultPath}`, ...Env] },
    author: image.config.author,
    layers: image.layers.map((layer) => ({ base: layer })),
    base: image,
    platform: image.platform,
  };
}
