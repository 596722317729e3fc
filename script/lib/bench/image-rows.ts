/** What is measured of images: in and out by archive and registry, and the list of many. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { largeImage, layeredImage, manyImages } from "./archives.ts";
import { type Engine, GantryByDocker, gantry, must, Podman, quietly } from "./engine.ts";
import { emptyRegistry, registryHost, stopRegistry } from "./registry.ts";
import type { Row } from "./rows.ts";

/** Heavy rows: fewer rounds, and only the two daemons by their own clients. */
const heavy = {
  rounds: 3,
  takesPart: (engine: Engine) => !(engine instanceof Podman) && !(engine instanceof GantryByDocker),
};
/** Of the row that lists images. */
const many = 500;

export function imageRowsIn(directory: string): Row[] {
  const archives = new Map<string, string>();
  const made = (name: string, make: (directory: string) => string) => {
    const path = archives.get(name) ?? make(directory);
    archives.set(name, path);
    return path;
  };
  const kinds = [
    { name: "large", title: "180 MB", archive: () => made("large", largeImage) },
    { name: "layers", title: "40 small layers", archive: () => made("layers", layeredImage) },
  ];
  const output = (engine: Engine) => join(directory, `saved-${engine.name}.tar`);
  const forget = (engine: Engine, ...names: string[]) => quietly(engine.command(["rmi", "-f", ...names]));
  const rows = kinds.flatMap(({ name, title, archive }): Row[] => {
    const image = `bench-${name}:1`;
    const remote = `${registryHost}/bench/${name}:1`;
    const load = (engine: Engine) => void must(engine.command(["load", "-i", archive()]));
    const publish = async (engine: Engine) => {
      load(engine);
      must(engine.command(["tag", image, remote]));
      await emptyRegistry(engine, directory, gantry);
    };
    return [
      {
        ...heavy,
        name: `load-${name}`,
        title: `load, ${title}`,
        target: 0.4,
        prepare: () => void archive(),
        before: (engine) => forget(engine, image),
        command: (engine) => engine.command(["load", "-i", archive()]),
        finish: (engine) => forget(engine, image),
      },
      {
        ...heavy,
        name: `save-${name}`,
        title: `save, ${title}`,
        target: 0.8,
        prepare: load,
        command: (engine) => engine.command(["save", "-o", output(engine), image]),
        finish: (engine) => {
          rmSync(output(engine), { force: true });
          forget(engine, image);
        },
      },
      {
        ...heavy,
        name: `push-${name}`,
        title: `push, ${title}`,
        target: 0.35,
        prepare: publish,
        before: (engine) => emptyRegistry(engine, directory, gantry),
        command: (engine) => engine.command(["push", remote]),
        finish: async (engine) => {
          await stopRegistry(engine);
          forget(engine, remote, image);
        },
      },
      {
        ...heavy,
        name: `pull-${name}`,
        title: `pull, ${title}`,
        target: 0.35,
        prepare: async (engine) => {
          await publish(engine);
          must(engine.command(["push", remote]));
        },
        before: (engine) => forget(engine, remote, image),
        command: (engine) => engine.command(["pull", remote]),
        finish: async (engine) => {
          await stopRegistry(engine);
          forget(engine, remote, image);
        },
      },
    ];
  });
  return [
    ...rows,
    {
      name: "images",
      title: `images, ${many} of them`,
      takesPart: heavy.takesPart,
      prepare: (engine) => {
        const archive = made("many", () => manyImages(directory, many));
        must(engine.command(["load", "-q", "-i", archive]));
      },
      command: (engine) => engine.command(["images"]),
      finish: (engine) => forget(engine, ...Array.from({ length: many }, (_, n) => `bench-many:${n}`)),
    },
  ];
}
