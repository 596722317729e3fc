/** Container endpoints that answer at once (Engine API, tag "Container"). */

import type { ContainerRecord, StopOptions } from "../../engine/types.ts";
import { Conflict, InvalidParameter, NotFound } from "../../lib/errors.ts";
import { configSchema, createSchema, updateSchema } from "./container-schema.ts";
import { inVersion } from "./create-versions.ts";
import { inspection, summary } from "./encode-container.ts";
import { ending } from "./encode-ending.ts";
import { parsePlatform } from "./fields.ts";
import type { Route } from "./router.ts";

/** Lines of output that the story of an end shows. */
const lastLines = 5;

const waitConditions = {
  "": "not-running",
  "not-running": "not-running",
  "next-exit": "next-exit",
  removed: "removed",
} as const;

export const containerRoutes: Route[] = [
  {
    method: "GET",
    path: "/containers/json",
    async handle(x) {
      const { containers } = x.engine;
      const limit = x.integer("limit");
      const records = containers.list({
        all: x.flag("all") || (limit ?? 0) > 0,
        limit: limit === undefined || limit <= 0 ? undefined : limit,
        filters: x.filters,
      });
      const row = (record: ContainerRecord, sizes?: { rw: number; rootFs: number }) =>
        summary(record, x.version, containers.imageDescriptor(record), sizes);
      const rows = x.flag("size")
        ? await Promise.all(records.map(async (record) => row(record, await containers.sizes(record.id))))
        : records.map((record) => row(record));
      x.versioned(rows, "container list");
    },
  },
  {
    method: "POST",
    path: "/containers/create",
    async handle(x) {
      const body = await x.body(createSchema, "container create");
      const { request, warnings } = inVersion(body, x.version);
      // The parameter came with 1.41.
      const platform = parsePlatform(x.version < 41 ? "" : x.text("platform"));
      const name = x.text("name") || undefined;
      const made = await x.engine.containers.create({ ...request, name, platform });
      x.json({ Id: made.id, Warnings: [...made.warnings, ...warnings] }, 201);
    },
  },
  {
    method: "GET",
    path: "/containers/{id}/json",
    async handle(x) {
      const { containers } = x.engine;
      const record = containers.get(x.params.id!);
      const sizes = x.flag("size") ? await containers.sizes(record.id) : undefined;
      const image = containers.imageDescriptor(record);
      x.versioned(inspection(record, x.version, containers.details(record.id), image, sizes), "container");
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/start",
    async handle(x) {
      const name = x.text("checkpoint");
      const parent = x.text("checkpoint-dir");
      await x.engine.containers.start(x.params.id!, name === "" ? undefined : { name, parent });
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/stop",
    async handle(x) {
      await x.engine.containers.stop(x.params.id!, stopOptions(x));
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/restart",
    async handle(x) {
      await x.engine.containers.restart(x.params.id!, stopOptions(x));
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/kill",
    async handle(x) {
      const target = x.params.id!;
      try {
        await x.engine.containers.kill(target, { signal: x.text("signal") || undefined, by: clientOf(x) });
      } catch (error) {
        if (error instanceof Conflict || error instanceof NotFound)
          error.message = `cannot kill container: ${target}: ${error.message}`;
        throw error;
      }
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/pause",
    async handle(x) {
      await x.engine.containers.pause(x.params.id!);
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/unpause",
    async handle(x) {
      await x.engine.containers.unpause(x.params.id!);
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/rename",
    async handle(x) {
      const name = x.text("name").replace(/^\//, "");
      if (name === "") throw new InvalidParameter("Neither old nor new names may be empty");
      await x.engine.containers.rename(x.params.id!, name);
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/update",
    async handle(x) {
      const change = await x.body(updateSchema, "container update");
      const { warnings } = await x.engine.containers.update(x.params.id!, change);
      x.json({ Warnings: warnings });
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/resize",
    async handle(x) {
      await x.engine.containers.resize(x.params.id!, terminalSize(x));
      x.empty(200);
    },
  },
  {
    method: "POST",
    path: "/containers/{id}/wait",
    async handle(x) {
      // The conditions came with 1.30.
      const asked = x.version < 30 ? "" : x.text("condition");
      const condition = waitConditions[asked as keyof typeof waitConditions];
      if (condition === undefined) throw new InvalidParameter(`invalid condition: ${JSON.stringify(asked)}`);
      const { done } = await x.engine.containers.wait(x.params.id!, condition, x.signal);
      // The head tells the client that the wait stands: only then does it start what it waits for.
      const output = x.open("application/json");
      const { exitCode, error } = await done;
      output.message({ StatusCode: exitCode, ...(error !== undefined && { Error: { Message: error } }) });
      output.end();
    },
  },
  {
    method: "DELETE",
    path: "/containers/{id}",
    handle: (x) => remove(x, x.params.id!),
  },
  {
    // A link has the name of its container before its own.
    method: "DELETE",
    path: "/containers/{id}/{alias}",
    async handle(x) {
      if (!x.flag("link")) throw new NotFound("page not found");
      await remove(x, `${x.params.id}/${x.params.alias}`);
    },
  },
  {
    method: "GET",
    path: "/containers/{id}/top",
    async handle(x) {
      const { titles, processes } = await x.engine.containers.top(x.params.id!, x.text("ps_args") || "-ef");
      x.json({ Titles: titles, Processes: processes });
    },
  },
  {
    // Gantry's own: what is known of a container's end.
    method: "GET",
    path: "/containers/{id}/why",
    async handle(x) {
      const record = x.engine.containers.get(x.params.id!);
      const query = { follow: false, stdout: true, stderr: true, tail: lastLines };
      const lines: string[] = [];
      if (record.logPath !== "")
        for await (const { data } of x.engine.containers.logs(record.id, query, x.signal))
          lines.push(Buffer.from(data).toString().trimEnd());
      x.json(ending(record, lines));
    },
  },
  {
    method: "GET",
    path: "/containers/{id}/changes",
    async handle(x) {
      const changes = await x.engine.containers.changes(x.params.id!);
      x.json(changes.length > 0 ? changes.map(({ path, kind }) => ({ Path: path, Kind: kind })) : null);
    },
  },
  {
    method: "POST",
    path: "/containers/prune",
    async handle(x) {
      const { removed, bytes } = await x.engine.containers.prune(x.filters);
      x.json({ ContainersDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: bytes });
    },
  },
  {
    method: "POST",
    path: "/commit",
    async handle(x) {
      const repository = x.text("repo");
      const tag = x.text("tag");
      const config = await x.body(configSchema);
      const id = await x.engine.containers.commit(x.text("container"), {
        repository: repository === "" ? undefined : tag === "" ? repository : `${repository}:${tag}`,
        comment: x.text("comment"),
        author: x.text("author"),
        pause: x.flag("pause", true),
        changes: x.query
          .getAll("changes")
          .flatMap((change) => change.split("\n"))
          .filter(Boolean),
        config,
      });
      x.json({ Id: id }, 201);
    },
  },
];

type Exchange = Parameters<Route["handle"]>[0];

async function remove(x: Exchange, target: string): Promise<void> {
  await x.engine.containers.remove(target, {
    force: x.flag("force"),
    volumes: x.flag("v"),
    link: x.flag("link"),
  });
  x.empty(204);
}

function stopOptions(x: Exchange): StopOptions {
  // The parameter `signal` came with 1.42.
  const signal = x.version < 42 ? "" : x.text("signal");
  return { signal: signal || undefined, timeout: x.integer("t"), by: clientOf(x) };
}

const longestClientName = 200;

/** How the client names itself. */
function clientOf(x: Exchange): string {
  return (x.request.headers["user-agent"] ?? "").slice(0, longestClientName);
}

/** @throws InvalidParameter */
export function terminalSize(x: Exchange): { width: number; height: number } {
  const width = x.integer("w");
  const height = x.integer("h");
  if (width === undefined || height === undefined || width < 0 || height < 0)
    throw new InvalidParameter("invalid terminal size: w and h are wanted");
  return { width, height };
}
