import { constants } from "node:os";
import { InvalidParameter } from "../../lib/errors.ts";

/** `SIGTERM`, `TERM` or `15`. @throws InvalidParameter */
export function parseSignal(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0 && number <= 64) return number;
  const name = text.toUpperCase().replace(/^(SIG)?/, "SIG");
  const real = /^SIGRT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (real) return (real[1] === "MIN" ? 34 : 64) + (real[2] === "-" ? -1 : 1) * Number(real[3] ?? 0);
  const known = (constants.signals as Record<string, number>)[name];
  if (known === undefined) throw new InvalidParameter(`Invalid signal: ${text}`);
  return known;
}
