import { divide } from "../evaluate.ts";
import { toNumber, ValueError } from "../value.ts";
import { fixed, type HclFunction, variadic } from "./define.ts";

const two = (run: (a: number, b: number) => number | boolean) => fixed(["number", "number"], run);
const one = (run: (a: number) => number) => fixed(["number"], run);

export const numbers: Record<string, HclFunction> = {
  absolute: one(Math.abs),
  add: two((a, b) => a + b),
  ceil: one(Math.ceil),
  divide: two(divide),
  floor: one(Math.floor),
  greaterthan: two((a, b) => a > b),
  greaterthanorequalto: two((a, b) => a >= b),
  int: one(Math.trunc),
  lessthan: two((a, b) => a < b),
  lessthanorequalto: two((a, b) => a <= b),
  log: two((a, base) => Math.log(a) / Math.log(base)),
  max: variadic(["number"], "number", Math.max),
  min: variadic(["number"], "number", Math.min),
  modulo: two((a, b) => a % b),
  multiply: two((a, b) => a * b),
  negate: one((a) => -a),
  parseint: fixed(["any", "whole"], (text, base) => parseInteger(String(text), base)),
  pow: two((a, b) => a ** b),
  signum: one(Math.sign),
  subtract: two((a, b) => a - b),
  range: variadic(["number"], "number", (first, ...rest) => range(first, rest)),
};

const digits = "0123456789abcdefghijklmnopqrstuvwxyz";

function parseInteger(text: string, base: number): number {
  if (base < 2 || base > 36) throw new ValueError(`base ${base} must be between 2 and 36`);
  const used = digits.slice(0, base);
  const valid = /^[+-]?/.exec(text)![0];
  const rest = text.slice(valid.length).toLowerCase();
  if (rest === "" || [...rest].some((digit) => !used.includes(digit)))
    throw new ValueError(`${JSON.stringify(text)} is not a whole number in base ${base}`);
  return Number.parseInt(text, base);
}

/** As much as anyone writes targets for. */
const longest = 1024;

/** `range(end)`, `range(start, end)`, `range(start, end, step)`. */
function range(first: number, [second, third]: number[]): number[] {
  const [start, end] = second === undefined ? [0, first] : [first, second];
  const step = toNumber(third ?? (end < start ? -1 : 1));
  if (step === 0) throw new ValueError("the step must not be zero");
  if (step > 0 !== end > start && end !== start) throw new ValueError("the step leads away from the end");
  const length = Math.ceil((end - start) / step);
  if (length > longest) throw new ValueError(`more than ${longest} numbers`);
  return Array.from({ length }, (_, i) => start + i * step);
}
