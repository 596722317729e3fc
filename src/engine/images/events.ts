import type { ImageRecord } from "../../store/types.ts";
import type { Context } from "../context.ts";

/**
 * Tells of an image, with its labels as Docker does, which has none of an image that is gone.
 * @param name what it was called; its id when by none
 */
export function imageEvent(
  { events }: Pick<Context, "events">,
  record: Pick<ImageRecord, "id" | "config">,
  action: string,
  name: string = record.id,
): void {
  const labels = record.config.config?.Labels ?? {};
  events.publish("image", action, record.id, { ...(action === "delete" ? {} : labels), name }, labels);
}
