/** For tests: a builder on a real store and a real OCI runtime, with busybox as base image. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onInterrupt } from "../../test/support/interrupt.ts";
import { sweepLab } from "../../test/support/sweep.ts";
import type { Digest } from "../lib/digest.ts";
import { NotFound } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { type ImageConfig, type ImageRunConfig, mediaTypes } from "../lib/oci.ts";
import { createRegistryClient } from "../registry/index.ts";
import { openRuntime } from "../runtime/index.ts";
import { openStore } from "../store/index.ts";
import type { Store } from "../store/types.ts";
import { createBuilder } from "./index.ts";
import type { BuildBackend, BuildEvent, Builder, BuildRequest, BuildResult } from "./types.ts";

const applets =
  "sh cat ls echo id pwd env stat test mkdir touch rm sleep chown chmod cp mv ln head true false printf sed wc sort find readlink hostname grep mount".split(
    " ",
  );

export interface Built extends BuildResult {
  /** Of the image in the store. */
  imageId: Digest;
  events: BuildEvent[];
  /** Output of all steps. */
  output: string;
  /** Names of the instruction vertices by how they ended. */
  cached: string[];
  done: string[];
}

export class BuildLab implements AsyncDisposable {
  readonly #cleared = onInterrupt(() => sweepLab(this.directory, this.backend.cgroupParent));

  private constructor(
    readonly directory: string,
    readonly backend: BuildBackend,
    readonly builder: Builder,
  ) {}

  static async open(): Promise<BuildLab> {
    const directory = mkdtempSync(join(tmpdir(), "gb-"));
    const store = await openStore(join(directory, "store"));
    const runtime = await openRuntime({ root: join(directory, "runtime") });
    const backend: BuildBackend = {
      store,
      registry: createRegistryClient({}),
      runtime,
      execDir: join(directory, "x"),
      cgroupParent: `/gantry-build-test-${newId().slice(0, 8)}`,
      resolveImage: async (reference) => {
        const image = store.images.byName(reference);
        if (!image) throw new NotFound(`pull access denied for ${reference}`);
        return image;
      },
      stepNetwork: async (_id, _mode, extraHosts) => ({
        hosts: ["127.0.0.1\tlocalhost", ...extraHosts].join("\n"),
        resolvConf: "nameserver 127.0.0.11\n",
        [Symbol.asyncDispose]: async () => {},
      }),
    };
    await registerBusybox(store, directory);
    return new BuildLab(directory, backend, createBuilder(backend));
  }

  /** Writes a context: files with content, `@target` makes a link. */
  context(files: Record<string, string>): string {
    const directory = mkdtempSync(join(this.directory, "context-"));
    writeFiles(directory, files);
    return directory;
  }

  request(files: Record<string, string>, options: Partial<BuildRequest> = {}): BuildRequest {
    return {
      contextDir: this.context(files),
      dockerfile: { path: "Dockerfile" },
      buildArgs: {},
      labels: {},
      noCache: false,
      pull: false,
      networkMode: "default",
      extraHosts: [],
      limits: {},
      ulimits: [],
      tags: [],
      ...options,
    };
  }

  async build(
    files: Record<string, string>,
    options: Partial<BuildRequest> = {},
    signal: AbortSignal = new AbortController().signal,
    onEvent: (event: BuildEvent) => void = () => {},
  ): Promise<Built> {
    const events: BuildEvent[] = [];
    const result = await this.builder.build(
      this.request(files, options),
      (event) => {
        events.push(event);
        onEvent(event);
      },
      signal,
    );
    return {
      ...result,
      imageId: result.image!.configDigest,
      events,
      output: outputOf(events),
      cached: named(events, "cached"),
      done: named(events, "done"),
    };
  }

  config(built: Built): ImageConfig {
    return this.backend.store.images.get(built.imageId)!.config;
  }

  run(built: Built): ImageRunConfig {
    return this.config(built).config!;
  }

  /** Looks at an image's files while they are mounted. */
  look<T>(built: Pick<Built, "imageId">, look: (root: string) => T): T {
    const { snapshots, images } = this.backend.store;
    const target = mkdtempSync(join(this.directory, "look-"));
    snapshots.mountAt(images.get(built.imageId)!.layers.at(-1)!.chainId, target);
    try {
      return look(target);
    } finally {
      snapshots.unmount(target);
    }
  }

