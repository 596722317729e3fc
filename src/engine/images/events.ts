/** What is told of images. */
import type { Digest } from "../../lib/digest.ts";
import type { Context } from "../context.ts";

/** With the image's labels, as far as it is here. */
export function imageEvent({ events, store }: Context, action: string, id: Digest, name: string): void {
  const labels = store.images.get(id)?.config.config?.Labels;
  events.publish("image", action, id, { ...labels, name });
}
