/** The user namespace of a container that is about to start. */
import { Conflict } from "../../lib/errors.ts";
import type { IdMap } from "../../lib/id-map.ts";
import { holdUserNamespace } from "../../linux/user-namespaces.ts";
import type { Context } from "../context.ts";
import { remapOf } from "../remap.ts";
import type { ContainerRecord } from "../types.ts";
import { sharedWith } from "./networking.ts";
import type { ContainerTable } from "./table.ts";

export interface ContainerUserNamespace extends AsyncDisposable {
  path: string;
  idMap: IdMap;
  /** The trees of images with owners mapped. */
  view: string;
  /** A network namespace that belongs to it, for a container that has one of its own. */
  networkPath?: string;
}

/**
 * Held until it's let go, by when the container is in it. Who shares another container's network, IPC or PID namespace
 * shares its user namespace too, as with Docker: the kernel lets only the owner of a namespace work in it.
 * @returns undefined: the host's
 * @throws Conflict when the other container has ids that this daemon doesn't give
 */
export async function holdNamespaceOf(
  context: Context,
  table: ContainerTable,
  record: ContainerRecord,
): Promise<ContainerUserNamespace | undefined> {
  const remap = remapOf(context.remap, record);
  if (!remap) return undefined;
  const { NetworkMode, IpcMode, PidMode } = record.hostConfig;
  const peer = [NetworkMode, IpcMode, PidMode].map(sharedWith).find((target) => target !== undefined);
  const other = peer === undefined ? undefined : table.find(peer).record;
  if (other && !other.idMap) return undefined;
  if (other && JSON.stringify(other.idMap) !== JSON.stringify(remap.map))
    throw new Conflict(
      `cannot share a namespace of container ${other.id}: it was started with another --userns-remap`,
    );
  const { map: idMap, view } = remap;
  const path = other && `/proc/${other.state.pid}/ns/user`;
  if (path !== undefined && sharedWith(NetworkMode) !== undefined)
    return { path, idMap, view, async [Symbol.asyncDispose]() {} };
  const held = await holdUserNamespace(path === undefined ? { map: idMap } : { path }, { network: true });
  return {
    path: held.path,
    networkPath: held.networkPath,
    idMap,
    view,
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}
