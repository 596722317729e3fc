/**
 * Uploads in progress. Their bytes and their repository are in the stores, so that they go on after a restart;
 * memory has those that are worked on.
 */
import { randomUUID } from "node:crypto";
import { KeyedMutex, Mutex } from "../../lib/mutex.ts";
import { DistributionError } from "./errors.ts";
import type { BlobIngest, BlobStore, HashAlgorithm, MetadataStore } from "./types.ts";

/** An upload that nobody touched for so long is closed, and opened again when its client comes back. Ms. */
const idleLimitMs = 300_000;
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

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
  readonly #opening = new KeyedMutex<string>();

  constructor(
    private readonly blobs: BlobStore,
    private readonly metadata: MetadataStore,
    private readonly now: () => number = Date.now,
  ) {}

  /** `algorithm`: the one of the digest that will come, as far as it is known. */
  async begin(repository: string, algorithm?: HashAlgorithm): Promise<UploadSession> {
    await this.#closeIdle();
    const ingest = await this.blobs.ingest(randomUUID(), algorithm);
    await this.metadata.beginUpload(ingest.id, repository);
    return this.#keep(repository, ingest);
  }

  /** @throws DistributionError BLOB_UPLOAD_UNKNOWN */
  async find(repository: string, id: string): Promise<UploadSession> {
    const session = this.#sessions.get(id) ?? (await this.#opening.run(id, () => this.#reopen(id)));
    if (session?.repository !== repository) throw new DistributionError("BLOB_UPLOAD_UNKNOWN");
    session.touchedAt = this.now();
    return session;
  }

  /**
   * Runs `task` alone on the session: one request at a time may write.
   * @throws DistributionError BLOB_UPLOAD_UNKNOWN when the request before this one ended the upload
   */
  async write<T>(session: UploadSession, task: () => Promise<T>): Promise<T> {
    session.writers += 1;
    try {
      return await session.writing.run(() => {
        if (this.#sessions.get(session.id) !== session) throw new DistributionError("BLOB_UPLOAD_UNKNOWN");
        return task();
      });
    } finally {
      session.writers -= 1;
      session.touchedAt = this.now();
    }
  }

  /** Forgets the upload and drops bytes that were not published. */
  async end(session: UploadSession): Promise<void> {
    this.#sessions.delete(session.id);
    // The bytes go last: collection finds bytes without an upload, not an upload without bytes.
    await this.metadata.endUpload(session.id);
    await session.ingest.discard();
  }

  /** Lets go of all; they can be taken up again. */
  async closeAll(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map((session) => session.ingest.close()));
  }

  /** Drops what was last written before `time` (ms since the epoch) and is not being written. @returns how many */
  async dropAbandoned(time: number): Promise<number> {
    let dropped = 0;
    for await (const { id, writtenAt } of this.blobs.ingests()) {
      const session = this.#sessions.get(id);
      if (writtenAt >= time || (session && (session.writers > 0 || session.touchedAt >= time))) continue;
      this.#sessions.delete(id);
      await this.metadata.endUpload(id);
      await (session?.ingest ?? (await this.blobs.resume(id)))?.discard();
      dropped += 1;
    }
    return dropped;
  }

  async #reopen(id: string): Promise<UploadSession | undefined> {
    const open = this.#sessions.get(id);
    if (open || !uuid.test(id)) return open;
    const repository = await this.metadata.uploadRepository(id);
    if (repository === undefined) return undefined;
    const ingest = await this.blobs.resume(id);
    return ingest && this.#keep(repository, ingest);
  }

  #keep(repository: string, ingest: BlobIngest): UploadSession {
    const { id } = ingest;
    const session = { id, repository, ingest, writing: new Mutex(), writers: 0, touchedAt: this.now() };
    this.#sessions.set(id, session);
    return session;
  }

  async #closeIdle(): Promise<void> {
    const limit = this.now() - idleLimitMs;
    for (const session of this.#sessions.values()) {
      if (session.writers > 0 || session.touchedAt >= limit) continue;
      this.#sessions.delete(session.id);
      await session.ingest.close();
    }
  }
}
