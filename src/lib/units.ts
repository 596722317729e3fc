import { InvalidParameter } from "./errors.ts";

const binary: Record<string, number> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  p: 2 ** 50,
};

/** `10m`, `1.5GiB`, `512` as bytes; units are powers of 1024, as in Docker's limits. @throws InvalidParameter */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) throw new InvalidParameter(`invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * binary[match[2]!.toLowerCase()]!);
}
