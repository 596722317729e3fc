/** Building blocks of the bodies' schemas. Go writes an absent slice, map or pointer as null, and so may clients. */
import * as v from "valibot";
import { InvalidParameter, NotImplemented } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";

/** `missing` stands for a field that is absent or null. */
export function field<S extends v.GenericSchema, D>(schema: S, missing: D) {
  return v.optional(
    v.pipe(
      v.nullable(schema),
      v.transform((value): v.InferOutput<S> | D => value ?? missing),
    ),
    missing as never,
  );
}

/** A text; like the builders below it takes null for absent. */
export const text = (missing = "") => field(v.string("a text is wanted"), missing);
export const maybeText = field(v.string("a text is wanted"), undefined);
export const flag = (missing = false) => field(v.boolean("true or false is wanted"), missing);
export const whole = v.pipe(v.number("a number is wanted"), v.safeInteger("a whole number is wanted"));
/** Docker's unsigned numbers. */
export const natural = v.pipe(whole, v.minValue(0, "a number from 0 on is wanted"));
export const integer = (missing = 0) => field(whole, missing);
export const maybeInteger = field(whole, undefined);
export const strings = v.array(v.string("a text is wanted"), "a list of texts is wanted");
export const stringMap = v.record(v.string(), v.string("a text is wanted"), "an object with texts is wanted");
/** Go's set: `{"80/tcp": {}}`. */
export const set = v.record(
  v.string(),
  v.pipe(
    v.nullable(v.looseObject({})),
    v.transform((): object => ({})),
  ),
  "an object is wanted",
);

/** A command line: a list, or as old clients send it one text. */
export const commandLine = v.union(
  [
    strings,
    v.pipe(
      v.string(),
      v.transform((word) => [word]),
    ),
  ],
  "a list of texts is wanted",
);

/** Fields that Docker has and Gantry does not: an error when they ask for something, so that nothing is ignored. */
export function refuse(body: Record<string, unknown>, names: readonly string[], where: string): void {
  for (const name of names)
    if (asksForSomething(body[name])) throw new NotImplemented(`${where}.${name} is not supported yet`);
}

/** An object whose fields of these `names` ask for nothing; the step before its own schema in a pipe. */
export const refusing = (names: readonly string[], where: string) =>
  v.pipe(
    v.looseObject({}, "an object is wanted"),
    v.transform((body): Record<string, unknown> => {
      refuse(body, names, where);
      return body;
    }),
  );

function asksForSomething(value: unknown): boolean {
  if (value === null || value === undefined || value === "" || value === 0 || value === false) return false;
  if (Array.isArray(value)) return value.length > 0;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** `linux/arm64/v8` @throws InvalidParameter */
export function parsePlatform(platform: string) {
  if (platform === "") return undefined;
  const [os, architecture, variant, ...rest] = platform.toLowerCase().split("/");
  if (!os || !architecture || rest.length > 0)
    throw new InvalidParameter(
      `${JSON.stringify(platform)} is an invalid platform: os/architecture is wanted`,
    );
  return { os, architecture, variant };
}

/** `linux/amd64,linux/arm64`, each once. @throws InvalidParameter */
export function parsePlatformList(text: string): Platform[] {
  const names = new Set(text.split(",").map((name) => name.trim()));
  return [...names].map(parsePlatform).filter((platform) => platform !== undefined);
}

const platformSchema = v.object({
  os: v.pipe(v.string(), v.minLength(1)),
  architecture: v.pipe(v.string(), v.minLength(1)),
  variant: v.optional(v.string()),
  "os.version": v.optional(v.string()),
});
const platformsSchema = v.union([
  v.pipe(
    platformSchema,
    v.transform((platform) => [platform]),
  ),
  v.array(platformSchema),
]);

/** `{"os":"linux","architecture":"arm64"}`, or an array of such; `linux/arm64` too. @throws InvalidParameter */
export function parsePlatforms(text: string): Platform[] {
  if (!/^\s*[[{]/.test(text)) return [parsePlatform(text)].filter((platform) => platform !== undefined);
  try {
    return v.parse(platformsSchema, JSON.parse(text));
  } catch (error) {
    throw new InvalidParameter(`failed to parse platform: ${text}`, { cause: error });
  }
}
