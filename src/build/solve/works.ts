/** Work that several builds want at once, and do once. */
import { availableParallelism } from "node:os";
import { Slots } from "../../lib/slots.ts";
import type { PackedLayer } from "../export/pack.ts";
import type { BaseImage } from "../types.ts";
import type { CacheRecord } from "./records.ts";
import { SharedWork } from "./shared.ts";

/** What a shared step tells the builds that wait for it. */
export type StepEvent =
  | { type: "log"; stream: 1 | 2; data: Uint8Array }
  /** The name of the snapshot that it is about to commit. */
  | { type: "snapshot"; key: string };

/** What all builds of one builder share while they run. */
export class SharedWorks {
  /** Of a step's output, those who come later are told the last megabyte. */
  readonly steps = new SharedWork<CacheRecord, StepEvent>(
    (event) => (event.type === "log" ? event.data.length : 0),
    1024 * 1024,
  );
  readonly pulls = new SharedWork<BaseImage, PullEvent>();
  readonly packs = new SharedWork<PackedLayer>();
  /** Steps that run at a time: a file of a thousand stages must not become a thousand containers. */
  readonly slots = new Slots(Math.max(16, 4 * availableParallelism()));
}

export interface PullEvent {
  name: string;
  current: number;
  total?: number;
}
