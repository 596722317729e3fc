import type { BuildEvent } from "../../../build/types.ts";
import { messageOf } from "../../../lib/errors.ts";

/** Does a piece of work around the builder as a vertex of the build's progress. */
export async function shown<T>(
  onEvent: (event: BuildEvent) => void,
  vertex: { id: string; name: string },
  work: (progress: (name: string, current: number, total?: number) => void) => Promise<T>,
): Promise<T> {
  const tell = (state: "started" | "done" | "failed", error?: string) =>
    onEvent({ type: "vertex", ...vertex, state, at: Date.now(), error });
  tell("started");
  try {
    const result = await work((name, current, total) =>
      onEvent({ type: "progress", id: vertex.id, name, current, total }),
    );
    tell("done");
    return result;
  } catch (error) {
    tell("failed", messageOf(error));
    throw error;
  }
}
