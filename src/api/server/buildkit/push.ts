/** Pushing what a build has tagged (`docker buildx build --push`). */
import type { BuildEvent, BuildRequest } from "../../../build/types.ts";
import type { Engine } from "../../../engine/types.ts";
import { defaultTag, familiarName, parseReference } from "../../../lib/reference.ts";
import { shown } from "./shown.ts";

/** One after the other, for they share their layers. @throws what `EngineImages.push` throws */
export async function pushTags(
  engine: Engine,
  tags: readonly string[],
  credentials: BuildRequest["credentials"],
  onEvent: (event: BuildEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  for (const name of tags) {
    const reference = parseReference(name);
    const vertex = { id: `push ${name}`, name: `pushing ${name}` };
    await shown(onEvent, vertex, async (progress) => {
      const auth = await credentials?.(reference.domain, signal);
      const options = { tag: reference.tag ?? defaultTag, auth, signal };
      await engine.images.push(familiarName(reference), options, ({ id, progressDetail }) => {
        if (id && progressDetail?.current !== undefined)
          progress(id, progressDetail.current, progressDetail.total);
      });
    });
  }
}
