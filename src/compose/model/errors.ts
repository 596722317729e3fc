import { InvalidParameter } from "../../lib/errors.ts";
import type { Position } from "./node.ts";

/** One thing that is wrong in a Compose file, and what to do about it. */
export interface Problem {
  at?: Position;
  message: string;
  /** What to do; a sentence without full stop. */
  hint?: string;
}

/** A Compose file that can't be used as written. Carries every problem found at that step. */
export class ComposeError extends InvalidParameter {
  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
  }
  static at(at: Position | undefined, message: string, hint?: string): ComposeError {
    return new ComposeError([{ at, message, hint }]);
  }
}

/** `compose.yaml:3:5: services.web ... (did you mean "image"?)` */
export function formatProblem({ at, message, hint }: Problem): string {
  const place = at ? `${at.file}:${at.line}:${at.column}: ` : "";
  return `${place}${message}${hint ? ` (${hint})` : ""}`;
}

/** The known name closest to what was written, when it is close enough to be a slip of the fingers. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let distance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const d = editDistance(name, candidate, distance);
    if (d < distance) [best, distance] = [candidate, d];
  }
  return best;
}

/** Hint text for an unknown name: the nearest one if there is one. */
export function didYouMean(name: string, known: Iterable<string>): string | undefined {
  const best = nearest(name, known);
  return best === undefined ? undefined : `did you mean "${best}"?`;
}

/** Levenshtein's distance with transpositions; gives up at `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
          ? before[j - 2]! + 1
          : Number.POSITIVE_INFINITY;
      row.push(
        Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1), swap),
      );
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
