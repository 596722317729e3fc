/** The registry's metadata in SQLite. */
import { Database } from "bun:sqlite";
import * as v from "valibot";
import { type Digest, parseDigest } from "../../lib/digest.ts";
import { Unavailable } from "../../lib/errors.ts";
import type { ManifestRecord, MetadataStore } from "./types.ts";

const schema = `
create table if not exists blobs (
  repository text not null, digest text not null,
  primary key (repository, digest)) without rowid;
create index if not exists blobs_digest on blobs (digest);
create table if not exists manifests (
  repository text not null, digest text not null, media_type text not null, size integer not null,
  subject text, artifact_type text, annotations text,
  primary key (repository, digest)) without rowid;
create index if not exists manifests_digest on manifests (digest);
create index if not exists manifests_subject on manifests (repository, subject) where subject is not null;
create table if not exists tags (
  repository text not null, tag text not null, digest text not null,
  primary key (repository, tag)) without rowid;
create index if not exists tags_digest on tags (repository, digest);
`;

interface ManifestRow {
  digest: string;
  media_type: string;
  size: number;
  subject: string | null;
  artifact_type: string | null;
  annotations: string | null;
}
interface DigestRow {
  digest: string;
}
interface NameRow {
  name: string;
}

const annotations = v.record(v.string(), v.string());

export class SqliteMetadata implements MetadataStore {
  readonly #db: Database;

  /**
   * Opens or makes the database file at `path`, for this process alone.
   * @throws Unavailable when another one has it open
   */
  constructor(path: string) {
    this.#db = new Database(path, { create: true, strict: true });
    try {
      this.#db.run("pragma locking_mode = exclusive");
      this.#db.run("pragma journal_mode = wal");
      this.#db.run("pragma synchronous = normal");
      this.#db.run(schema);
    } catch (error) {
      this.#db.close();
      const isBusy = error instanceof Error && "code" in error && error.code === "SQLITE_BUSY";
      throw isBusy ? new Unavailable(`${path} is in use by another registry`, { cause: error }) : error;
    }
  }

  close(): void {
    this.#db.close();
  }

  async hasRepository(repository: string): Promise<boolean> {
    const query =
      "select 1 from blobs where repository = ?1 union all select 1 from manifests where repository = ?1 limit 1";
    return this.#db.query(query).get(repository) !== null;
  }

  async repositories(after: string, limit: number): Promise<string[]> {
    const query = "select distinct repository as name from manifests where repository > ? order by 1 limit ?";
    return this.#names(query, after, limit);
  }

  async linkBlob(repository: string, digest: Digest): Promise<void> {
    this.#db.query("insert or ignore into blobs values (?, ?)").run(repository, digest);
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return (
      this.#db.query("select 1 from blobs where repository = ? and digest = ?").get(repository, digest) !==
      null
    );
  }

  async unlinkBlob(repository: string, digest: Digest): Promise<boolean> {
    const { changes } = this.#db
      .query("delete from blobs where repository = ? and digest = ?")
      .run(repository, digest);
    return changes > 0;
  }

  async putManifest(repository: string, manifest: ManifestRecord, tag?: string): Promise<void> {
    this.#db.transaction(() => {
      this.#db
        .query("insert or replace into manifests values (?, ?, ?, ?, ?, ?, ?)")
        .run(
          repository,
          manifest.digest,
          manifest.mediaType,
          manifest.size,
          manifest.subject ?? null,
          manifest.artifactType ?? null,
          manifest.annotations ? JSON.stringify(manifest.annotations) : null,
        );
      if (tag !== undefined) {
        this.#db.query("insert or replace into tags values (?, ?, ?)").run(repository, tag, manifest.digest);
      }
    })();
  }

  async manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const row = this.#db
      .query<ManifestRow, [string, string]>("select * from manifests where repository = ? and digest = ?")
      .get(repository, digest);
    return row ? recordOf(row) : undefined;
  }

  async deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    return this.#db.transaction(() => {
      this.#db.query("delete from tags where repository = ? and digest = ?").run(repository, digest);
      const { changes } = this.#db
        .query("delete from manifests where repository = ? and digest = ?")
        .run(repository, digest);
      return changes > 0;
    })();
  }

  async referrers(repository: string, subject: Digest): Promise<ManifestRecord[]> {
    return this.#db
      .query<ManifestRow, [string, string]>(
        "select * from manifests where repository = ? and subject = ? order by digest",
      )
      .all(repository, subject)
      .map(recordOf);
  }

  async tag(repository: string, tag: string): Promise<Digest | undefined> {
    const row = this.#db
      .query<DigestRow, [string, string]>("select digest from tags where repository = ? and tag = ?")
      .get(repository, tag);
    return row ? parseDigest(row.digest) : undefined;
  }

  async tags(repository: string, after: string, limit: number): Promise<string[]> {
    return this.#db
      .query<NameRow, [string, string, number]>(
        "select tag as name from tags where repository = ? and tag > ? order by tag limit ?",
      )
      .all(repository, after, limit)
      .map((row) => row.name);
  }

  async deleteTag(repository: string, tag: string): Promise<boolean> {
    return (
      this.#db.query("delete from tags where repository = ? and tag = ?").run(repository, tag).changes > 0
    );
  }

  async isReferenced(digest: Digest): Promise<boolean> {
    const query =
      "select 1 from blobs where digest = ?1 union all select 1 from manifests where digest = ?1 limit 1";
    return this.#db.query(query).get(digest) !== null;
  }

  #names(query: string, after: string, limit: number): string[] {
    return this.#db
      .query<NameRow, [string, number]>(query)
      .all(after, limit)
      .map((row) => row.name);
  }
}

function recordOf(row: ManifestRow): ManifestRecord {
  return {
    digest: parseDigest(row.digest),
    mediaType: row.media_type,
    size: row.size,
    subject: row.subject === null ? undefined : parseDigest(row.subject),
    artifactType: row.artifact_type ?? undefined,
    annotations: row.annotations === null ? undefined : v.parse(annotations, JSON.parse(row.annotations)),
  };
}
