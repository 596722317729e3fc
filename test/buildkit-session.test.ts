/** A session that goes inside of a call (Control.Session), as buildctl and bake open it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { BuildKitClient } from "./support/buildkit-client.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let directory: string;
let client: BuildKitClient;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-session-"));
  daemon = await TestDaemon.start();
  client = await BuildKitClient.connect(daemon);
});
afterAll(() => disposeAll(client, daemon, directory));

const newRef = () => crypto.randomUUID().replaceAll("-", "");

test("brings files and secrets of the client", async () => {
  writeFileSync(join(directory, "large"), Buffer.alloc(3_000_000, 1));
  writeFileSync(
    join(directory, "Dockerfile"),
    "FROM busybox\nCOPY large /large\nRUN --mount=type=secret,id=word cp /run/secrets/word /word",
  );
  const session = await client.sessionInCall({
    secrets: { word: "told" },
    locals: { context: directory, dockerfile: directory },
  });
  const { exporterResponse } = await client.control.solve({
    ref: newRef(),
    session,
    frontend: "dockerfile.v0",
    exporters: [{ type: "moby", attrs: { name: "carried" } }],
  });
  expect(exporterResponse["containerimage.config.digest"]).toMatch(/^sha256:/);
  expect(await daemon.ok(["run", "--rm", "carried", "sh", "-c", "cat /word; stat -c %s /large"])).toBe(
    "told3000000",
  );
});

test("ends with its client, and the builds that need it do", async () => {
  writeFileSync(join(directory, "Dockerfile"), "FROM busybox\nRUN sleep 3600");
  const other = await BuildKitClient.connect(daemon);
  const session = await other.sessionInCall({ locals: { context: directory, dockerfile: directory } });
  const ref = newRef();
  const done = client.control.solve({ ref, session, frontend: "dockerfile.v0" });
  done.catch(() => {});
  await until(async () => {
    const records = (await (await daemon.request("/build/history")).json()) as { ID: string }[];
    return records.some(({ ID }) => ID === ref);
  }, "the build");
  other[Symbol.dispose]();
  expect(
    await done.then(
      () => undefined,
      (error) => ConnectError.from(error).code,
    ),
  ).toBe(Code.Canceled);
});
