/** Contexts as Docker's tar: `meta.json`, and `tls/docker/*.pem` beside it. */
import * as v from "valibot";
import { InvalidParameter } from "../../lib/errors.ts";
import {
  type EntryType,
  endOfArchive,
  formatHeader,
  fromText,
  paddingOf,
  plainEntry,
  readable,
  TarReader,
} from "../../lib/tar/index.ts";
import { type ContextMeta, type TlsFiles, tlsFileNames } from "./store.ts";

/** As much as Docker reads of an archive (bytes): a handful of certificates is far smaller. */
export const archiveLimit = 10 << 20;

const metaSchema = v.looseObject({
  Metadata: v.optional(v.looseObject({ Description: v.optional(v.string()) }), {}),
  Endpoints: v.optional(
    v.looseObject({
      docker: v.optional(
        v.looseObject({ Host: v.optional(v.string()), SkipTLSVerify: v.optional(v.boolean(), false) }),
      ),
    }),
    {},
  ),
});

/** The archive of a context, whole. */
export function packContext(meta: ContextMeta, tls: TlsFiles): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (path: string, type: EntryType, mode: number, text = "") => {
    const bytes = Buffer.from(text);
    parts.push(
      formatHeader(plainEntry({ path: fromText(path), type, mode, size: bytes.length })),
      bytes,
      new Uint8Array(paddingOf(bytes.length)),
    );
  };
  add("meta.json", "file", 0o644, JSON.stringify(meta));
  add("tls", "directory", 0o700);
  const files = Object.entries(tls);
  if (files.length > 0) add("tls/docker", "directory", 0o700);
  for (const [name, text] of files) add(`tls/docker/${name}`, "file", 0o600, text);
  return Buffer.concat([...parts, endOfArchive]);
}

/**
 * Reads an archive of `packContext` or of Docker's own client.
 * @param name what the context is called from now on
 * @throws InvalidParameter when it is no such archive, or has files that no context has
 */
export function unpackContext(archive: Uint8Array, name: string): { meta: ContextMeta; tls: TlsFiles } {
  const files = filesOf(archive);
  const text = files.get("meta.json");
  if (text === undefined) throw new InvalidParameter("invalid context: no metadata found");
  const parsed = v.safeParse(metaSchema, parseJson(text));
  if (!parsed.success) throw new InvalidParameter(`invalid context: meta.json: ${parsed.issues[0].message}`);
  files.delete("meta.json");
  const tls: TlsFiles = {};
  for (const [path, pem] of files) {
    const file = tlsFileNames.find((known) => path === `tls/docker/${known}`);
    if (file === undefined) throw new InvalidParameter(`invalid context: ${path}: no file of a context`);
    tls[file] = pem;
  }
  return { meta: { ...parsed.output, Name: name }, tls };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidParameter(`invalid context: meta.json: ${error}`, { cause: error });
  }
}

/** Regular files by their path; directories say nothing, and anything else belongs in no context. */
function filesOf(archive: Uint8Array): Map<string, string> {
  const files = new Map<string, string>();
  let path: string | undefined;
  let chunks: Uint8Array[] = [];
  const reader = new TarReader({
    entry(entry) {
      path = entry.type === "directory" ? undefined : readable(entry.path).replace(/^\.\//, "");
      if (path !== undefined && entry.type !== "file")
        throw new InvalidParameter(`invalid context: ${path}: not a regular file`);
      chunks = [];
    },
    data: (bytes) => chunks.push(Uint8Array.from(bytes)),
    end() {
      if (path !== undefined) files.set(path, Buffer.concat(chunks).toString("utf8"));
    },
  });
  reader.push(archive);
  reader.finish();
  return files;
}