  /** What a finished or failed build must not leave. */
  leftovers(): { mounts: string[]; active: string[]; steps: string[]; cgroups: string[] } {
    const { store, execDir, cgroupParent } = this.backend;
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[4] ?? "");
    return {
      mounts: mounts.filter((path) => path.startsWith(this.directory)),
      active: store.snapshots.list().flatMap(({ key, kind }) => (kind === "active" ? [key] : [])),
      steps: existsSync(execDir) ? readdirSync(execDir) : [],
      cgroups: readdirSync("/sys/fs/cgroup").flatMap((controller) => {
        const parent = join("/sys/fs/cgroup", controller, cgroupParent);
        return existsSync(parent)
          ? readdirSync(parent, { withFileTypes: true })
              .filter((e) => e.isDirectory())
              .map((e) => join(parent, e.name))
          : [];
      }),
    };
  }

  /** The same when all has gone, or stays: what a build shared with others, or the kernel holds, goes after its end. */
  async settled(): Promise<ReturnType<BuildLab["leftovers"]>> {
    const end = performance.now() + 30_000;
    while (!Bun.deepEquals(this.leftovers(), nothingLeft) && performance.now() < end) await Bun.sleep(10);
    return this.leftovers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend.store[Symbol.asyncDispose]();
    for (const controller of ["", ...readdirSync("/sys/fs/cgroup")]) {
      const parent = join("/sys/fs/cgroup", controller, this.backend.cgroupParent);
      if (existsSync(parent)) Bun.spawnSync(["rmdir", parent]);
    }
    rmSync(this.directory, { recursive: true, force: true });
    this.#cleared();
  }
}

export const nothingLeft = { mounts: [], active: [], steps: [], cgroups: [] };

function outputOf(events: BuildEvent[]): string {
  return Buffer.concat(events.flatMap((event) => (event.type === "log" ? [event.data] : []))).toString();
}

function named(events: BuildEvent[], state: "cached" | "done"): string[] {
  return events.flatMap((e) =>
    e.type === "vertex" && e.state === state && e.step ? [e.step.instruction] : [],
  );
}

export function writeFiles(directory: string, files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    if (content.startsWith("@")) symlinkSync(content.slice(1), path);
    else writeFileSync(path, content);
  }
}

/** `busybox:latest`: one layer with the static binary, a user `app` (1000:1001) and a group `staff` (50). */
async function registerBusybox(store: Store, directory: string): Promise<void> {
  const tree = join(directory, "busybox");
  mkdirSync(join(tree, "bin"), { recursive: true });
  mkdirSync(join(tree, "tmp"), { mode: 0o1777 });
  const binary = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path))!;
  copyFileSync(binary, join(tree, "bin/busybox"));
  for (const applet of applets) symlinkSync("busybox", join(tree, "bin", applet));
  writeFiles(tree, {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n",
    "etc/group": "root:x:0:\napp:x:1001:\nstaff:x:50:app\n",
  });
  const tar = Bun.spawnSync([
    "tar",
    "-C",
    tree,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "-cf",
    "-",
    ".",
  ]).stdout;
  const layer = await store.content.put(tar);
  const config: ImageConfig = {
    created: "2020-01-01T00:00:00Z",
    architecture: "amd64",
    os: "linux",
    config: { Cmd: ["sh"], Env: ["PATH=/bin", "BASE=1"] },
    rootfs: { type: "layers", diff_ids: [layer] },
    history: [{ created: "2020-01-01T00:00:00Z", created_by: "busybox" }],
  };
  const put = async (document: object) => {
    const bytes = Buffer.from(JSON.stringify(document));
    return { digest: await store.content.put(bytes), size: bytes.length };
  };
  const manifest = await put({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, ...(await put(config)) },
    layers: [{ mediaType: mediaTypes.ociLayer, digest: layer, size: tar.length }],
  });
  const image = await store.images.register({ mediaType: mediaTypes.ociManifest, ...manifest });
  store.images.tag("busybox", image.id);
}
