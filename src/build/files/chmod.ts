/** `--chmod`: octal (`755`, `0o1755`) or symbolic (`u=rwX,go=rX`), as chmod(1) reads it. */

/** From a file's mode (permission bits) to its new one. */
type ModeChange = (mode: number, directory: boolean) => number;

export interface Chmod {
  change: ModeChange;
  /** Of directories that are made on the way: octal counts for them too; undefined: symbolic does not. */
  made?: number;
}

const letters: Record<string, number> = { r: 0o4, w: 0o2, x: 0o1 };

/** undefined: not a mode. */
export function parseChmod(text: string): Chmod | undefined {
  if (/^0?o?[0-7]{1,4}$|^0[0-7]{4}$/.test(text)) {
    const mode = Number.parseInt(text.replace("o", ""), 8);
    return { change: () => mode, made: mode };
  }
  const clauses: ModeChange[] = [];
  for (const clause of text.split(",")) {
    const match = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/.exec(clause);
    if (!match) return undefined;
    const who = match[1] === "" || match[1]!.includes("a") ? "ugo" : match[1]!;
    for (const [, operator, what] of match[2]!.matchAll(/([-+=])([ugo]|[rwxXst]*)/g)) {
      clauses.push(change(who, operator!, what!));
    }
  }
  return { change: (mode, directory) => clauses.reduce((now, next) => next(now, directory), mode) };
}

const shift: Record<string, number> = { u: 6, g: 3, o: 0 };
const special: Record<string, number> = { u: 0o4000, g: 0o2000, o: 0 };

function change(who: string, operator: string, what: string): ModeChange {
  return (mode, directory) => {
    let bits = 0;
    let clear = 0;
    for (const w of who) {
      bits |= permissions(what, mode, directory) << shift[w]!;
      if (what.includes("s")) bits |= special[w]!;
      clear |= 0o7 << shift[w]!;
      // chmod(1) leaves a directory's set-id bits alone unless they are named.
      if (!directory) clear |= special[w]!;
    }
    // As set-id, the sticky bit is nothing that others have.
    if (what.includes("t") && /[ug]/.test(who)) bits |= 0o1000;
    if (operator === "+") return mode | bits;
    if (operator === "-") return mode & ~bits;
    return (mode & ~clear) | bits;
  };
}

function permissions(what: string, mode: number, directory: boolean): number {
  let bits = 0;
  for (const letter of what) {
    bits |= letters[letter] ?? 0;
    if (letter === "X" && (directory || (mode & 0o111) !== 0)) bits |= 0o1;
    if (letter in shift) bits |= (mode >> shift[letter]!) & 0o7;
  }
  return bits;
}
