/** What is measured. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, must, Podman, quietly } from "./engine.ts";

export interface Row {
  name: string;
  title: string;
  /** The ratio to dockerd that is aimed at. */
  target?: number;
  /** What is aimed at in milliseconds, where it is no ratio. */
  targetMs?: number;
  /** At most as many rounds, for what takes long. */
  rounds?: number;
  /** Whether an engine is measured here; all are when it's left out. */
  takesPart?(engine: Engine): boolean;
  prepare?(engine: Engine): void | Promise<void>;
  /** Before each round, not measured. */
  before?(engine: Engine): void | Promise<void>;
  command(engine: Engine): string[];
  /** Milliseconds that it finds itself, in the place of the command's. */
  sample?(engine: Engine): Promise<number>;
  /** After each round, not measured. */
  after?(engine: Engine): void;
  finish?(engine: Engine): void | Promise<void>;
}

/** Containers that run while `ps` and memory are looked at. */
export const crowd = 20;

/** As many as a large machine has. */
export const largeCrowd = 200;

export const nameFor = (engine: Engine, suffix: string) =>
  `bench-${engine.name.toLowerCase().replace(/\W+/g, "-")}-${suffix}`;
const sleeper = (engine: Engine, name: string) =>
  engine.command(["run", "-d", "--name", name, "--network", "none", "busybox", "sleep", "10000"]);

const crowdNames = (engine: Engine, size = crowd) =>
  Array.from({ length: size }, (_, n) => nameFor(engine, `crowd-${n}`));

export function startCrowd(engine: Engine, size = crowd): void {
  for (const name of crowdNames(engine, size)) must(sleeper(engine, name));
}

export function endCrowd(engine: Engine, size = crowd): void {
  quietly(engine.remove(crowdNames(engine, size)));
}

/** All of a crowd by as many clients at once. */
function burst(engine: Engine): string[] {
  const script = `for name in ${crowdNames(engine).join(" ")}; do "$@" --name $name busybox sleep 1000 >/dev/null & done; wait`;
  return ["sh", "-c", script, "sh", ...engine.command(["run", "-d"])];
}

export function rowsIn(directory: string): Row[] {
  const context = join(directory, "context");
  mkdirSync(join(context, "app"), { recursive: true });
  writeFileSync(
    join(context, "Dockerfile"),
    'FROM busybox\nRUN echo made > /made\nCOPY ./app /app\nWORKDIR /app\nENV A=b\nCMD ["cat", "page"]\n',
  );
  for (let n = 0; n < 20; n++) writeFileSync(join(context, `app/file${n}`), "x".repeat(1000 * n));
  const build = (engine: Engine) => engine.build(["-t", nameFor(engine, "image"), context]);
  return [
    {
      name: "run-bridge",
      title: "run --rm busybox true",
      target: 0.25,
      command: (engine) => engine.command(["run", "--rm", "busybox", "true"]),
    },
    {
      name: "run-none",
      title: "run --rm --network none busybox true",
      target: 0.25,
      command: (engine) => engine.command(["run", "--rm", "--network", "none", "busybox", "true"]),
    },
    {
      name: "exec",
      title: "exec CONTAINER true",
      target: 0.35,
      prepare: (engine) => void must(sleeper(engine, nameFor(engine, "exec"))),
      command: (engine) => engine.command(["exec", nameFor(engine, "exec"), "true"]),
      finish: (engine) => quietly(engine.remove([nameFor(engine, "exec")])),
    },
    {
      name: "ps",
      title: `ps with ${crowd} running containers`,
      target: 0.5,
      prepare: (engine) => startCrowd(engine),
      command: (engine) => engine.command(["ps"]),
      finish: (engine) => endCrowd(engine),
    },
    {
      name: "ps-large",
      title: `ps with ${largeCrowd} running containers`,
      targetMs: 15,
      takesPart: (engine) => !(engine instanceof Podman),
      prepare: (engine) => startCrowd(engine, largeCrowd),
      command: (engine) => engine.command(["ps"]),
      finish: (engine) => endCrowd(engine, largeCrowd),
    },
    {
      name: "build-cached",
      title: "build, every step cached",
      target: 0.4,
      prepare: (engine) => void must(build(engine)),
      command: build,
    },
    {
      name: "run-d",
      title: "run -d busybox sleep",
      command: (engine) =>
        engine.command(["run", "-d", "--name", nameFor(engine, "d"), "busybox", "sleep", "1000"]),
      after: (engine) => quietly(engine.remove([nameFor(engine, "d")])),
    },
    {
      name: "rm-f",
      title: "rm -f of a running container",
      before: (engine) =>
        void must(engine.command(["run", "-d", "--name", nameFor(engine, "rm"), "busybox", "sleep", "1000"])),
      command: (engine) => engine.remove([nameFor(engine, "rm")]),
    },
    {
      name: "run-d-burst",
      title: `${crowd} run -d busybox sleep at once`,
      target: 0.35,
      command: burst,
      after: (engine) => endCrowd(engine),
    },
    {
      name: "rm-f-burst",
      title: `rm -f of ${crowd} running containers`,
      target: 0.3,
      before: (engine) => void must(burst(engine)),
      command: (engine) => engine.remove(crowdNames(engine)),
    },
  ];
}
