/** Changes to a text: what stands from `start` to `end` (UTF-16 offsets) is replaced. */
export interface TextEdit {
  start: number;
  end: number;
  text: string;
}

/** Applies edits of one text; of two that overlap the first is done, the other is left for another time. */
export function applyEdits(source: string, edits: readonly TextEdit[]): string {
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  let result = "";
  let at = 0;
  for (const { start, end, text } of sorted) {
    if (start < at || end < start || end > source.length) continue;
    result += source.slice(at, start) + text;
    at = end;
  }
  return result + source.slice(at);
}
