/** What is measured of images: in and out by archive and registry, and the list of many. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { largeImage, layeredImage, manyImages } from "./archives.ts";
import { type Engine, GantryByDocker, gantry, must, Podman, quietly } from "./engine.ts";
import { emptyRegistry, registryHost, stopRegistry } from "./registry.ts";
import type { Row } from "./rows.ts";

/** Heavy rows: fewer rounds, and only the two daemons by their own clients. */
const heavy = {
  rounds: 2,
  takesPart: (engine: Engine) => !(engine instanceof Podman) && !(engine instanceof GantryByDocker),
};
/** Of the row that lists images. */
const many = 500;

/**
 * Each round has an image of its own: ext4 looks twice at the inodes of what was removed within five minutes, so that
 * an image that comes again after its removal takes three times as long, in every engine.
 */
class Images {
  readonly #archives = new Map<string, string>();
  readonly #turns = new Map<Engine, number>();

  constructor(
    private readonly kind: string,
    private readonly directory: string,
    private readonly make: (directory: string, name: string) => string,
  ) {}

  /** The engine's image of this round. */
  name(engine: Engine): string {
    return `bench-${this.kind}:${this.#turns.get(engine) ?? 0}`;
  }

  remote(engine: Engine): string {
    return `${registryHost}/${this.name(engine)}`;
  }

  next(engine: Engine): void {
    this.#turns.set(engine, (this.#turns.get(engine) ?? 0) + 1);
  }

  archive(name: string): string {
    const path = this.#archives.get(name) ?? this.make(this.directory, name);
    this.#archives.set(name, path);
    return path;
  }

  load(engine: Engine): string[] {
    return engine.command(["load", "-i", this.archive(this.name(engine))]);
  }

  /** Removes what is there of them, under both names. */
  forget(engine: Engine): void {
    for (; this.#turns.get(engine); this.#turns.set(engine, this.#turns.get(engine)! - 1))
      quietly(engine.command(["rmi", "-f", this.name(engine), this.remote(engine)]));
  }
}

export function imageRowsIn(directory: string): Row[] {
  const kinds = [
    { kind: "large", title: "180 MB", make: largeImage },
    { kind: "layers", title: "40 small layers", make: layeredImage },
  ];
  const output = (engine: Engine) => join(directory, `saved-${engine.name}.tar`);
  const rows = kinds.flatMap(({ kind, title, make }): Row[] => {
    const images = new Images(kind, directory, make);
    return [
      {
        ...heavy,
        name: `load-${kind}`,
        title: `load, ${title}`,
        target: 0.4,
        before: (engine) => {
          images.next(engine);
          images.load(engine);
        },
        command: (engine) => images.load(engine),
        finish: (engine) => images.forget(engine),
      },
      {
        ...heavy,
        name: `save-${kind}`,
        title: `save, ${title}`,
        target: 0.8,
        prepare: (engine) => {
          images.next(engine);
          must(images.load(engine));
        },
        command: (engine) => engine.command(["save", "-o", output(engine), images.name(engine)]),
        finish: (engine) => {
          rmSync(output(engine), { force: true });
          images.forget(engine);
        },
      },
      {
        ...heavy,
        name: `push-${kind}`,
        title: `push, ${title}`,
        target: 0.35,
        prepare: (engine) => {
          images.next(engine);
          must(images.load(engine));
          must(engine.command(["tag", images.name(engine), images.remote(engine)]));
        },
        before: (engine) => emptyRegistry(engine, directory, gantry),
        command: (engine) => engine.command(["push", images.remote(engine)]),
        finish: async (engine) => {
          await stopRegistry(engine);
          images.forget(engine);
        },
      },
      {
        ...heavy,
        name: `pull-${kind}`,
        title: `pull, ${title}`,
        target: 0.35,
        prepare: (engine) => emptyRegistry(engine, directory, gantry),
        before: (engine) => {
          images.next(engine);
          const from = `docker-archive:${images.archive(images.name(engine))}`;
          const to = `docker://${images.remote(engine)}`;
          must(engine.inNetwork(["skopeo", "copy", "-q", "--dest-tls-verify=false", from, to]));
        },
        command: (engine) => engine.command(["pull", images.remote(engine)]),
        finish: async (engine) => {
          await stopRegistry(engine);
          images.forget(engine);
        },
      },
    ];
  });
  let archive: string | undefined;
  return [
    ...rows,
    {
      name: "images",
      title: `images, ${many} of them`,
      targetMs: 20,
      takesPart: heavy.takesPart,
      prepare: (engine) => {
        archive ??= manyImages(directory, many);
        must(engine.command(["load", "-q", "-i", archive]));
      },
      command: (engine) => engine.command(["images"]),
      finish: (engine) => {
        const names = Array.from({ length: many }, (_, n) => `bench-many:${n}`);
        quietly(engine.command(["rmi", "-f", ...names]));
      },
    },
  ];
}
