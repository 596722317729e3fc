/** Columns as Go's tabwriter lays them out with Docker's settings: at least 10 wide, 3 spaces between. */
const minWidth = 10;
const padding = 3;

/**
 * Lines of tab-separated cells, aligned. The last cell of a line belongs to no column; a column is as wide as its
 * widest cell in a run of consecutive lines that have it.
 */
export function alignColumns(text: string, least = minWidth): string {
  const lines = text.split("\n").map((line) => line.split("\t"));
  const out = lines.map(() => "");
  const columns = Math.max(...lines.map((cells) => cells.length)) - 1;
  for (let column = 0; column < columns; column++) {
    for (let start = 0; start < lines.length; ) {
      let end = start;
      while (end < lines.length && lines[end]!.length > column + 1) end++;
      const run = lines.slice(start, end).map((cells) => cells[column]!);
      const width = Math.max(least, ...run.map((cell) => columnsOf(cell) + padding));
      run.forEach((cell, i) => {
        out[start + i] += cell + " ".repeat(width - columnsOf(cell));
      });
      start = end + 1;
    }
  }
  return lines.map((cells, i) => out[i]! + cells.at(-1)).join("\n");
}

const isAscii = /^[ -~]*$/;

/** The number of code points. */
function columnsOf(text: string): number {
  if (isAscii.test(text)) return text.length;
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
