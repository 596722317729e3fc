/** What is measured of output on its way: how much, and how soon. */
import { writeFileSync } from "node:fs";
import { type Engine, must, Podman, quietly } from "./engine.ts";
import { nameFor, type Row } from "./rows.ts";

/** Lines that are timed in a round. */
const lines = 10;

const pipe = (engine: Engine, name: string) =>
  `/proc/${must(engine.command(["inspect", "-f", "{{.State.Pid}}", name]))}/root/lines`;

/** Milliseconds from a line's being written in the container to its arrival from `logs -f`, the middle of some. */
async function followed(engine: Engine, name: string): Promise<number> {
  const path = pipe(engine, name);
  const follower = Bun.spawn(engine.command(["logs", "-f", "--tail", "0", name]), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
  });
  try {
    const reader = follower.stdout.getReader();
    await Bun.sleep(300);
    const times: number[] = [];
    for (let n = 0; n < lines; n++) {
      const start = performance.now();
      writeFileSync(path, `line ${n}\n`);
      await reader.read();
      times.push(performance.now() - start);
      await Bun.sleep(20);
    }
    return times.toSorted((a, b) => a - b)[lines >> 1]!;
  } finally {
    follower.kill();
    await follower.exited;
  }
}

const gigabyte = ["dd", "if=/dev/zero", "bs=1M", "count=1024"];

export const streamRows: Row[] = [
  {
    name: "attach-output",
    title: "run, 1 GB of output attached",
    target: 1,
    rounds: 3,
    takesPart: (engine) => !(engine instanceof Podman),
    command: (engine) =>
      engine.command(["run", "--rm", "--network", "none", "--log-driver", "none", "busybox", ...gigabyte]),
  },
  {
    name: "exec-output",
    title: "exec, 1 GB of output",
    target: 1,
    rounds: 3,
    takesPart: (engine) => !(engine instanceof Podman),
    prepare: (engine) =>
      void must(engine.command(["run", "-d", "--name", nameFor(engine, "out"), "busybox", "sleep", "1000"])),
    command: (engine) => engine.command(["exec", nameFor(engine, "out"), ...gigabyte]),
    finish: (engine) => quietly(engine.remove([nameFor(engine, "out")])),
  },
  {
    name: "logs-f",
    title: "logs -f, from line to reader",
    targetMs: 10,
    takesPart: (engine) => !(engine instanceof Podman),
    rounds: 3,
    prepare: (engine) =>
      void must(
        engine.command([
          ...["run", "-d", "--name", nameFor(engine, "logs"), "busybox"],
          ...["sh", "-c", "mkfifo /lines; while :; do cat /lines; done"],
        ]),
      ),
    sample: (engine) => followed(engine, nameFor(engine, "logs")),
    command: (engine) => engine.command(["logs", "-f", nameFor(engine, "logs")]),
    finish: (engine) => quietly(engine.remove([nameFor(engine, "logs")])),
  },
];
