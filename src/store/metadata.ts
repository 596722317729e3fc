/** Documents in SQLite: one table each, a key, and columns computed from the document that must be unique. */
import { Database, SQLiteError, type SQLQueryBindings } from "bun:sqlite";
import { dirname, join } from "node:path";
import { Conflict, explainFullDisk } from "../lib/errors.ts";
import { Reserve } from "./reserve.ts";
import type { Metadata, Table } from "./types.ts";

const identifier = /^[a-z][a-z0-9_]*$/i;

type Columns<T> = Record<string, (value: T) => string | undefined>;

export class SqliteMetadata implements Metadata {
  /** For the parts of the store that keep relations rather than documents. */
  readonly database: Database;
  readonly reserve: Reserve;
  /** Transactions that are open, one in another. */
  #depth = 0;

  constructor(path: string) {
    this.reserve = new Reserve(join(dirname(path), "reserve"));
    this.reserve.keep();
    this.database = new Database(path, { create: true, strict: true });
    // In WAL mode, NORMAL loses nothing when the process dies; FULL would add an fsync to each transaction.
    this.database.run("PRAGMA journal_mode = WAL");
    this.database.run("PRAGMA synchronous = NORMAL");
    this.database.run("PRAGMA foreign_keys = ON");
  }

  table<T>(name: string, unique: Columns<T> = {}): Table<T> {
    return new DocumentTable<T>(this, name, unique);
  }

  transaction<R>(work: () => R): R {
    return this.write(() => {
      this.#depth++;
      try {
        return this.database.transaction(work).immediate();
      } finally {
        this.#depth--;
      }
    });
  }

  /** Runs a statement that changes something; on a full disk in the room that is kept for it. @throws NoSpace */
  write<R>(work: () => R): R {
    // Within a transaction a statement alone must not be tried again: the whole is undone by then.
    if (this.#depth > 0) return work();
    try {
      return work();
    } catch (error) {
      const isFull = error instanceof SQLiteError && error.code === "SQLITE_FULL";
      if (!isFull || !this.reserve.release()) throw explainFullDisk(error, "cannot write the database");
    }
    return this.write(work);
  }

  [Symbol.dispose](): void {
    this.reserve[Symbol.dispose]();
    this.database.close();
  }
}

class DocumentTable<T> implements Table<T> {
  readonly #columns: [string, (value: T) => string | undefined][];
  readonly #get;
  readonly #list;
  readonly #put;
  readonly #delete;
  readonly #by;

  constructor(
    private readonly metadata: SqliteMetadata,
    private readonly name: string,
    unique: Columns<T>,
  ) {
    const { database } = metadata;
    this.#columns = Object.entries(unique);
    for (const word of [name, ...Object.keys(unique)])
      if (!identifier.test(word)) throw new RangeError(`not a name for a table or column: ${word}`);
    const columns = this.#columns.map(([column]) => `u_${column}`);
    createTable(database, name, this.#columns);
    type Row = { doc: string };
    this.#get = database.query<Row, [string]>(`SELECT doc FROM doc_${name} WHERE key = ?`);
    // One JSON text for all rows is parsed in half the time of one for each.
    this.#list = database.query<Row, []>(
      `SELECT '[' || coalesce(group_concat(doc, ','), '') || ']' AS doc FROM (SELECT doc FROM doc_${name} ORDER BY key)`,
    );
    this.#put = database.query<null, SQLQueryBindings[]>(
      `INSERT INTO doc_${name} (${["key", "doc", ...columns].join(", ")})
       VALUES (${["key", "doc", ...columns].map(() => "?").join(", ")})
       ON CONFLICT (key) DO UPDATE SET ${["doc", ...columns].map((c) => `${c} = excluded.${c}`).join(", ")}`,
    );
    this.#delete = database.query<null, [string]>(`DELETE FROM doc_${name} WHERE key = ?`);
    this.#by = new Map(
      columns.map((column, index) => [
        this.#columns[index]![0],
        database.query<Row, [string]>(`SELECT doc FROM doc_${name} WHERE ${column} = ?`),
      ]),
    );
  }

  get(key: string): T | undefined {
    return parse<T>(this.#get.get(key));
  }

  list(): T[] {
    return JSON.parse(this.#list.get()!.doc) as T[];
  }

  put(key: string, value: T): void {
    try {
      const columns = this.#columns.map(([, compute]) => compute(value) ?? null);
      this.metadata.write(() => this.#put.run(key, JSON.stringify(value), ...columns));
    } catch (error) {
      if (!(error instanceof SQLiteError) || error.code !== "SQLITE_CONSTRAINT_UNIQUE") throw error;
      throw new Conflict(`${this.name}: ${key} would take what another has: ${error.message}`, {
        cause: error,
      });
    }
  }

  delete(key: string): boolean {
    return this.metadata.write(() => this.#delete.run(key)).changes > 0;
  }

  by(column: string, value: string): T | undefined {
    const query = this.#by.get(column);
    if (!query) throw new RangeError(`table ${this.name} has no unique column ${column}`);
    return parse<T>(query.get(value));
  }
}

const parse = <T>(row: { doc: string } | null): T | undefined =>
  row === null ? undefined : (JSON.parse(row.doc) as T);

/** Creates what is missing; a column new to an existing table is filled from its documents. */
function createTable<T>(
  database: Database,
  name: string,
  columns: [string, (value: T) => string | undefined][],
): void {
  database
    .transaction(() => {
      database.run(`CREATE TABLE IF NOT EXISTS doc_${name} (key TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT`);
      const present = new Set(
        database
          .query<{ name: string }, []>(`SELECT name FROM pragma_table_info('doc_${name}')`)
          .all()
          .map((column) => column.name),
      );
      for (const [column, compute] of columns) {
        if (!present.has(`u_${column}`)) {
          database.run(`ALTER TABLE doc_${name} ADD COLUMN u_${column} TEXT`);
          const rows = database
            .query<{ key: string; doc: string }, []>(`SELECT key, doc FROM doc_${name}`)
            .all();
          const fill = database.query(`UPDATE doc_${name} SET u_${column} = ? WHERE key = ?`);
          for (const row of rows) fill.run(compute(JSON.parse(row.doc) as T) ?? null, row.key);
        }
        database.run(`CREATE UNIQUE INDEX IF NOT EXISTS doc_${name}_${column} ON doc_${name} (u_${column})`);
      }
    })
    .immediate();
}
