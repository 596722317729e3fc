import { HclError, type Place } from "./types.ts";

const identifier = /[\p{L}_][\p{L}\p{N}_-]*/uy;
const blank = /(?:[ \t\r]+|\/\*[\s\S]*?\*\/)+/y;
const blankLines = /(?:[ \t\r\n]+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const lineEnd = /[ \t\r]*(?:#[^\n]*|\/\/[^\n]*)?(?:\n|$)/y;

/** A place in a text that moves on as its parts are recognized. */
export class Cursor {
  /** Inside brackets, ends of lines are blanks. */
  #brackets = 0;

  constructor(
    readonly text: string,
    readonly file: string,
    public offset = 0,
    /** What this text is a part of: places are counted from there. */
    private readonly origin: Place = { file, line: 1, column: 1 },
  ) {}

  get place(): Place {
    return this.placeOf(this.offset);
  }

  placeOf(offset: number): Place {
    const before = this.text.slice(0, offset);
    const lastLine = before.lastIndexOf("\n");
    const lines = lastLine < 0 ? 0 : before.split("\n").length - 1;
    const { file, line, column } = this.origin;
    return { file, line: line + lines, column: lines === 0 ? column + offset : offset - lastLine };
  }

  get atEnd(): boolean {
    return this.offset >= this.text.length;
  }

  fail(reason: string, offset = this.offset): never {
    throw new HclError(this.placeOf(offset), reason);
  }

  /** Takes what a sticky pattern matches here. */
  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.offset;
    const match = pattern.exec(this.text);
    if (!match) return undefined;
    this.offset += match[0].length;
    return match;
  }

  /** Blanks and comments; ends of lines too when they don't matter here. */
  skip(): void {
    this.match(this.#brackets > 0 ? blankLines : blank);
  }

  skipLines(): void {
    this.match(blankLines);
  }

  /** Whether the line ends here; it is taken then. */
  endOfLine(): boolean {
    this.match(blank);
    return this.match(lineEnd) !== undefined;
  }

  startsWith(text: string): boolean {
    return this.text.startsWith(text, this.offset);
  }

  /** Takes `text` after blanks. */
  take(text: string): boolean {
    this.skip();
    if (!this.startsWith(text)) return false;
    this.offset += text.length;
    return true;
  }

  expect(text: string, where: string): void {
    if (!this.take(text)) this.fail(`expected ${JSON.stringify(text)} ${where}, found ${this.found()}`);
  }

  identifier(): string | undefined {
    this.skip();
    return this.match(identifier)?.[0];
  }

  /** Takes a word when it stands here alone. */
  word(text: string): boolean {
    const start = this.offset;
    if (this.identifier() === text) return true;
    this.offset = start;
    return false;
  }

  /** Reads what stands in brackets of any kind, where ends of lines don't matter. */
  inBrackets<T>(read: () => T): T {
    return this.#with(this.#brackets + 1, read);
  }

  /** Reads what is of one line again, though brackets stand around it. */
  inLine<T>(read: () => T): T {
    return this.#with(0, read);
  }

  #with<T>(brackets: number, read: () => T): T {
    const before = this.#brackets;
    this.#brackets = brackets;
    try {
      return read();
    } finally {
      this.#brackets = before;
    }
  }

  /** What stands here, for messages. */
  found(): string {
    if (this.atEnd) return "the end of the file";
    const rest = this.text.slice(this.offset);
    if (rest.startsWith("\n")) return "the end of the line";
    return JSON.stringify(/^(?:[\p{L}\p{N}_-]+|.)/u.exec(rest)?.[0] ?? rest[0]);
  }
}
