import { parseDuration } from "../../../../lib/duration.ts";
import type { Value } from "../types.ts";
import { ValueError } from "../value.ts";
import { fixed, type HclFunction } from "./define.ts";

const nanosecondsPerMillisecond = 1e6;

function parseTime(text: string): Date {
  const date = new Date(text);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(text) || Number.isNaN(date.getTime()))
    throw new ValueError(`${JSON.stringify(text)} is not a time of RFC 3339`);
  return date;
}

const rfc3339 = (date: Date) => date.toISOString().replace(/\.\d+Z$/, "Z");

export const times: Record<string, HclFunction> = {
  formatdate: fixed(["string", "string"], (layout, time) => formatDate(layout, parseTime(time))),
  timeadd: fixed(["string", "string"], (time, duration) => {
    const minus = duration.startsWith("-");
    const nanoseconds = parseDuration(duration.replace(/^-/, ""));
    if (nanoseconds === undefined) throw new ValueError(`${JSON.stringify(duration)} is not a duration`);
    const change = (nanoseconds / nanosecondsPerMillisecond) * (minus ? -1 : 1);
    return rfc3339(new Date(parseTime(time).getTime() + change));
  }),
  timestamp: fixed([], () => rfc3339(new Date())),
  unixtimestampparse: fixed(["whole"], unixTime),
};

const english = (date: Date, options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat("en-US", { ...options, timeZone: "UTC" }).format(date);
const two = (value: number) => String(value).padStart(2, "0");
const twelve = (date: Date) => date.getUTCHours() % 12 || 12;

/** HCL's letters; all times are UTC. */
const letters: Record<string, (date: Date) => string> = {
  YYYY: (date) => String(date.getUTCFullYear()).padStart(4, "0"),
  YY: (date) => two(date.getUTCFullYear() % 100),
  MMMM: (date) => english(date, { month: "long" }),
  MMM: (date) => english(date, { month: "short" }),
  MM: (date) => two(date.getUTCMonth() + 1),
  M: (date) => String(date.getUTCMonth() + 1),
  DD: (date) => two(date.getUTCDate()),
  D: (date) => String(date.getUTCDate()),
  EEEE: (date) => english(date, { weekday: "long" }),
  EEE: (date) => english(date, { weekday: "short" }),
  hh: (date) => two(date.getUTCHours()),
  h: (date) => String(date.getUTCHours()),
  HH: (date) => two(twelve(date)),
  H: (date) => String(twelve(date)),
  AA: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
  aa: (date) => (date.getUTCHours() < 12 ? "am" : "pm"),
  mm: (date) => two(date.getUTCMinutes()),
  m: (date) => String(date.getUTCMinutes()),
  ss: (date) => two(date.getUTCSeconds()),
  s: (date) => String(date.getUTCSeconds()),
  ZZZZZ: () => "+00:00",
  ZZZZ: () => "+0000",
  ZZZ: () => "UTC",
  Z: () => "Z",
};

/** Rows of one letter, texts in single quotes, and what is no letter. */
const pieces = /([a-zA-Z])\1*|'((?:[^']|'')*)'|[^a-zA-Z']+/g;

function formatDate(layout: string, date: Date): string {
  return layout.replace(pieces, (piece, letter?: string, quoted?: string) => {
    if (quoted !== undefined) return quoted.replaceAll("''", "'");
    if (letter === undefined) return piece;
    const write = Object.hasOwn(letters, piece) ? letters[piece] : undefined;
    if (!write) throw new ValueError(`${JSON.stringify(piece)} is not a part of a date`);
    return write(date);
  });
}

const millisecondsPerDay = 86_400_000;

function unixTime(seconds: number): Value {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) throw new ValueError(`${seconds} is out of range`);
  const year = date.getUTCFullYear();
  return {
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    month: date.getUTCMonth() + 1,
    month_name: english(date, { month: "long" }),
    rfc3339: rfc3339(date),
    second: date.getUTCSeconds(),
    weekday: date.getUTCDay(),
    weekday_name: english(date, { weekday: "long" }),
    year,
    year_day: Math.floor((date.getTime() - Date.UTC(year, 0)) / millisecondsPerDay) + 1,
    ...isoWeek(date),
  };
}

/** ISO 8601: a week belongs to the year that its Thursday is in. */
function isoWeek(date: Date): { iso_week: number; iso_year: number } {
  const thursday = new Date(date);
  thursday.setUTCDate(date.getUTCDate() + 4 - (date.getUTCDay() || 7));
  const start = Date.UTC(thursday.getUTCFullYear(), 0);
  return {
    iso_year: thursday.getUTCFullYear(),
    iso_week: Math.ceil(((thursday.getTime() - start) / millisecondsPerDay + 1) / 7),
  };
}
