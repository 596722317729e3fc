/** Uploads in progress. They live as long as the process: after a restart a client begins again. */
import { randomUUID } from "node:crypto";
import { Mutex } from "../../lib/mutex.ts";
import { DistributionError } from "./errors.ts";
import type { BlobIngest, BlobStore } from "./types.ts";

/** An upload that nobody touched for so long is dropped. */
const idleLimitMs = 3_600_000;

export interface UploadSession {
  readonly id: string;
  readonly repository: string;
  readonly ingest: BlobIngest;
  readonly writing: Mutex;
  /** Requests that write or wait to. */
  writers: number;
  touchedAt: number;
}

export class UploadSessions {
  readonly #sessions = new Map<string, UploadSession>();

  constructor(
    private readonly blobs: BlobStore,
    private readonly now: () => number = Date.now,
  ) {}

  async begin(repository: string): Promise<UploadSession> {
    await this.#dropIdle();
    const ingest = await this.blobs.ingest();
    const session = {
      id: randomUUID(),
      repository,
      ingest,
      writing: new Mutex(),
      writers: 0,
      touchedAt: this.now(),
    };
    this.#sessions.set(session.id, session);
    return session;
  }

  /** @throws DistributionError BLOB_UPLOAD_UNKNOWN */
  find(repository: string, id: string): UploadSession {
    const session = this.#sessions.get(id);
    if (session?.repository !== repository) throw new DistributionError("BLOB_UPLOAD_UNKNOWN");
    session.touchedAt = this.now();
    return session;
  }

  /** Runs `task` alone on the session: one request at a time may write. */
  async write<T>(session: UploadSession, task: () => Promise<T>): Promise<T> {
    session.writers += 1;
    try {
      return await session.writing.run(task);
    } finally {
      session.writers -= 1;
      session.touchedAt = this.now();
    }
  }

  /** Forgets the session and drops bytes that were not published. */
  async end(session: UploadSession): Promise<void> {
    this.#sessions.delete(session.id);
    await session.ingest.discard();
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => this.end(session)));
  }

  async #dropIdle(): Promise<void> {
    const limit = this.now() - idleLimitMs;
    for (const session of this.#sessions.values()) {
      if (session.writers === 0 && session.touchedAt < limit) await this.end(session);
    }
  }
}
