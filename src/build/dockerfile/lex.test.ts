import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DockerfileError } from "../errors.ts";
import { heredocOpeners, lex } from "./lex.ts";

const texts = (source: string) => lex(source, "Dockerfile").lines.map(({ text }) => text);

describe("logical lines", () => {
  test.each<[string, string, string[]]>([
    ["comments and blank lines go", "# a\n\n  # b\nRUN a\n", ["RUN a"]],
    ["continuations join", "RUN a \\\n  b \\\n  c\nRUN d", ["RUN a   b   c", "RUN d"]],
    ["comments inside continuations go", "RUN a \\\n# no\n  b", ["RUN a   b"]],
    ["blanks after the escape", "RUN a \\  \nb", ["RUN a b"]],
    ["an escaped escape ends the line", "RUN a \\\\\nRUN b", ["RUN a \\\\", "RUN b"]],
    ["a hash later in a line stays", "RUN echo # b", ["RUN echo # b"]],
    ["CRLF", "RUN a \\\r\n b\r\nRUN c\r\n", ["RUN a  b", "RUN c"]],
    ["a byte order mark", "\uFEFFRUN a", ["RUN a"]],
    ["the backtick escape", "# escape=`\nRUN a `\n b\\\nRUN c", ["RUN a  b\\", "RUN c"]],
    ["a late directive is a comment", "RUN a\n# escape=`\nRUN b `\n", ["RUN a", "RUN b `"]],
    ["a continuation that ends the file", "RUN a \\", ["RUN a"]],
  ])("%s", (_, source, expected) => {
    expect(texts(source)).toEqual(expected);
  });

  test("ranges count from 1 and span continuations and heredocs", () => {
    const { lines } = lex("# c\nRUN a \\\n b\n\nRUN <<E\nx\nE\nRUN c", "f");
    expect(lines.map(({ range }) => [range.line, range.endLine])).toEqual([
      [2, 3],
      [5, 7],
      [8, 8],
    ]);
  });

  test("an empty continuation line is warned of", () => {
    const { lines } = lex("RUN a \\\n\n b", "f");
    expect(lines[0]!.text).toBe("RUN a  b");
    expect(lines[0]!.emptyContinuation).toBe(true);
  });
});

describe("directives", () => {
  test("names are case-insensitive, blanks are free", () => {
    const { directives, esc } = lex("#  Syntax = docker/dockerfile:1 \n#escape=`\nRUN a", "f");
    expect([...directives]).toEqual([
      ["syntax", "docker/dockerfile:1"],
      ["escape", "`"],
    ]);
    expect(esc).toBe("`");
  });
  test.each([
    ["# escape=x\nRUN a", "invalid escape token"],
    ["# escape=`\n# escape=`\nRUN a", "only one escape parser directive can be used"],
  ])("%p is refused", (source, message) => {
    expect(() => lex(source, "f")).toThrow(message);
  });
});

describe("heredocs", () => {
  test.each<[string, ReturnType<typeof heredocOpeners>]>([
    ["RUN <<EOF", [{ name: "EOF", expand: true, chomp: false }]],
    ["RUN <<-EOF cat", [{ name: "EOF", expand: true, chomp: true }]],
    ["RUN <<'EOF'", [{ name: "EOF", expand: false, chomp: false }]],
    ['RUN <<"EOF"', [{ name: "EOF", expand: false, chomp: false }]],
    ["RUN 3<<EOF cat <&3", [{ name: "EOF", expand: true, chomp: false }]],
    ["RUN cat <<EOF>/x", [{ name: "EOF", expand: true, chomp: false }]],
    [
      "RUN <<A cat > a && <<B cat > b",
      [
        { name: "A", expand: true, chomp: false },
        { name: "B", expand: true, chomp: false },
      ],
    ],
    ['RUN echo "<<EOF"', []],
    ["RUN echo '<<EOF'", []],
    ["RUN echo $((1<<2))", []],
    ["RUN echo a<<EOF", []],
    ["RUN echo \\<<EOF", []],
    ["RUN cat <<<word", []],
  ])("%s", (text, expected) => {
    expect(heredocOpeners(text, "\\")).toEqual(expected);
  });

  test("bodies keep comments, blank lines and what looks like an instruction", () => {
    const { lines } = lex("COPY <<A <<-'B' /d/\n# x\n\nRUN y\nA\n\t$z\n\tB\nRUN q", "f");
    expect(lines[0]!.heredocs).toEqual([
      { name: "A", expand: true, content: "# x\n\nRUN y\n" },
      { name: "B", expand: false, content: "$z\n" },
    ]);
    expect(lines[1]!.text).toBe("RUN q");
  });

  test("without an end it is an error at its line", () => {
    const fails = () => lex("FROM a\nRUN <<EOF\nx", "Dockerfile");
    expect(fails).toThrow("dockerfile parse error on line 2: unterminated heredoc <<EOF");
  });

  test("only RUN, COPY and ADD open them, also as triggers", () => {
    expect(texts("CMD cat <<EOF\nRUN a")).toEqual(["CMD cat <<EOF", "RUN a"]);
    expect(texts("onbuild copy <<EOF /x\nhi\nEOF\nRUN a")).toEqual(["onbuild copy <<EOF /x", "RUN a"]);
  });
});

test("any text gives lines or a DockerfileError, and every line stands where it says", () => {
  const piece = fc.constantFrom(
    "RUN",
    " ",
    "a",
    "\\",
    "\n",
    "#",
    "<<E",
    "E",
    "'",
    '"',
    "`",
    "\t",
    "=",
    "\r\n",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const source = pieces.join("");
      try {
        for (const { text, range } of lex(source, "f").lines) {
          expect(text).not.toBe("");
          expect(range.endLine).toBeGreaterThanOrEqual(range.line);
          expect(range.endLine).toBeLessThanOrEqual(source.split("\n").length);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(DockerfileError);
      }
    }),
  );
});
