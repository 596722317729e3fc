import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const program = `
import { registryCommand } from ${JSON.stringify(join(import.meta.dir, "registry.ts"))};
process.exitCode = await registryCommand(process.argv.slice(1));
`;

function run(...args: string[]) {
  return Bun.spawn([process.execPath, "-e", program, ...args], { stdout: "pipe", stderr: "pipe" });
}

test("serves until it is told to stop", async () => {
  const root = await mkdtemp(join(tmpdir(), "gantry-cli-registry-"));
  const child = run("serve", "--addr", "127.0.0.1:0", "--root", root);
  try {
    const first = await child.stdout.getReader().read();
    const address = /listening on (\S+)/.exec(Buffer.from(first.value ?? []).toString())?.[1];
    const response = await fetch(`http://${address}/v2/`);
    expect(response.status).toBe(200);
    await response.text();
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    await rm(root, { recursive: true, force: true });
  }
});

test("collects garbage of a registry that nobody serves", async () => {
  const root = await mkdtemp(join(tmpdir(), "gantry-cli-registry-"));
  const server = run("serve", "--addr", "127.0.0.1:0", "--root", root);
  try {
    const first = await server.stdout.getReader().read();
    const address = /listening on (\S+)/.exec(Buffer.from(first.value ?? []).toString())?.[1];
    const digest = `sha256:${new Bun.CryptoHasher("sha256").update("x").digest("hex")}`;
    const path = `http://${address}/v2/a/blobs/uploads/?digest=${digest}`;
    expect((await fetch(path, { method: "POST", body: "x" })).status).toBe(201);
    const busy = run("gc", "--root", root);
    expect(await new Response(busy.stderr).text()).toContain("is in use by another registry");
    server.kill("SIGTERM");
    await server.exited;
    const young = run("gc", "--root", root);
    expect(await new Response(young.stdout).text()).toBe(
      "removed: 0 blobs, 0 manifests, 0 links, 0 uploads\n",
    );
    const old = run("gc", "--root", root, "--gc-grace", "0");
    expect(await new Response(old.stdout).text()).toBe("removed: 1 blobs, 0 manifests, 1 links, 0 uploads\n");
  } finally {
    server.kill("SIGKILL");
    await server.exited;
    await rm(root, { recursive: true, force: true });
  }
});

test.each([
  [["serve", "--nonsense"], 125, "--nonsense"],
  [["push"], 1, "unknown command: gantry registry push"],
  [["serve", "--addr", "nowhere", "--root", join(tmpdir(), "gantry-never-made")], 1, "invalid address"],
] as [string[], number, string][])("%p is refused", async (args, status, message) => {
  const child = run(...args);
  expect(await new Response(child.stderr).text()).toContain(message);
  expect(await child.exited).toBe(status);
});
