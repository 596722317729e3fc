/** Counters in Prometheus' text format (version 0.0.4). */
import type { Collected } from "./collector.ts";

/** Upper ends of the histogram's buckets, seconds. */
const buckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];

interface Histogram {
  counts: number[];
  sum: number;
  count: number;
}

export class Metrics {
  /** By name, then by labels as they are written. */
  readonly #counters = new Map<string, Map<string, number>>();
  readonly #durations = new Map<string, Histogram>();

  /** `seconds`: until the answer's head was ready. */
  request(method: string, route: string, status: number, seconds: number): void {
    this.count("requests_total", `method="${method}",route="${route}",status="${status}"`);
    const labels = `route="${route}"`;
    const histogram = this.#durations.get(labels) ?? { counts: buckets.map(() => 0), sum: 0, count: 0 };
    this.#durations.set(labels, histogram);
    const bucket = buckets.findIndex((end) => seconds <= end);
    if (bucket >= 0) histogram.counts[bucket]! += 1;
    histogram.sum += seconds;
    histogram.count += 1;
  }

  count(name: string, labels: string, by = 1): void {
    const values = this.#counters.get(name) ?? new Map<string, number>();
    this.#counters.set(name, values);
    values.set(labels, (values.get(labels) ?? 0) + by);
  }

  collected(collected: Collected): void {
    for (const [kind, number] of Object.entries(collected)) {
      this.count("collected_total", `kind="${kind}"`, number);
    }
  }

  render(): string {
    const lines: string[] = [];
    for (const [name, values] of this.#counters) {
      lines.push(`# TYPE gantry_registry_${name} counter`);
      for (const [labels, value] of values) lines.push(`gantry_registry_${name}{${labels}} ${value}`);
    }
    const name = "gantry_registry_request_seconds";
    if (this.#durations.size > 0) lines.push(`# TYPE ${name} histogram`);
    for (const [labels, { counts, sum, count }] of this.#durations) {
      let below = 0;
      for (const [index, end] of buckets.entries()) {
        below += counts[index]!;
        lines.push(`${name}_bucket{${labels},le="${end}"} ${below}`);
      }
      lines.push(`${name}_bucket{${labels},le="+Inf"} ${count}`);
      lines.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${count}`);
    }
    lines.push("# TYPE process_resident_memory_bytes gauge");
    lines.push(`process_resident_memory_bytes ${process.memoryUsage.rss()}`);
    return `${lines.join("\n")}\n`;
  }
}
