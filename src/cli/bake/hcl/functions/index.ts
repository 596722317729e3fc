/** The functions of Bake files: HCL's standard library and Bake's own. `try` and `can` are in evaluate.ts. */
import { collections } from "./collections.ts";
import type { HclFunction } from "./define.ts";
import { encodings } from "./encodings.ts";
import { numbers } from "./numbers.ts";
import { texts } from "./texts.ts";
import { times } from "./times.ts";

export type { HclFunction } from "./define.ts";

export const functions: Readonly<Record<string, HclFunction>> = {
  ...collections,
  ...encodings,
  ...numbers,
  ...texts,
  ...times,
};
