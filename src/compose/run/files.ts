/** Secrets and configs that have no file of their own: written into the created container, never into its labels. */
import tar from "tar-stream";
import { ComposeError } from "../model/errors.ts";
import type { FileReference, Project, Service } from "../model/types.ts";
import { fileTarget } from "../plan/request.ts";
import type { Session } from "./session.ts";

/**
 * Puts the contents of `content:` and `environment:` into the container, mode 0444 unless said otherwise.
 * @throws ComposeError when the environment variable is not set
 */
export async function injectFiles(
  session: Session,
  project: Project,
  service: Service,
  container: string,
): Promise<void> {
  for (const kind of ["secrets", "configs"] as const)
    for (const reference of service[kind] ?? []) {
      const text = contentOf(project, kind, reference);
      if (text === undefined) continue;
      await session.client.call("PUT", `/containers/${container}/archive`, {
        query: { path: "/" },
        body: await singleFile(fileTarget(kind, reference.target ?? reference.source), text, reference),
      });
    }
}

/** Warns where a bind mount can't carry what the reference asks for. */
export function warnAboutModes(session: Session, project: Project, service: Service): void {
  for (const kind of ["secrets", "configs"] as const)
    for (const { source, uid, gid, mode } of service[kind] ?? [])
      if (project[kind][source]?.file !== undefined && (uid ?? gid ?? mode) !== undefined)
        session.warn(
          `${kind} \`uid\`, \`gid\` and \`mode\` are not supported for files, they will be ignored (${source})`,
        );
}

function contentOf(
  project: Project,
  kind: "secrets" | "configs",
  { source }: FileReference,
): string | undefined {
  const item = project[kind][source]!;
  if (item.content !== undefined) return item.content;
  if (item.environment === undefined) return undefined;
  const value = project.environment[item.environment];
  if (value === undefined)
    throw ComposeError.at(
      undefined,
      `environment variable ${JSON.stringify(item.environment)} required by ${kind.slice(0, -1)} ${JSON.stringify(source)} is not set`,
    );
  return value;
}

/** A tar with the file alone: directories on the way are made by the engine. */
async function singleFile(
  path: string,
  text: string,
  { uid, gid, mode }: FileReference,
): Promise<Uint8Array> {
  const pack = tar.pack();
  pack.entry(
    {
      name: path.replace(/^\/+/, ""),
      mode: mode ?? 0o444,
      uid: Number(uid ?? 0),
      gid: Number(gid ?? 0),
      mtime: new Date(0),
    },
    text,
  );
  pack.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of pack) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
