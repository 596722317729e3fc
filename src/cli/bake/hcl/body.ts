/** Files in HCL's native syntax: attributes and blocks. */
import { Cursor } from "./cursor.ts";
import { readExpression } from "./expression.ts";
import { type Block, type Body, HclError } from "./types.ts";

/** @throws HclError */
export function parseHcl(text: string, file: string): Body {
  const cursor = new Cursor(text.replace(/^\uFEFF/, ""), file);
  const body = readBody(cursor);
  if (!cursor.atEnd) cursor.fail(`expected an attribute or a block, found ${cursor.found()}`);
  return body;
}

/** Reads to the end of the text or a closing brace, which stays. */
function readBody(cursor: Cursor): Body {
  const body: Body = { attributes: [], blocks: [] };
  for (;;) {
    cursor.skipLines();
    if (cursor.atEnd || cursor.startsWith("}")) return body;
    const at = cursor.place;
    // In JSON's manner, names of attributes may be quoted.
    const name = cursor.identifier() ?? readLabel(cursor);
    if (name === undefined) cursor.fail(`expected an attribute or a block, found ${cursor.found()}`);
    if (cursor.take("=")) {
      if (body.attributes.some((attribute) => attribute.name === name))
        throw new HclError(at, `the attribute ${JSON.stringify(name)} is set twice`);
      body.attributes.push({ name, value: readExpression(cursor), at });
      endLine(cursor, "an attribute");
    } else body.blocks.push(readBlock(cursor, name, at));
  }
}

function readBlock(cursor: Cursor, type: string, at: Block["at"]): Block {
  const labels: string[] = [];
  for (;;) {
    const label = cursor.identifier() ?? readLabel(cursor);
    if (label === undefined) break;
    labels.push(label);
  }
  if (!cursor.take("{")) cursor.fail(`expected "=" or "{" after ${type}, found ${cursor.found()}`);
  const body = readBody(cursor);
  if (!cursor.take("}")) throw new HclError(at, `this block has no closing brace`);
  // A block in a block of one line may be followed by the outer's end.
  cursor.skip();
  if (!cursor.startsWith("}")) endLine(cursor, "a block");
  return { type, labels, body, at };
}

function readLabel(cursor: Cursor): string | undefined {
  cursor.skip();
  const match = cursor.match(/"((?:[^"\\\n]|\\.)*)"/y);
  return match ? match[1]!.replace(/\\(.)/g, "$1") : undefined;
}

function endLine(cursor: Cursor, what: string): void {
  cursor.skip();
  if (cursor.startsWith("}") || cursor.endOfLine()) return;
  cursor.fail(`expected a new line after ${what}, found ${cursor.found()}`);
}
