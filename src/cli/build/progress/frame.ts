/** One picture of a running build, as lines for a terminal: a pure function of what is known. */
import { lastState, visibleLine } from "../../../lib/picture.ts";
import { humanSize } from "../../format/units.ts";
import { amount, type BuildView, type VertexView } from "./view.ts";

export interface FrameOptions {
  columns: number;
  rows: number;
  /** Milliseconds since the epoch, of our clock; and when the build began. */
  now: number;
  began: number;
  colour: boolean;
  /** The build is over: all of it is shown, whatever the terminal's height. */
  ended?: "finished" | "failed";
}

/** Lines of a running step's output below it. */
const outputLines = 6;

const blue = "34";
const red = "31";
const dim = "2";

export function renderFrame({ vertices }: BuildView, options: FrameOptions): string[] {
  const { now, began, ended } = options;
  const done = vertices.filter(({ completed }) => completed !== undefined).length;
  const state = ended === "finished" ? " FINISHED" : ended === "failed" ? " ERROR" : "";
  const head = `[+] Building ${seconds(now - began)} (${done}/${vertices.length})${state}`;
  const groups = vertices.map((vertex) => renderVertex(vertex, options));
  const body = ended ? groups.flat() : fit(groups, vertices, options.rows - 2);
  return [paint(cut(head, options.columns), state === " ERROR" ? red : blue, options.colour), ...body];
}

/** What runs is shown first; then as many of the last steps that are over as there is room for. */
function fit(groups: string[][], vertices: readonly VertexView[], rows: number): string[] {
  const running = vertices.map(({ completed }) => completed === undefined);
  let room = rows;
  // Each running step has its own line before any has lines of output.
  const heights = groups.map((_, i) => (running[i] ? Math.min(1, Math.max(0, room--)) : 0));
  groups.forEach((group, i) => {
    if (!running[i] || heights[i] === 0) return;
    const more = Math.min(group.length - 1, Math.max(0, room));
    heights[i]! += more;
    room -= more;
  });
  for (let i = groups.length - 1; i >= 0 && room > 0; i--) {
    if (running[i]) continue;
    heights[i] = Math.min(groups[i]!.length, room);
    room -= heights[i]!;
  }
  return groups.flatMap((group, i) => {
    const height = heights[i]!;
    // Of a step's output its end matters, not its beginning.
    return height <= 1 ? group.slice(0, height) : [group[0]!, ...group.slice(group.length - height + 1)];
  });
}

function renderVertex(vertex: VertexView, options: FrameOptions): string[] {
  const { now, colour, columns, ended } = options;
  const { name, cached, completed, started, error, statuses, seen, tail } = vertex;
  const took = completed === undefined ? now - seen : completed - started;
  const mark = error !== undefined ? "ERROR " : cached ? "CACHED " : "";
  const style = error !== undefined ? red : completed === undefined ? "" : blue;
  const lines = [paint(row(` => ${mark}${shown(name)}`, seconds(took), columns), style, colour)];
  for (const status of statuses.values()) {
    if (completed !== undefined && !status.completed) continue;
    const size = amount(status, (bytes) => humanSize(bytes, 3));
    const time = seconds((status.completed ? status.at : Math.max(status.at, now)) - status.started);
    lines.push(paint(row(` => => ${shown(status.name)} ${size}`.trimEnd(), time, columns), style, colour));
  }
  if (completed === undefined && !ended) {
    const said = tail.map(shown).filter(Boolean).slice(-outputLines);
    for (const text of said) lines.push(paint(cut(` => => # ${text}`, columns), dim, colour));
  }
  return lines;
}

/** A text with a time at the right edge. */
function row(text: string, time: string, columns: number): string {
  const room = columns - time.length - 1;
  const shown = cut(text, room);
  return `${shown}${" ".repeat(Math.max(0, room - Bun.stringWidth(shown)))}${time}`;
}

/** As many characters as fit into so many columns; one is left free, for some terminals break the line at the last. */
function cut(text: string, columns: number): string {
  const room = Math.max(1, columns - 1);
  if (Bun.stringWidth(text) <= room) return text;
  let shown = "";
  let width = 0;
  for (const char of text) {
    width += Bun.stringWidth(char);
    if (width > room) break;
    shown += char;
  }
  return shown;
}

/** No terminal is as wide as this: what is longer is not looked at. */
const widest = 4096;

const shown = (text: string) => visibleLine(lastState(text).slice(0, widest)).replaceAll("\t", "    ");

const paint = (text: string, style: string, colour: boolean) =>
  colour && style !== "" ? `\x1b[${style}m${text}\x1b[0m` : text;

const seconds = (milliseconds: number) => `${(Math.max(0, milliseconds) / 1000).toFixed(1)}s`;
