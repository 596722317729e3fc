/** How functions are written: parameters by type, checked once for all of them. */
import type { Value } from "../types.ts";
import { toBoolean, toList, toMap, toNumber, toText, toWhole, ValueError, type ValueMap } from "../value.ts";

export type HclFunction = (...args: Value[]) => Value;

interface Kinds {
  any: Value;
  string: string;
  number: number;
  whole: number;
  bool: boolean;
  list: Value[];
  strings: string[];
  map: ValueMap;
}
type Kind = keyof Kinds;
type Values<P extends readonly Kind[]> = { [I in keyof P]: Kinds[P[I]] };

const convert: { [K in Kind]: (value: Value) => Kinds[K] } = {
  any: (value) => value,
  string: toText,
  number: toNumber,
  whole: toWhole,
  bool: toBoolean,
  list: toList,
  strings: (value) => toList(value).map(toText),
  map: toMap,
};

/** A function of a fixed number of arguments. */
export function fixed<const P extends readonly Kind[]>(
  parameters: P,
  run: (...args: Values<P>) => Value,
): HclFunction {
  return (...args) => {
    if (args.length !== parameters.length)
      throw new ValueError(`takes ${parameters.length} argument(s), not ${args.length}`);
    const all: unknown = args.map((value, i) => argument(parameters[i]!, value, i));
    return run(...(all as Values<P>));
  };
}

/** A function whose last arguments, all of one type, may be any number. */
export function variadic<const P extends readonly Kind[], K extends Kind>(
  parameters: P,
  rest: K,
  run: (...args: [...Values<P>, ...Kinds[K][]]) => Value,
): HclFunction {
  return (...args) => {
    if (args.length < parameters.length)
      throw new ValueError(`takes at least ${parameters.length} argument(s), not ${args.length}`);
    const all: unknown = args.map((value, i) => argument(parameters[i] ?? rest, value, i));
    return run(...(all as [...Values<P>, ...Kinds[K][]]));
  };
}

function argument(kind: Kind, value: Value, index: number): Kinds[Kind] {
  try {
    return convert[kind](value);
  } catch (error) {
    if (error instanceof ValueError) throw new ValueError(`argument ${index + 1}: ${error.message}`);
    throw error;
  }
}
