/** What templates work on: JSON, and values that Go's types give an order, a look and methods of their own. */

/** JSON; a function is a method that takes the arguments behind the field (`.Label "x"`). `undefined` is no value. */
export type Value =
  | undefined
  | null
  | string
  | number
  | boolean
  | Value[]
  | { [name: string]: Value }
  | Method
  | GoStruct
  | GoMap
  | Named;

export type Method = (...args: Value[]) => Value;

/** Go's nil slice: shown as an empty one, `null` in JSON. */
export const nilSlice: Value[] = [];

export interface StructField {
  name: string;
  json: string;
  omitEmpty: boolean;
  /** Its own fields are the struct's too. */
  embedded: boolean;
}

/** A struct: its fields have an order, and no others can be asked for. */
export class GoStruct {
  constructor(
    readonly type: string,
    readonly fields: readonly StructField[],
    readonly values: readonly Value[],
    readonly methods: Readonly<Record<string, (self: GoStruct) => Value>> = {},
  ) {}

  /** A field, one of an embedded struct, or what a method gives; `missing` when there is none. */
  get(name: string, missing: symbol): Value | symbol {
    const at = this.fields.findIndex((field) => field.name === name);
    if (at >= 0) return this.values[at];
    if (Object.hasOwn(this.methods, name)) return this.methods[name]!(this);
    for (const [i, { embedded }] of this.fields.entries()) {
      const inner = this.values[i];
      if (!embedded || !(inner instanceof GoStruct)) continue;
      const found = inner.get(name, missing);
      if (found !== missing) return found;
    }
    return missing;
  }
}

/** A map whose values have a type: what `index` gives for a key that isn't there is that type's zero. */
export class GoMap {
  constructor(
    readonly entries: Readonly<Record<string, Value>>,
    readonly zero: () => Value,
    readonly isNil: boolean,
  ) {}
}

/** A text or a number of a named type. */
export class Named {
  constructor(
    readonly value: string | number,
    readonly type: {
      name: string;
      show?: (value: never) => string;
      json?: (value: never) => string;
      methods?: Readonly<Record<string, (value: never) => Value>>;
    },
  ) {}

  toString(): string {
    return this.type.show ? this.type.show(this.value as never) : String(this.value);
  }
}

/** Without the name of its type. */
export const plain = (value: Value): Exclude<Value, Named> => (value instanceof Named ? value.value : value);

export type Dictionary = { [name: string]: Value };

/** A map's entries, typed or not; undefined for anything else. */
export function entriesOf(value: Value): Dictionary | undefined {
  if (value instanceof GoMap) return value.entries as Dictionary;
  if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
  return value instanceof GoStruct || value instanceof Named ? undefined : value;
}

/** Go's truth: empty strings, lists and maps, 0, false and nil are false; a struct is always true. */
export function truth(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof GoStruct) return true;
  if (value instanceof Named) return Boolean(value.value);
  const entries = entriesOf(value);
  return entries ? Object.keys(entries).length > 0 : Boolean(value);
}

/** A type as Go's messages name it. */
export function typeName(value: Value): string {
  if (value === null || value === undefined) return "<nil>";
  if (value instanceof GoStruct || value instanceof Named)
    return value.type instanceof Object ? value.type.name : value.type;
  if (Array.isArray(value)) return "[]interface {}";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  return typeof value === "function" ? "func" : "map[string]interface {}";
}

/** As Go marshals it: a struct's fields in their order, a map's by their names. */
export function toJson(value: Value): string {
  return JSON.stringify(jsonOf(value));
}

function jsonOf(value: Value): unknown {
  if (value === undefined || value === null || value === nilSlice) return null;
  if (Array.isArray(value)) return value.map(jsonOf);
  if (value instanceof Named) {
    const text = value.type.json?.(value.value as never);
    return text === undefined ? value.value : JSON.rawJSON(text);
  }
  if (value instanceof GoStruct) return Object.fromEntries(jsonFields(value));
  if (value instanceof GoMap) {
    if (value.isNil) return null;
    const names = Object.keys(value.entries).sort();
    return Object.fromEntries(names.map((name) => [name, jsonOf(value.entries[name])]));
  }
  if (typeof value !== "object") return typeof value === "function" ? undefined : value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, jsonOf(item)]));
}

function jsonFields(value: GoStruct): [string, unknown][] {
  return value.fields.flatMap(({ json, omitEmpty, embedded }, i): [string, unknown][] => {
    const item = value.values[i];
    if (json === "-") return [];
    if (embedded) return item instanceof GoStruct ? jsonFields(item) : [];
    return omitEmpty && !(item instanceof GoStruct) && !truth(item) ? [] : [[json, jsonOf(item)]];
  });
}
