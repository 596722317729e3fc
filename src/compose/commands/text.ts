/** How times and long texts are shown. Pure. */

const steps: [limit: number, unit: number, name: string][] = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [48 * 3600, 3600, "hour"],
  [14 * 86_400, 86_400, "day"],
  [60 * 86_400, 604_800, "week"],
  [730 * 86_400, 2_592_000, "month"],
  [Number.POSITIVE_INFINITY, 31_536_000, "year"],
];

/** `2 seconds ago`. @param seconds since the epoch */
export function ago(seconds: number, now = Date.now() / 1000): string {
  const age = Math.max(0, Math.floor(now - seconds));
  if (age < 1) return "Less than a second ago";
  if (age >= 60 && age < 120) return "About a minute ago";
  if (age >= 3600 && age < 7200) return "About an hour ago";
  const [, unit, name] = steps.find(([limit]) => age < limit)!;
  const count = Math.floor(age / unit);
  return `${count} ${name}${count === 1 ? "" : "s"} ago`;
}

/** At most `length` characters, the last an ellipsis when there were more. */
export function elide(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** Bytes with a decimal unit, three digits: `1.98MB`. */
export function formatSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`;
}
