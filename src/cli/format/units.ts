/** Sizes and spans of time for people, in the words of Docker's go-units. */
export { bytesSize, general, humanSize } from "../../lib/human-size.ts";

/** `2 minutes`, `About an hour`. */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.trunc(milliseconds / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(milliseconds / 3_600_000 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(milliseconds / 3_600_000 / 24 / 365)} years`;
}

/** `3 hours ago`; N/A for Docker's zero time. */
export function ago(time: string | number, now: number): string {
  const then = typeof time === "number" ? time * 1000 : Date.parse(time);
  if (!Number.isFinite(then) || then <= 0) return "N/A";
  return `${humanDuration(now - then)} ago`;
}

/**
 * `2006-01-02 15:04:05 +0000 UTC` in the local zone, as Go prints a time.
 * @param fraction with the parts of a second that an RFC 3339 text has
 */
export function goTime(time: string | number, fraction = false): string {
  const date = new Date(typeof time === "number" ? time * 1000 : time);
  const two = (value: number) => String(value).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const zone =
    offset === 0
      ? "UTC"
      : (/\(?([A-Z]{2,5})\)?$/.exec(date.toLocaleTimeString("en-US", { timeZoneName: "short" }))?.[1] ?? "");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const shift = `${sign}${two(Math.trunc(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const parts = fraction ? (/\.\d*[1-9]/.exec(String(time))?.[0] ?? "") : "";
  return `${day} ${clock}${parts} ${shift} ${zone || shift}`;
}
