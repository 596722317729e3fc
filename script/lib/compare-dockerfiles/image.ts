/** An image as far as a Dockerfile decides it: config and files. */
import { posix } from "node:path";
import { type TarEntry, TarReader } from "../../../src/lib/tar/index.ts";

export interface Image {
  config: Record<string, unknown>;
  /** `type mode uid:gid target-or-digest`, by path. */
  files: Record<string, string>;
}

const fields = [
  "Env",
  "Cmd",
  "Entrypoint",
  "Labels",
  "User",
  "WorkingDir",
  "ExposedPorts",
  "Volumes",
  "Healthcheck",
  "OnBuild",
  "Shell",
  "StopSignal",
] as const;

/** @param archive what `docker save` gives */
export function readImage(archive: Uint8Array): Image {
  const members = new Map(entriesOf(archive).map(({ path, content }) => [path, content]));
  const json = (path: string) => JSON.parse(Buffer.from(members.get(path)!).toString());
  const [{ Config, Layers }] = json("manifest.json") as [{ Config: string; Layers: string[] }];
  const image = json(Config) as { author?: string; config: Record<string, unknown> };
  const config = configOf(image.author, image.config);
  const files = new Map<string, string>();
  for (const layer of Layers) apply(files, members.get(layer)!);
  return { config, files: Object.fromEntries([...files].sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** The fields that instructions write. */
export function configOf(author: string | undefined, run: Record<string, unknown>): Image["config"] {
  const config: Image["config"] = { author: author ?? "" };
  for (const field of fields) config[field] = present(run[field]);
  // Docker 20.10 leaves `/w/./x/` as it is written; today's cleans it.
  if (typeof config.WorkingDir === "string")
    config.WorkingDir = posix.normalize(config.WorkingDir).replace(/(.)\/$/, "$1");
  return config;
}

/** Nothing, null and empty are the same to whoever runs the image. */
function present(value: unknown): unknown {
  if (value === null || value === undefined || value === "") return null;
  if (typeof value !== "object") return value;
  return Object.keys(value).length === 0 ? null : value;
}

function apply(files: Map<string, string>, layer: Uint8Array): void {
  const plain = layer[0] === 0x1f && layer[1] === 0x8b ? Bun.gunzipSync(Buffer.from(layer)) : layer;
  for (const entry of entriesOf(plain)) {
    const path = entry.path.replace(/^(\.?\/)+/, "").replace(/\/$/, "");
    // Docker leaves the mount points of a step's container in the layer.
    if (["", ".", "dev", "proc", "sys"].includes(path)) continue;
    const at = path.lastIndexOf("/") + 1;
    const name = path.slice(at);
    if (name === ".wh..wh..opq") removeBelow(files, path.slice(0, at));
    else if (name.startsWith(".wh.")) {
      const gone = path.slice(0, at) + name.slice(4);
      files.delete(gone);
      removeBelow(files, `${gone}/`);
    } else {
      if (entry.type !== "directory") removeBelow(files, `${path}/`);
      files.set(path, describe(entry, files));
    }
  }
}

function removeBelow(files: Map<string, string>, prefix: string): void {
  for (const path of files.keys()) if (path.startsWith(prefix)) files.delete(path);
}

function describe({ type, mode, uid, gid, linkPath, content }: Member, files: Map<string, string>): string {
  if (type === "link") return files.get(linkPath.replace(/^(\.?\/)+/, "")) ?? `hardlink to ${linkPath}`;
  const what = type === "symlink" ? linkPath : type === "file" ? Bun.hash(content).toString(16) : "";
  // A link's mode means nothing.
  return `${type} ${type === "symlink" ? "" : mode.toString(8)} ${uid}:${gid} ${what}`.trim();
}

type Member = TarEntry & { content: Uint8Array };

function entriesOf(archive: Uint8Array): Member[] {
  const members: Member[] = [];
  let chunks: Uint8Array[] = [];
  const reader = new TarReader({
    entry(entry) {
      chunks = [];
      members.push({
        ...entry,
        path: Buffer.from(entry.path, "latin1").toString(),
        content: new Uint8Array(),
      });
    },
    data(chunk) {
      chunks.push(Uint8Array.from(chunk));
    },
    end() {
      const last = members.at(-1);
      if (last) last.content = Buffer.concat(chunks);
    },
  });
  reader.push(archive);
  return members;
}
