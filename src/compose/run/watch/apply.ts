/** What happens in containers when watched files have changed: they are copied, containers restarted, images built. */
import { createReadStream, lstatSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import tar from "tar-stream";
import type { Hook, Project, WatchRule } from "../../model/types.ts";
import { label } from "../../plan/observed.ts";
import { type ContainerSummary, isOneOff } from "../engine.ts";
import { runHooks } from "../hooks.ts";
import type { Session } from "../session.ts";
import { hookedOf } from "../start.ts";
import type { Changes } from "./tree.ts";

/** Copies into every container of a service, and removes there what is gone. */
export async function syncFiles(
  session: Session,
  containers: readonly ContainerSummary[],
  { path, target = "/" }: WatchRule,
  { changed, removed }: Changes,
): Promise<void> {
  const inside = (name: string) => (name === "" ? target : posix.join(target, name));
  for (const { Id } of containers) {
    if (removed.length > 0)
      await runHooks(session, [{ command: ["rm", "-rf", "--", ...removed.map(inside)], user: "0" }], {
        id: Id,
        name: Id,
        service: "sync",
      });
    if (changed.length === 0) continue;
    const files = changed.map((name) => ({
      from: name === "" ? path : `${path}/${name}`,
      to: inside(name),
    }));
    await session.client.call("PUT", `/containers/${Id}/archive`, {
      query: { path: "/" },
      body: archive(files),
    });
  }
}

/** What has gone in the meantime is left out: the next look at the files tells of it. */
async function* archive(files: { from: string; to: string }[]): AsyncGenerator<Uint8Array> {
  const pack = tar.pack();
  const fill = async () => {
    for (const { from, to } of files) {
      const stat = lstatSync(from, { throwIfNoEntry: false });
      if (!stat) continue;
      const header = {
        name: to.replace(/^\/+/, ""),
        mode: stat.mode & 0o7777,
        mtime: stat.mtime,
        uid: 0,
        gid: 0,
      };
      if (stat.isDirectory()) pack.entry({ ...header, type: "directory" });
      else if (stat.isSymbolicLink())
        pack.entry({ ...header, type: "symlink", linkname: readlinkSync(from) });
      else if (stat.isFile() && stat.size === 0) pack.entry({ ...header, size: 0 }, "");
      else if (stat.isFile())
        await pipeline(
          createReadStream(from, { end: stat.size - 1 }),
          pack.entry({ ...header, size: stat.size }),
        );
    }
    pack.finalize();
  };
  fill().catch((error: Error) => pack.destroy(error));
  for await (const chunk of pack) yield chunk as Uint8Array;
}

/** The containers of a service that run now. */
export async function runningContainers(
  session: Session,
  project: Project,
  service: string,
): Promise<ContainerSummary[]> {
  const all = await session.engine.containers(project.name, { all: false });
  return all.filter((container) => container.Labels[label.service] === service && !isOneOff(container));
}

export async function restartAll(session: Session, containers: readonly ContainerSummary[]): Promise<void> {
  await Promise.all(containers.map(({ Id }) => session.client.call("POST", `/containers/${Id}/restart`)));
}

export async function execAll(
  session: Session,
  containers: readonly ContainerSummary[],
  hook: Hook,
): Promise<void> {
  for (const container of containers)
    await runHooks(session, [hook], hookedOf(container), (text) => session.out.write(text));
}

/** Removes images of the project that have lost their name, as a build leaves them. */
export async function pruneImages(session: Session, project: Project): Promise<void> {
  await session.client.call("POST", "/images/prune", {
    query: { filters: { dangling: ["true"], label: [`${label.project}=${project.name}`] } },
  });
}
