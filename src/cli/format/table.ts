/** Columns as Go's tabwriter lays them out with Docker's settings: at least 10 wide, 3 spaces between. */
const minWidth = 10;
const padding = 3;

/**
 * Lines of tab-separated cells, aligned. The last cell of a line belongs to no column; a column is as wide as its
 * widest cell in a run of consecutive lines that have it.
 *
 * Loops instead of callbacks and regular expressions, whose first use costs a short command more than its table.
 */
export function alignColumns(text: string, least = minWidth): string {
  const lines: string[][] = [];
  let columns = 0;
  for (const line of text.split("\n")) {
    const cells = line.split("\t");
    lines.push(cells);
    columns = Math.max(columns, cells.length - 1);
  }
  const ascii = new TextEncoder().encode(text).length === text.length;
  const out = Array<string>(lines.length).fill("");
  for (let column = 0; column < columns; column++) {
    for (let start = 0; start < lines.length; ) {
      let end = start;
      let width = least;
      for (; end < lines.length && lines[end]!.length > column + 1; end++) {
        const cell = lines[end]![column]!;
        width = Math.max(width, (ascii ? cell.length : codePoints(cell)) + padding);
      }
      for (; start < end; start++) {
        const cell = lines[start]![column]!;
        out[start] += cell.padEnd(ascii ? width : width + cell.length - codePoints(cell));
      }
      start = end + 1;
    }
  }
  for (let i = 0; i < lines.length; i++) {
    const cells = lines[i]!;
    out[i] += cells[cells.length - 1]!;
  }
  return out.join("\n");
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Cuts to `length` code points, the last of them an ellipsis. */
export function ellipsis(text: string, length: number): string {
  if (text.length <= length) return text;
  const points = [...text];
  return points.length <= length ? text : `${points.slice(0, length - 1).join("")}…`;
}
