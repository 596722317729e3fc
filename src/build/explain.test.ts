import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { BuildLab, nothingLeft } from "./testing.ts";
import type { BuildEvent, BuildRequest, RebuildReason } from "./types.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => lab[Symbol.asyncDispose]());
afterEach(async () => expect(await lab.settled()).toEqual(nothingLeft));

const Dockerfile = `FROM busybox
ARG WHO=you
ENV GREETING=hello
COPY src /src/
RUN --mount=type=bind,source=cfg,target=/cfg echo $GREETING $WHO > /out
CMD cat /out`;
const files = { Dockerfile, "src/a.txt": "a", "src/deep/b.txt": "b", "cfg/c": "c" };

/** For each instruction: "cached", else the reasons. */
async function explained(
  files: Record<string, string>,
  options: Partial<BuildRequest> = {},
): Promise<[string, "cached" | RebuildReason[]][]> {
  const { events } = await lab.build(files, { explain: true, ...options });
  return events
    .filter((event): event is BuildEvent & { type: "explanation" } => event.type === "explanation")
    .map(({ name, cached, reasons }) => [
      name.replace(/^(?:\[.*?\] )?(\w+) .*/s, "$1"),
      cached ? "cached" : reasons,
    ]);
}

test("the first time, all is new; then all is cached", async () => {
  const first = await explained(files);
  expect(first.map(([step]) => step)).toEqual(["FROM", "ARG", "ENV", "COPY", "RUN", "CMD"]);
  for (const [, reasons] of first) expect(reasons).toMatchObject([{ kind: "new" }]);
  const second = await explained(files);
  expect(second.map(([, reasons]) => reasons)).toEqual(Array(6).fill("cached"));
});

test("a changed file is named, and the steps after it name the step before", async () => {
  await lab.build(files);
  const steps = new Map(await explained({ ...files, "src/deep/b.txt": "other", "src/new": "" }));
  expect(steps.get("ENV")).toBe("cached");
  expect(steps.get("COPY")).toEqual([
    { kind: "file", name: "src/deep/b.txt", change: "changed" },
    { kind: "file", name: "src/new", change: "added" },
  ]);
  expect(steps.get("RUN")).toEqual([{ kind: "parent", name: "COPY src /src/", change: "changed" }]);
  expect(steps.get("CMD")).toMatchObject([{ kind: "parent" }]);
});

test("a file of a mount, an argument, a variable and an instruction are named", async () => {
  await lab.build(files);
  const mount = new Map(await explained({ ...files, "cfg/c": "changed" }));
  expect(mount.get("RUN")).toEqual([{ kind: "file", name: "cfg/c", change: "changed" }]);
  const arg = new Map(await explained(files, { buildArgs: { WHO: "secret-value" } }));
  expect(arg.get("RUN")).toEqual([{ kind: "arg", name: "WHO", change: "changed" }]);
  expect(JSON.stringify([...arg])).not.toContain("secret-value");
  const env = new Map(await explained({ ...files, Dockerfile: Dockerfile.replace("=hello", "=bye") }));
  expect(env.get("ENV")).toEqual([
    { kind: "instruction", name: "ENV GREETING=bye", change: "was ENV GREETING=hello" },
  ]);
  expect(env.get("COPY")).toBe("cached");
  expect(env.get("RUN")).toEqual([{ kind: "arg", name: "GREETING", change: "changed" }]);
});

test("another base image is told by its digests", async () => {
  const { store } = lab.backend;
  const base = await lab.build({ Dockerfile: "FROM busybox\nRUN echo 1 > /base" }, { tags: ["base:latest"] });
  const child = { Dockerfile: "FROM base:latest\nRUN cat /base" };
  await lab.build(child);
  await lab.build({ Dockerfile: "FROM busybox\nRUN echo 2 > /base" }, { tags: ["base:latest"] });
  const now = store.images.byName("base:latest")!.id;
  const change = `${base.imageId.slice(0, 19)} -> ${now.slice(0, 19)}`;
  const reason = { kind: "base" as const, name: "base:latest", change };
  expect(await explained(child)).toEqual([
    ["FROM", [reason]],
    ["RUN", [reason]],
  ]);
});

test("no cache, and a cache that was pruned", async () => {
  await lab.build(files);
  const fresh = new Map(await explained(files, { noCache: true }));
  expect(fresh.get("COPY")).toEqual([{ kind: "no-cache", name: "--no-cache", change: "set" }]);
  await lab.builder.prune({ all: true });
  const pruned = new Map(await explained(files));
  expect(pruned.get("COPY")).toMatchObject([{ kind: "new", change: "not in the cache" }]);
});

test("nothing is told unless it is asked for", async () => {
  const { events } = await lab.build(files);
  expect(events.filter(({ type }) => type === "explanation")).toEqual([]);
});
