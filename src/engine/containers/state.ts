import type { ContainerRecord, ContainerStatus } from "../types.ts";

/** What can happen to a container. */
export type Transition =
  | "start"
  | "exit"
  | "pause"
  | "unpause"
  | "await-restart"
  | "give-up"
  | "remove"
  | "remove-failed";

/** The life of a container: for each status, what may happen and where it leads. */
const table: Record<ContainerStatus, Partial<Record<Transition, ContainerStatus>>> = {
  created: { start: "running", remove: "removing" },
  running: { exit: "exited", pause: "paused" },
  paused: { unpause: "running", exit: "exited" },
  exited: { start: "running", "await-restart": "restarting", remove: "removing" },
  restarting: { start: "running", "give-up": "exited", remove: "removing" },
  removing: { "remove-failed": "dead", remove: "removing" },
  dead: { remove: "removing" },
};

/** Whether `transition` may happen to a container in `status`. */
export function allows(status: ContainerStatus, transition: Transition): boolean {
  return table[status][transition] !== undefined;
}

/** The only writer of `state.status`. @throws Error for a transition that the table lacks: a bug of the caller. */
export function transit(record: ContainerRecord, transition: Transition): void {
  const next = table[record.state.status][transition];
  if (next === undefined)
    throw new Error(`container ${record.id}: no transition "${transition}" from "${record.state.status}"`);
  record.state.status = next;
}

export const isRunning = (record: ContainerRecord) =>
  record.state.status === "running" || record.state.status === "paused";
