/** Docker's own files of contexts: `contexts/meta/<sha256 of the name>/meta.json` and `contexts/tls/…/docker/*.pem`. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contextId } from "../../api/client/index.ts";
import { Internal, InvalidParameter, NotFound } from "../../lib/errors.ts";

/** `meta.json`. */
export interface ContextMeta {
  Name: string;
  Metadata: { Description?: string; [other: string]: unknown };
  Endpoints: { docker?: { Host?: string; SkipTLSVerify: boolean }; [other: string]: unknown };
}

export const tlsFileNames = ["ca.pem", "cert.pem", "key.pem"] as const;
/** Names of PEM files, with what is in them. */
export type TlsFiles = Partial<Record<(typeof tlsFileNames)[number], string>>;

/** @throws InvalidParameter with Docker's words */
export function checkContextName(name: string): void {
  if (name === "default") throw new InvalidParameter('"default" is a reserved context name');
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/.test(name))
    throw new InvalidParameter(
      `context name ${JSON.stringify(name)} is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"`,
    );
}

/** The contexts below a directory of configuration. */
export class ContextStore {
  constructor(private readonly directory: string) {}

  #meta(name: string): string {
    return join(this.directory, "contexts", "meta", contextId(name));
  }

  /** Where a context's TLS files are. */
  tlsPath(name: string): string {
    return join(this.directory, "contexts", "tls", contextId(name));
  }

  /** Where a context's `meta.json` is. */
  metaPath(name: string): string {
    return this.#meta(name);
  }

  /** Sorted by name. @throws Internal when a file can't be read */
  list(): ContextMeta[] {
    const root = join(this.directory, "contexts", "meta");
    if (!existsSync(root)) return [];
    return readdirSync(root)
      .filter((id) => existsSync(join(root, id, "meta.json")))
      .map((id) => readMeta(join(root, id, "meta.json")))
      .sort((a, b) => (a.Name < b.Name ? -1 : 1));
  }

  has(name: string): boolean {
    return existsSync(join(this.#meta(name), "meta.json"));
  }

  /** @throws NotFound */
  get(name: string): ContextMeta {
    if (!this.has(name)) throw new NotFound(`context ${JSON.stringify(name)}: context not found`);
    return readMeta(join(this.#meta(name), "meta.json"));
  }

  /** The names of its TLS files. */
  tlsFiles(name: string): string[] {
    const directory = join(this.tlsPath(name), "docker");
    return existsSync(directory) ? readdirSync(directory).sort() : [];
  }

  readTls(name: string): TlsFiles {
    const read = (file: string) => readFileSync(join(this.tlsPath(name), "docker", file), "utf8");
    return Object.fromEntries(this.tlsFiles(name).map((file) => [file, read(file)]));
  }

  /** Writes a context whole. @param tls undefined leaves the files as they are */
  put(meta: ContextMeta, tls?: TlsFiles): void {
    if (tls) {
      rmSync(this.tlsPath(meta.Name), { recursive: true, force: true });
      const directory = join(this.tlsPath(meta.Name), "docker");
      for (const [file, text] of Object.entries(tls)) {
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        writeFileSync(join(directory, file), text, { mode: 0o600 });
      }
    }
    const directory = this.#meta(meta.Name);
    mkdirSync(directory, { recursive: true });
    const partial = join(directory, `.meta.json.${process.pid}`);
    writeFileSync(partial, JSON.stringify(meta), { mode: 0o644 });
    renameSync(partial, join(directory, "meta.json"));
  }

  remove(name: string): void {
    rmSync(this.#meta(name), { recursive: true, force: true });
    rmSync(this.tlsPath(name), { recursive: true, force: true });
  }
}

function readMeta(path: string): ContextMeta {
  try {
    const meta = JSON.parse(readFileSync(path, "utf8")) as Partial<ContextMeta>;
    return { Name: meta.Name ?? "", Metadata: meta.Metadata ?? {}, Endpoints: meta.Endpoints ?? {} };
  } catch (error) {
    throw new Internal(`parsing ${path}: ${error}`, { cause: error });
  }
}
