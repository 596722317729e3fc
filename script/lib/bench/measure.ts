/** Paired timing: in each round every engine has its turn, in an order of its own, so that drift hits all alike. */
import type { Engine } from "./engine.ts";
import type { Row } from "./rows.ts";

/** Milliseconds. */
export interface Timing {
  median: number;
  p10: number;
  p90: number;
}

const warmUps = 2;
/** Between two measurements, in milliseconds. */
const pause = 50;

export async function measure(
  row: Row,
  all: readonly Engine[],
  wanted: number,
): Promise<Map<Engine, Timing>> {
  const engines = all.filter((engine) => row.takesPart?.(engine) ?? true);
  const rounds = Math.min(wanted, row.rounds ?? wanted);
  const before = row.rounds === undefined ? warmUps : 1;
  const samples = new Map<Engine, number[]>(engines.map((engine) => [engine, []]));
  try {
    for (const engine of engines) await row.prepare?.(engine);
    for (let round = -before; round < rounds; round++) {
      for (const engine of shuffled(engines)) {
        const time = await once(row, engine);
        // What one leaves to the kernel to clean up is not the next one's cost.
        Bun.sleepSync(pause);
        if (round >= 0) samples.get(engine)!.push(time);
      }
    }
  } finally {
    for (const engine of engines) await row.finish?.(engine);
  }
  return new Map([...samples].map(([engine, times]) => [engine, summary(times)]));
}

/** Fisher and Yates: no engine always comes after the same other. */
function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

async function once(row: Row, engine: Engine): Promise<number> {
  await row.before?.(engine);
  if (row.sample) return row.sample(engine);
  const command = row.command(engine);
  const { env } = process;
  const start = performance.now();
  const { exitCode, stderr } = Bun.spawnSync(command, {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    env,
  });
  const time = performance.now() - start;
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: exit ${exitCode}\n${stderr}`);
  row.after?.(engine);
  return time;
}

function summary(times: number[]): Timing {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
  return { median: at(0.5), p10: at(0.1), p90: at(0.9) };
}
