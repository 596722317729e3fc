/**
 * A picture of what a terminal showed. Reads what a program wrote to a terminal of 104 columns (`script -O`) on stdin,
 * writes SVG: the commands of the arguments, each with its output. The first argument's last run is shown, and of each
 * other command the first after the one before it.
 */
import { Terminal } from "@xterm/headless";

const columns = 104;
const lineHeight = 18;
const left = 18;
const top = 50;
/** Of the 16 colours of a terminal those that our output has; on a dark ground. */
const palette: Record<number, string> = {
  1: "#ff7b72",
  2: "#7ee787",
  3: "#e3b341",
  4: "#79c0ff",
  6: "#76e3ea",
};
const ink = "#e6edf3";
const typed = "#7ee787";

interface Run {
  text: string;
  fill: string;
}

const commands = process.argv.slice(2);
const terminal = new Terminal({ cols: columns, rows: 40, scrollback: 100_000, allowProposedApi: true });
await new Promise<void>((done) => void Bun.stdin.bytes().then((bytes) => terminal.write(bytes, done)));
const lines = screenLines(terminal);
const shown: Run[][] = [];
let from = -1;
for (const command of commands) {
  const isIt = (line: Run[], at: number) => at > from && textOf(line).startsWith(`$ ${command}`);
  const at = from < 0 ? lines.findLastIndex(isIt) : lines.findIndex(isIt);
  if (at < 0) throw new Error(`the terminal did not show: $ ${command}`);
  if (from >= 0) shown.push([]);
  shown.push(...section(lines, at));
  from = at;
}
process.stdout.write(svg(shown));

/** All lines from the first on, those that the terminal broke joined again. */
function screenLines({ buffer: { active } }: Terminal): Run[][] {
  const all: Run[][] = [];
  for (let y = 0; y < active.length; y++) {
    const line = active.getLine(y)!;
    const runs: Run[] = [];
    for (let x = 0; x < line.length; x++) {
      const cell = line.getCell(x)!;
      const fill = cell.isFgPalette() ? (palette[cell.getFgColor()] ?? ink) : ink;
      const last = runs.at(-1);
      if (last?.fill === fill) last.text += cell.getChars() || " ";
      else runs.push({ text: cell.getChars() || " ", fill });
    }
    if (line.isWrapped) all.at(-1)?.push(...runs);
    else all.push(runs);
  }
  return all.map(trimmed);
}

function trimmed(runs: Run[]): Run[] {
  const kept = runs.map((run) => ({ ...run }));
  for (let last = kept.at(-1); last; last = kept.at(-1)) {
    last.text = last.text.trimEnd();
    if (last.text !== "") break;
    kept.pop();
  }
  return kept;
}

function textOf(runs: readonly Run[]): string {
  return runs.map(({ text }) => text).join("");
}

/** A command's line and what it said, up to the empty line before the next; warnings name files of where it ran. */
function section(lines: readonly Run[][], at: number): Run[][] {
  const rest = lines.slice(at + 1);
  const end = rest.findIndex((line) => /^(\$ |== )/.test(textOf(line)));
  const said = rest.slice(0, end < 0 ? undefined : end).filter((line) => !textOf(line).startsWith("WARN "));
  while (said.length > 0 && said.at(-1)!.length === 0) said.pop();
  return [[{ text: textOf(lines[at]!), fill: typed }], ...said];
}

function svg(lines: readonly Run[][]): string {
  const escaped = (text: string) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const longest = Math.max(...lines.map((line) => Bun.stringWidth(textOf(line))));
  // The advance of the usual fixed-width fonts is 0.6 of their size.
  const width = Math.ceil(longest * 13 * 0.6 + 2 * left);
  const height = top + lines.length * lineHeight;
  const rows = lines.flatMap((line, i) => {
    if (line.length === 0) return [];
    const spans = line.map(({ text, fill }) => `<tspan fill="${fill}">${escaped(text)}</tspan>`).join("");
    return `<text x="${left}" y="${top + i * lineHeight}" xml:space="preserve">${spans}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="13">
<title>script/quickstart on a terminal</title>
<rect width="${width}" height="${height}" rx="8" fill="#16181d"/>
<circle cx="20" cy="18" r="5" fill="#ff5f57"/><circle cx="38" cy="18" r="5" fill="#febc2e"/><circle cx="56" cy="18" r="5" fill="#28c840"/>
${rows.join("\n")}
</svg>
`;
}
