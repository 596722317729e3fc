/** Files in HCL's JSON syntax: objects are blocks where a block may stand, texts are templates. */
import { Cursor } from "./cursor.ts";
import { readTemplateText } from "./expression.ts";
import { type Attribute, type Block, type Body, type Expression, HclError } from "./types.ts";

/** The types of blocks that have a label, with those of the blocks in them, which have none. */
export type BlockTypes = Readonly<Record<string, readonly string[]>>;

/** @throws HclError */
export function parseJson(text: string, file: string, types: BlockTypes): Body {
  try {
    JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new HclError({ file, line: 1, column: 1 }, `not valid JSON: ${error.message}`);
  }
  const body: Body = { attributes: [], blocks: [] };
  for (const attribute of attributesOf(readJson(new Cursor(text, file)), "a Bake file")) {
    const inner = Object.hasOwn(types, attribute.name) ? types[attribute.name] : undefined;
    if (inner) body.blocks.push(...labelled(attribute, inner));
    else body.attributes.push(attribute);
  }
  return body;
}

function labelled({ name: type, value }: Attribute, inner: readonly string[]): Block[] {
  return listOf(value).flatMap((labels) =>
    attributesOf(labels, type).flatMap(({ name, value: contents, at }) =>
      listOf(contents).map((content) => ({ type, labels: [name], body: bodyOf(content, type, inner), at })),
    ),
  );
}

function bodyOf(value: Expression, what: string, types: readonly string[]): Body {
  const all = attributesOf(value, what);
  const isBlock = ({ name }: Attribute) => types.includes(name);
  return {
    attributes: all.filter((attribute) => !isBlock(attribute)),
    blocks: all
      .filter(isBlock)
      .flatMap(({ name: type, value: contents, at }) =>
        listOf(contents).map((content) => ({ type, labels: [], body: bodyOf(content, type, []), at })),
      ),
  };
}

/** One of a thing may stand alone. */
const listOf = (value: Expression): Expression[] => (value.kind === "tuple" ? value.items : [value]);

function attributesOf(value: Expression, what: string): Attribute[] {
  if (value.kind !== "object") throw new HclError(value.at, `${what} must be an object`);
  return value.entries.map(([key, value]) => {
    if (key.kind !== "literal") throw new HclError(key.at, "this name can't have a template in it");
    return { name: String(key.value), value, at: key.at };
  });
}

const blanks = /\s+/y;
const string = /"(?:[^"\\]|\\.)*"/y;
const scalar = /[^\s,\]}]+/y;

/** Reads what is known to be JSON, for its places. */
function readJson(cursor: Cursor): Expression {
  cursor.match(blanks);
  const at = cursor.place;
  const text = cursor.match(string);
  if (text) return readTemplateText(String(JSON.parse(text[0])), at);
  if (cursor.match(/\[/y))
    return { kind: "tuple", items: readItems(cursor, "]", () => readJson(cursor)), at };
  if (cursor.match(/\{/y)) {
    const readEntry = (): [Expression, Expression] => {
      const key = readJson(cursor);
      cursor.match(/\s*:/y);
      return [key, readJson(cursor)];
    };
    return { kind: "object", entries: readItems(cursor, "}", readEntry), at };
  }
  return { kind: "literal", value: JSON.parse(cursor.match(scalar)![0]), at };
}

function readItems<T>(cursor: Cursor, end: string, read: () => T): T[] {
  const items: T[] = [];
  for (;;) {
    cursor.match(/[\s,]+/y);
    if (cursor.startsWith(end)) {
      cursor.offset++;
      return items;
    }
    items.push(read());
  }
}
