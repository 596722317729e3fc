/** `POST /build?explain=1`: why each step was done, in messages of our own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestDaemon } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
const directory = mkdtempSync(join(tmpdir(), "gt-explain-"));
beforeAll(async () => {
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(directory, daemon));

interface Message {
  stream?: string;
  explain?: { id: string; name: string; cached: boolean; reasons: { kind: string; name: string }[] };
}

async function messages(query: string): Promise<Message[]> {
  const tar = Bun.spawnSync(["tar", "-C", directory, "-cf", "-", "."]).stdout;
  const answer = await daemon.request(`/build?${query}`, { method: "POST", body: tar });
  const lines = (await answer.text()).trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Message);
}

test("tells which file changed, and only those who ask", async () => {
  writeFileSync(join(directory, "Dockerfile"), "FROM busybox\nCOPY a /a\n");
  writeFileSync(join(directory, "a"), "1");
  expect((await messages("q=1")).some(({ explain }) => explain !== undefined)).toBe(false);
  writeFileSync(join(directory, "a"), "2");
  const told = (await messages("explain=1")).flatMap(({ explain }) => explain ?? []);
  expect(told).toEqual([
    { id: "0.0", name: "[1/2] FROM busybox", cached: true, reasons: [] },
    {
      id: "0.1",
      name: "[2/2] COPY a /a",
      cached: false,
      reasons: [{ kind: "file", name: "a", change: "changed" }],
    },
  ] as never);
});
