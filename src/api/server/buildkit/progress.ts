/** A build's events as BuildKit's clients read them: vertices, statuses, logs and warnings. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { BuildEvent } from "../../../build/types.ts";
import { digestOf } from "../../../lib/digest.ts";
import {
  type StatusResponse,
  StatusResponseSchema,
  VertexLogSchema,
  VertexSchema,
  VertexStatusSchema,
  VertexWarningSchema,
} from "./proto/control_pb.ts";
import { type Source, sourceInfo, sourceRange } from "./source.ts";

const encoder = new TextEncoder();

export class VertexStream {
  /** When a vertex began, by its id: every later message of it says so again. */
  readonly #started = new Map<string, number>();
  readonly #done = new Set<string>();
  readonly #statuses = new Map<string, number>();
  /** Where warnings belong that name no vertex. */
  #first = "";
  source: Source | undefined;

  /**
   * @param ref the build's own name: vertices of two builds are told apart by it
   * @param clock milliseconds since the epoch, for events that don't say when they were
   */
  constructor(
    private readonly ref: string,
    private readonly clock: () => number = Date.now,
  ) {}

  /** The message of one event; undefined: clients know it already. */
  message(event: BuildEvent): StatusResponse | undefined {
    const now = timestampFromMs(this.clock());
    switch (event.type) {
      case "vertex": {
        const vertex = this.#digest(event.id);
        this.#first ||= vertex;
        // Files come from the client under the vertex that then reads them: for people it is one.
        if (this.#done.has(event.id) && event.state !== "failed") return undefined;
        if (event.state === "done") this.#done.add(event.id);
        const began = this.#started.get(event.id) ?? event.at;
        this.#started.set(event.id, began);
        const over = event.state !== "started";
        return create(StatusResponseSchema, {
          vertexes: [
            create(VertexSchema, {
              digest: vertex,
              // What was never told of is not there for clients.
              inputs: event.inputs?.filter((id) => this.#started.has(id)).map((id) => this.#digest(id)),
              name: event.name,
              cached: event.state === "cached",
              started: timestampFromMs(began),
              completed: over ? timestampFromMs(event.at) : undefined,
              error: event.error,
            }),
          ],
        });
      }
      case "log":
        return create(StatusResponseSchema, {
          logs: [
            create(VertexLogSchema, {
              vertex: this.#digest(event.id),
              timestamp: now,
              stream: BigInt(event.stream),
              // The event's bytes may be a view of a buffer that is used again.
              msg: Uint8Array.from(event.data),
            }),
          ],
        });
      case "progress": {
        const key = `${event.id} ${event.name}`;
        const began = this.#statuses.get(key) ?? this.clock();
        this.#statuses.set(key, began);
        return create(StatusResponseSchema, {
          statuses: [
            create(VertexStatusSchema, {
              id: event.name,
              vertex: this.#digest(event.id),
              name: event.name,
              current: BigInt(event.current),
              total: BigInt(event.total ?? 0),
              timestamp: now,
              started: timestampFromMs(began),
              completed: event.current === event.total ? now : undefined,
            }),
          ],
        });
      }
      case "warning":
        return create(StatusResponseSchema, {
          warnings: [
            create(VertexWarningSchema, {
              vertex: this.#first,
              level: 1n,
              short: encoder.encode(event.message),
              info: this.source && sourceInfo(this.source),
              ranges: event.line === undefined ? [] : [sourceRange({ line: event.line })],
            }),
          ],
        });
    }
  }

  #digest(id: string): string {
    return digestOf(Buffer.from(`${this.ref}/${id}`));
  }
}
