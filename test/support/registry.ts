/** A registry of its own for a test file: `gantry registry serve` on a free port. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./daemon.ts";
import { onInterrupt } from "./interrupt.ts";

export class TestRegistry implements AsyncDisposable {
  readonly #cleared = onInterrupt(() => {
    this.process.kill("SIGKILL");
    rmSync(this.root, { recursive: true, force: true });
  });

  private constructor(
    readonly root: string,
    readonly address: string,
    private readonly process: Bun.Subprocess,
  ) {}

  get pid(): number {
    return this.process.pid;
  }

  static async start(): Promise<TestRegistry> {
    const root = mkdtempSync(join(tmpdir(), "gt-registry-"));
    const child = Bun.spawn([executable, "registry", "serve", "--addr", "127.0.0.1:0", "--root", root], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const reader = child.stdout.getReader();
    const line = new TextDecoder().decode((await reader.read()).value);
    reader.releaseLock();
    const address = /listening on (?:http:\/\/)?(\S+)/.exec(line)?.[1];
    if (!address) throw new Error(`the registry says: ${line}`);
    return new TestRegistry(root, address, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill();
    await this.process.exited;
    rmSync(this.root, { recursive: true, force: true });
    this.#cleared();
  }
}
