/** The registry's metadata in SQLite. */
import { Database } from "bun:sqlite";
import * as v from "valibot";
import { type Digest, parseDigest } from "../../lib/digest.ts";
import { Unavailable } from "../../lib/errors.ts";
import type { ManifestRecord, MetadataStore, References } from "./types.ts";

const schema = `
create table if not exists blobs (
  repository text not null, digest text not null, linked_at integer not null default 0,
  primary key (repository, digest)) without rowid;
create index if not exists blobs_digest on blobs (digest);
create table if not exists manifests (
  repository text not null, digest text not null, media_type text not null, size integer not null,
  subject text, artifact_type text, annotations text, pushed_at integer not null default 0,
  primary key (repository, digest)) without rowid;
create index if not exists manifests_digest on manifests (digest);
create index if not exists manifests_subject on manifests (repository, subject) where subject is not null;
create table if not exists tags (
  repository text not null, tag text not null, digest text not null,
  primary key (repository, tag)) without rowid;
create index if not exists tags_digest on tags (repository, digest);
create table if not exists uploads (id text primary key, repository text not null) without rowid;
`;
/** The layout of \`schema\`; 0 is the first one, whose blobs had no time. */
const version = 1;

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

/** Rolls a transaction back. */
class Missing extends Error {
  constructor(readonly digest: Digest) {
    super();
  }
}

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
      this.#prepare();
    } catch (error) {
      this.#db.close();
      const isBusy = error instanceof Error && "code" in error && error.code === "SQLITE_BUSY";
      throw isBusy ? new Unavailable(`${path} is in use by another registry`, { cause: error }) : error;
    }
  }

  close(): void {
    this.#db.close();
  }

  #prepare(): void {
    this.#db.transaction(() => {
      const found = this.#db.query<{ user_version: number }, []>("pragma user_version").get()?.user_version;
      const isOld = this.#db.query("select 1 from sqlite_schema where name = 'blobs'").get() !== null;
      if (isOld && found === 0) {
        this.#db.run("alter table blobs add column linked_at integer not null default 0");
        this.#db.run("alter table manifests add column pushed_at integer not null default 0");
      }
      this.#db.run(schema);
      this.#db.run(`pragma user_version = ${version}`);
    })();
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

  async allRepositories(): Promise<string[]> {
    const query = "select repository as name from blobs union select repository from manifests";
    return this.#db
      .query<NameRow, []>(query)
      .all()
      .map((row) => row.name);
  }

  async linkBlob(repository: string, digest: Digest, now: number): Promise<void> {
    this.#db.query("insert or replace into blobs values (?, ?, ?)").run(repository, digest, now);
  }

  async renewBlob(repository: string, digest: Digest, now: number): Promise<boolean> {
    const query = "update blobs set linked_at = ? where repository = ? and digest = ?";
    return this.#db.query(query).run(now, repository, digest).changes > 0;
  }

  async hasBlob(repository: string, digest: Digest): Promise<boolean> {
    return (
      this.#db.query("select 1 from blobs where repository = ? and digest = ?").get(repository, digest) !==
      null
    );
  }

  async unlinkBlob(repository: string, digest: Digest, before = Number.MAX_SAFE_INTEGER): Promise<boolean> {
    const query = "delete from blobs where repository = ? and digest = ? and linked_at < ?";
    return this.#db.query(query).run(repository, digest, before).changes > 0;
  }

  async blobsLinkedBefore(repository: string, time: number): Promise<Digest[]> {
    return this.#db
      .query<DigestRow, [string, number]>("select digest from blobs where repository = ? and linked_at < ?")
      .all(repository, time)
      .map((row) => parseDigest(row.digest));
  }

  async putManifest(
    repository: string,
    manifest: ManifestRecord,
    tags: string[],
    references: References,
    now: number,
  ): Promise<Digest | undefined> {
    const renewBlob = this.#db.query("update blobs set linked_at = ? where repository = ? and digest = ?");
    const renewManifest = this.#db.query(
      "update manifests set pushed_at = ? where repository = ? and digest = ?",
    );
    const put = this.#db.transaction((): undefined => {
      for (const digest of references.blobs) {
        if (renewBlob.run(now, repository, digest).changes === 0) throw new Missing(digest);
      }
      for (const digest of references.manifests) {
        if (renewManifest.run(now, repository, digest).changes === 0) throw new Missing(digest);
      }
      this.#db
        .query("insert or replace into manifests values (?, ?, ?, ?, ?, ?, ?, ?)")
        .run(
          repository,
          manifest.digest,
          manifest.mediaType,
          manifest.size,
          manifest.subject ?? null,
          manifest.artifactType ?? null,
          manifest.annotations ? JSON.stringify(manifest.annotations) : null,
          now,
        );
      for (const tag of tags) {
        this.#db.query("insert or replace into tags values (?, ?, ?)").run(repository, tag, manifest.digest);
      }
    });
    try {
      return put();
    } catch (error) {
      if (error instanceof Missing) return error.digest;
      throw error;
    }
  }

  async manifest(repository: string, digest: Digest): Promise<ManifestRecord | undefined> {
    const row = this.#db
      .query<ManifestRow, [string, string]>("select * from manifests where repository = ? and digest = ?")
      .get(repository, digest);
    return row ? recordOf(row) : undefined;
  }

  async deleteManifest(repository: string, digest: Digest, untaggedBefore?: number): Promise<boolean> {
    if (untaggedBefore !== undefined) {
      const query = `delete from manifests where repository = ?1 and digest = ?2 and pushed_at < ?3
        and not exists (select 1 from tags where repository = ?1 and digest = ?2)`;
      return this.#db.query(query).run(repository, digest, untaggedBefore).changes > 0;
    }
    return this.#db.transaction(() => {
      this.#db.query("delete from tags where repository = ? and digest = ?").run(repository, digest);
      const { changes } = this.#db
        .query("delete from manifests where repository = ? and digest = ?")
        .run(repository, digest);
      return changes > 0;
    })();
  }

  async manifests(repository: string): Promise<{ digest: Digest; isTagged: boolean; pushedAt: number }[]> {
    const query = `select digest, pushed_at, exists (
        select 1 from tags t where t.repository = m.repository and t.digest = m.digest) as tagged
      from manifests m where repository = ?`;
    return this.#db
      .query<{ digest: string; pushed_at: number; tagged: number }, [string]>(query)
      .all(repository)
      .map((row) => ({
        digest: parseDigest(row.digest),
        isTagged: row.tagged === 1,
        pushedAt: row.pushed_at,
      }));
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

  async beginUpload(id: string, repository: string): Promise<void> {
    this.#db.query("insert into uploads values (?, ?)").run(id, repository);
  }

  async uploadRepository(id: string): Promise<string | undefined> {
    return this.#db.query<NameRow, [string]>("select repository as name from uploads where id = ?").get(id)
      ?.name;
  }

  async endUpload(id: string): Promise<void> {
    this.#db.query("delete from uploads where id = ?").run(id);
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
