/** What is measured of builds that have something to do. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, must, Podman, quietly } from "./engine.ts";
import { nameFor, type Row } from "./rows.ts";

const takesPart = (engine: Engine) => !(engine instanceof Podman);

/** Files of the context of which one is changed. */
const many = 10_000;
const stages = 8;
const steps = 10;
/** Bytes of the large context, in as many files. */
const large = { bytes: 180_000_000, files: 60 };

export function buildRowsIn(directory: string): Row[] {
  const image = (engine: Engine, kind: string) => nameFor(engine, `build-${kind}`);
  const context = (kind: string) => join(directory, `context-${kind}`);
  const row = (
    name: string,
    target: number,
    title: string,
    make: (path: string) => void,
    cached = false,
  ): Row => {
    const build = (engine: Engine) => [
      ...engine.build([...(cached ? [] : ["--no-cache"]), "-t", image(engine, name)]),
      context(name),
    ];
    return {
      name: `build-${name}`,
      title,
      target,
      rounds: 3,
      takesPart,
      prepare: (engine) => {
        make(context(name));
        must(build(engine));
      },
      command: build,
      finish: (engine) => {
        quietly(engine.command(["rmi", "-f", image(engine, name)]));
        rmSync(context(name), { recursive: true, force: true });
      },
    };
  };
  let change = 0;
  return [
    {
      ...row("changed", 0.4, `build, one changed file of ${many}`, makeMany, true),
      before: () => writeFileSync(join(context("changed"), "d0/f0"), `change ${++change}`),
    },
    row("stages", 0.6, `build, ${stages} stages side by side`, makeStages),
    {
      ...row("steps", 0.5, `build, ${steps} steps and 180 MB of context, no cache`, makeSteps),
      // New content: BuildKit's clients don't send again what the engine has from the last build.
      before: () => makeSteps(context("steps")),
    },
  ];
}

function begin(path: string, dockerfile: string[]): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "Dockerfile"), `${dockerfile.join("\n")}\n`);
}

function makeMany(path: string): void {
  begin(path, ["FROM busybox", "COPY . /app", "RUN true"]);
  for (let n = 0; n < many; n++) {
    const folder = join(path, `d${n % 100}`);
    if (n < 100) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${n}`), `file ${n}\n`.repeat(50));
  }
}

function makeStages(path: string): void {
  const all = Array.from({ length: stages }, (_, n) => n);
  begin(path, [
    ...all.flatMap((n) => [`FROM busybox AS s${n}`, `RUN sleep 0.5; echo ${n} > /out`]),
    "FROM busybox",
    ...all.map((n) => `COPY --from=s${n} /out /out${n}`),
  ]);
}

function makeSteps(path: string): void {
  begin(path, [
    "FROM busybox",
    "COPY . /app",
    ...Array.from({ length: steps }, (_, n) => `RUN echo ${n} > /step${n}`),
  ]);
  const size = large.bytes / large.files;
  for (let n = 0; n < large.files; n++) {
    // As well compressible as programs are, about a half.
    const part = Buffer.alloc(size);
    crypto.getRandomValues(part.subarray(0, 1 << 16));
    for (let at = 1 << 16; at < size; at += 1 << 17) part.copyWithin(at, n, n + (1 << 16));
    // Nobody is to wait for the writing of it later on.
    writeFileSync(join(path, `f${n}`), part, { flush: true });
  }
}
