/**
 * Splits a command line into words by a POSIX shell's quoting rules (no variables, no globs): what Compose does
 * with `command: echo "a b"`.
 * @throws RangeError when a quote is left open or a backslash ends the line
 */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let index = 0; index < line.length; index++) {
    const character = line[index]!;
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'") {
      const end = line.indexOf("'", index + 1);
      if (end < 0) throw new RangeError("Unterminated single-quoted string");
      word = (word ?? "") + line.slice(index + 1, end);
      index = end;
    } else if (character === '"') {
      word ??= "";
      for (index++; line[index] !== '"'; index++) {
        if (index >= line.length) throw new RangeError("Unterminated double-quoted string");
        // Inside double quotes a backslash only escapes what a shell would treat specially there.
        if (line[index] === "\\" && /["\\$`\n]/.test(line[index + 1] ?? "")) index++;
        word += line[index];
      }
    } else if (character === "\\") {
      if (index + 1 >= line.length) throw new RangeError("Unterminated backslash-escape");
      word = (word ?? "") + line[++index];
    } else if (character === "#" && word === undefined) {
      break;
    } else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}
