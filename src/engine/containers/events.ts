import type { EventBus } from "../events.ts";
import type { ContainerRecord } from "../types.ts";

/** Tells of a container: its labels, image and name, and what the action has besides. */
export function containerEvent(
  { events }: { events: EventBus },
  record: ContainerRecord,
  action: string,
  attributes: Record<string, string> = {},
): void {
  const about = { ...record.config.Labels, image: record.config.Image, name: record.name };
  events.publish("container", action, record.id, { ...about, ...attributes });
}
