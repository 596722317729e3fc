/** How far work is, in the pictures of Docker's clients. */
import { humanSize } from "./human-size.ts";

/** Bytes; without `total` nobody knows how many there will be. */
export interface Progress {
  current?: number;
  total?: number;
}

/** Columns of Docker's bar, without its brackets. */
export const dockersBar = 50;

/** `[====>     ]`. @param width columns between the brackets, and one for the head in the end */
export function bar({ current = 0, total = 1 }: Progress, width: number): string {
  const filled = Math.min(width, Math.floor((current / total) * width));
  return `[${"=".repeat(filled)}>${" ".repeat(width - filled)}]`;
}

/** ` 3.408MB/6.042MB`; empty when nothing is known. */
export function amounts({ current = 0, total = 0 }: Progress): string {
  if (current <= 0 && total <= 0) return "";
  const shown = humanSize(current).padStart(8);
  // More than all is no answer to how much is left.
  return total <= 0 || current > total ? shown : `${shown}/${humanSize(total)}`;
}

/** Bar and amounts, as dockerd writes them into its messages for clients that draw nothing themselves. */
export function progressText(progress: Progress): string {
  const numbers = amounts(progress);
  return (progress.total ?? 0) > 0 && numbers !== "" ? `${bar(progress, dockersBar)} ${numbers}` : numbers;
}
