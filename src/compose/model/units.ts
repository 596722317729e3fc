/** Sizes and durations as Compose files write them. Pure; undefined for text that is neither. */

const sizeFactor: Record<string, number> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** `512m`, `1.5gb`, `64MiB`, `1024` -> bytes. */
export function parseSize(text: string): number | undefined {
  const match = /^(-?\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$|^(-?\d+(?:\.\d+)?) ?b$/i.exec(text.trim());
  if (!match) return undefined;
  const factor = sizeFactor[(match[2] ?? "").toLowerCase()] ?? 1;
  return Math.trunc(Number(match[1] ?? match[3]) * factor);
}

/** Nanoseconds as Go writes them: `1m30s`, `1.5s`, `100ms`. */
export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3600e9);
  const minutes = Math.floor((nanoseconds % 3600e9) / 60e9);
  const seconds = (nanoseconds % 60e9) / 1e9;
  return `${hours ? `${hours}h` : ""}${hours || minutes ? `${minutes}m` : ""}${seconds}s`;
}
