/** Makes layers, once: each is kept in the cache under a key of everything that it is made from. */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestOf, hexOf } from "../../../src/lib/digest.ts";
import { type Descriptor, mediaTypes } from "../../../src/lib/oci.ts";
import { type LayerRecipe, layers } from "./catalogue.ts";
import { pack } from "./pack.ts";

export interface Layer {
  descriptor: Descriptor;
  diffId: Digest;
  /** RFC 3339. */
  created: string;
  /** The compressed tar. */
  path: string;
}

/** Change it when all layers shall be made anew. */
const format = "1";
/** No layer takes so long to make. */
const abandonedAfterMs = 3_600_000;
const here = import.meta.dir;

export class LayerCache {
  readonly #made = new Map<string, Promise<Layer>>();
  #lists: Promise<string> | undefined;

  constructor(
    private readonly dir: string,
    private readonly log: (message: string) => void,
  ) {}

  /** The layer, from the cache or made now. */
  layer(name: LayerRecipe["name"]): Promise<Layer> {
    let found = this.#made.get(name);
    if (!found) {
      found = this.#findOrMake(layers.find((recipe) => recipe.name === name)!);
      this.#made.set(name, found);
    }
    return found;
  }

  async #findOrMake(recipe: LayerRecipe): Promise<Layer> {
    const dir = join(this.dir, await this.#key(recipe));
    const known = await readFile(join(dir, "layer.json"), "utf8").catch(() => undefined);
    if (known) return { ...(JSON.parse(known) as Omit<Layer, "path">), path: join(dir, "layer.tar.gz") };
    if (recipe.inside) await this.layer(recipe.inside);
    await this.#prepare();
    const work = await mkdtemp(join(this.dir, "making-"));
    try {
      const started = performance.now();
      await this.#fill(recipe, join(work, "root"));
      const packed = await pack(join(work, "root"), join(work, "layer.tar.gz"));
      const layer = {
        descriptor: { mediaType: mediaTypes.ociLayerGzip, digest: packed.digest, size: packed.size },
        diffId: packed.diffId,
        created: new Date().toISOString(),
      };
      await Bun.write(join(work, "layer.json"), JSON.stringify(layer));
      // A root that nothing is built on is not needed again.
      if (!layers.some((other) => other.inside === recipe.name))
        await rm(join(work, "root"), { recursive: true });
      await rename(work, dir);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      this.log(`layer ${recipe.name}: ${(packed.size / 1e6).toFixed(1)} MB in ${seconds} s`);
      return { ...layer, path: join(dir, "layer.tar.gz") };
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  /** Makes the cache's directory and clears what runs that were killed left in it. */
  async #prepare(): Promise<void> {
    await mkdir(this.dir, { recursive: true });
    for (const name of await readdir(this.dir)) {
      if (!name.startsWith("making-")) continue;
      const path = join(this.dir, name);
      const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
      if (age > abandonedAfterMs) await rm(path, { recursive: true, force: true });
    }
  }

  async #fill(recipe: LayerRecipe, root: string): Promise<void> {
    await mkdir(root);
    const script = join(here, "layers", recipe.name);
    if (!recipe.inside) return await run([script, root]);
    const lower = await this.#root(recipe.inside);
    this.#lists ??= this.#updateLists(lower);
    await run([join(here, "increment"), lower, root, await this.#lists, script]);
  }

  /** apt's package lists, fetched once for all layers; no layer keeps them. */
  async #updateLists(lower: string): Promise<string> {
    const lists = await mkdtemp(join(this.dir, "making-lists-"));
    const upper = await mkdtemp(join(this.dir, "making-update-"));
    const script = `${upper}.sh`;
    try {
      await Bun.write(script, "apt-get update");
      await run([join(here, "increment"), lower, upper, lists, script]);
    } finally {
      await rm(upper, { recursive: true });
      await rm(script, { force: true });
    }
    return lists;
  }

  async close(): Promise<void> {
    const lists = await this.#lists?.catch(() => undefined);
    if (lists) await rm(lists, { recursive: true, force: true });
  }

  async #root(name: LayerRecipe["name"]): Promise<string> {
    return join(this.dir, await this.#key(layers.find((recipe) => recipe.name === name)!), "root");
  }

  async #key(recipe: LayerRecipe): Promise<string> {
    const parent = recipe.inside
      ? await this.#key(layers.find((other) => other.name === recipe.inside)!)
      : "";
    const scripts = [join(here, "layers", recipe.name), ...(recipe.inside ? [join(here, "increment")] : [])];
    const texts = await Promise.all(scripts.map((path) => readFile(path, "utf8")));
    return `${recipe.name}-${hexOf(digestOf(JSON.stringify([format, process.arch, parent, texts]))).slice(0, 16)}`;
  }
}

/** @throws with the end of its output when the program fails */
async function run(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (status !== 0) {
    const tail = `${out}\n${err}`.trim().split("\n").slice(-20).join("\n");
    throw new Error(`${command.join(" ")} failed with status ${status}:\n${tail}`);
  }
}
