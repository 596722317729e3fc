import { AsyncQueue } from "../lib/queue.ts";
import { matchAny, matchLabels } from "./filters.ts";
import type { EngineEvent, Events, Filters } from "./types.ts";

/** How many past events `since` can reach. */
const historyLimit = 1024;

let lastTime = 0n;
/** Nanoseconds since the epoch, strictly rising. */
function nowNs(): bigint {
  const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  lastTime = now > lastTime ? now : lastTime + 1n;
  return lastTime;
}

/** The engine's event bus: everyone below publishes, the API subscribes. */
export class EventBus implements Events {
  #history: EngineEvent[] = [];
  #subscribers = new Set<(event: EngineEvent) => void>();

  get listeners(): number {
    return this.#subscribers.size;
  }

  /** @param labels of what it is about, when the attributes don't have them: Docker shows none of networks and volumes */
  publish(
    type: EngineEvent["type"],
    action: string,
    id: string,
    attributes: Record<string, string> = {},
    labels: Record<string, string> = attributes,
  ): void {
    const event: EngineEvent = { type, action, actor: { id, attributes }, labels, timeNs: nowNs() };
    this.#history.push(event);
    if (this.#history.length > historyLimit) this.#history.shift();
    for (const notify of this.#subscribers) notify(event);
  }

  async *subscribe(
    options: Parameters<Events["subscribe"]>[0],
    signal: AbortSignal,
  ): AsyncIterable<EngineEvent> {
    const { since, until, filters, observes = {} } = options;
    const wanted = (event: EngineEvent) =>
      matches(event, filters) &&
      Object.entries(observes).every(([name, value]) => event.labels[name] === value) &&
      (until === undefined || event.timeNs <= until);
    const queue = new AsyncQueue<EngineEvent>(() => {
      this.#subscribers.delete(notify);
      clearTimeout(timer);
      signal.removeEventListener("abort", close);
    });
    const notify = (event: EngineEvent) => {
      if (wanted(event)) queue.push(event);
    };
    const close = () => queue.close();
    let timer: ReturnType<typeof setTimeout> | undefined;
    signal.addEventListener("abort", close);
    this.#subscribers.add(notify);
    if (since !== undefined) for (const event of this.#history) if (event.timeNs >= since) notify(event);
    if (until !== undefined) {
      const left = Number(until / 1_000_000n) - Date.now();
      if (left <= 0) close();
      else timer = setTimeout(close, left);
    }
    if (signal.aborted) close();
    yield* queue;
  }
}

function matches(event: EngineEvent, filters: Filters): boolean {
  const { id, attributes } = event.actor;
  const actorIs = (type: EngineEvent["type"]) => (value: string) =>
    event.type === type && (id.startsWith(value) || attributes.name === value || attributes.image === value);
  return (
    matchAny(filters, "type", (value) => event.type === value) &&
    matchAny(filters, "event", (value) => event.action === value || event.action.startsWith(`${value}: `)) &&
    matchAny(filters, "container", actorIs("container")) &&
    matchAny(filters, "volume", actorIs("volume")) &&
    matchAny(filters, "network", actorIs("network")) &&
    matchAny(filters, "daemon", actorIs("daemon")) &&
    matchAny(filters, "image", (value) =>
      event.type === "image" ? id === value || attributes.name === value : attributes.image === value,
    ) &&
    matchLabels(filters, attributes)
  );
}
