/** `gantry compose`, on an application as people write them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { TestDaemon, until } from "./support/daemon.ts";
import { disposeAll } from "./support/dispose.ts";

let daemon: TestDaemon;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "gt-compose-"));
  daemon = await TestDaemon.start();
});
afterAll(() => disposeAll(daemon, directory));

test("up, ps, logs, exec, down", async () => {
  writeFileSync(
    join(directory, "Dockerfile"),
    'FROM busybox\nRUN echo "the page" > /index.html\nCMD ["httpd", "-f", "-p", "5000", "-h", "/"]\n',
  );
  writeFileSync(
    join(directory, "docker-compose.yml"),
    `version: '3'
services:
  web:
    build: .
    ports:
      - "127.0.0.1::5000"
    environment:
      GREETING: \${GREETING:-hello}
    depends_on:
      - store
  store:
    image: busybox
    command: sh -c "echo stored; exec sleep 1000"
    volumes:
      - data:/data
volumes:
  data:
`,
  );
  const compose = (...args: string[]) =>
    daemon.gantry(["compose", ...args], { cwd: directory, env: { GREETING: "hi" } });
  const ok = async (...args: string[]) => {
    const result = await compose(...args);
    expect(result).toMatchObject({ code: 0 });
    return result.stdout.trim();
  };
  const project = basename(directory).toLowerCase();

  await ok("up", "-d");
  expect((await ok("ps", "--services")).split("\n").sort()).toEqual(["store", "web"]);
  const address = await ok("port", "web", "5000");
  await until(
    () =>
      fetch(`http://${address}/`).then(
        async (page) => (await page.text()) === "the page\n",
        () => false,
      ),
    "the page",
  );
  expect(await ok("exec", "-T", "web", "wget", "-qO-", "http://web:5000/")).toBe("the page");
  expect(await ok("exec", "-T", "web", "sh", "-c", "echo $GREETING")).toBe("hi");
  await until(async () => (await ok("logs", "--no-log-prefix", "store")) === "stored", "the line");
  const ids = await ok("ps", "-q");
  await ok("exec", "-T", "store", "sh", "-c", "echo kept > /data/file");

  // Nothing has changed, so that nothing is made again; a changed service alone is.
  await ok("up", "-d");
  expect(await ok("ps", "-q")).toBe(ids);
  expect((await compose("up", "-d", "--scale", "store=2")).code).toBe(0);
  expect((await ok("ps", "-q")).split("\n")).toHaveLength(3);

  await ok("down", "-t", "0");
  expect(await daemon.ok(["ps", "-aq"])).toBe("");
  expect(await daemon.ok(["network", "ls", "-q", "--filter", "type=custom"])).toBe("");
  expect(await daemon.ok(["volume", "ls", "-q"])).toBe(`${project}_data`);
  await ok("up", "-d", "store");
  expect(await ok("exec", "-T", "store", "cat", "/data/file")).toBe("kept");
  await ok("down", "-t", "0", "-v", "--rmi", "local");
  expect(await daemon.ok(["volume", "ls", "-q"])).toBe("");
});
