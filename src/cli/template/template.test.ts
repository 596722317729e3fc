import { expect, test } from "bun:test";
import fc from "fast-check";
import { compileTemplate, TemplateError, type Value } from "./index.ts";

const data: Value = {
  Name: "web",
  Id: "0123456789abcdef",
  State: { Running: true, ExitCode: 0, Status: "running" },
  Args: ["-g", "daemon off;"],
  Labels: { b: "2", a: "1" },
  Nothing: null,
  Empty: [],
  Ports: [{ Private: 80 }, { Private: 443 }],
  Label: (name) => `label-${name}`,
};

const cases: [string, string][] = [
  ["plain", "plain"],
  ["{{.Name}}", "web"],
  ["{{ .State.Status }}/{{.State.ExitCode}}", "running/0"],
  ["{{.State.Running}} {{.Nothing}} {{.Args}} {{.Labels}}", "true <nil> [-g daemon off;] map[a:1 b:2]"],
  ["{{json .State}}", '{"Running":true,"ExitCode":0,"Status":"running"}'],
  ["{{.Args | json}}", '["-g","daemon off;"]'],
  ['{{join .Args ", "}}', "-g, daemon off;"],
  ['{{upper .Name}} {{lower "ABC"}} {{title .Name}}', "WEB abc Web"],
  ["{{len .Args}} {{len .Name}} {{len .Nothing}}", "2 3 0"],
  ['{{index .Args 1}} {{index .Labels "a"}}{{index .Labels "zz"}}', "daemon off; 1"],
  ["{{(index .Ports 1).Private}}", "443"],
  ["{{range .Args}}<{{.}}>{{end}}", "<-g><daemon off;>"],
  ["{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"],
  ["{{range $i, $p := .Ports}}{{if $i}},{{end}}{{$p.Private}}{{end}}", "80,443"],
  ["{{range .Empty}}x{{else}}none{{end}}", "none"],
  ["{{range .Args}}{{$.Name}} {{end}}", "web web "],
  ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
  ["{{if .Nothing}}a{{else if .Empty}}b{{else}}c{{end}}", "c"],
  ["{{if and .Name (eq .State.ExitCode 0)}}ok{{end}}", "ok"],
  ['{{if or .Nothing (ne .Name "web")}}x{{end}}', ""],
  ["{{with .State}}{{.Status}}{{end}}{{with .Nothing}}x{{else}}!{{end}}", "running!"],
  ['{{$x := .Name}}{{$x}}{{if true}}{{$x = "n"}}{{end}}{{$x}}', "webn"],
  ['{{printf "%s-%d|%-5s|%5s|%q|%v" .Name 7 "a" "b" "c" .Args}}', 'web-7|a    |    b|"c"|[-g daemon off;]'],
  ['{{println "a" 1}}', "a 1\n"],
  ["a {{- .Name -}} b", "awebb"],
  ["a{{/* comment }} */}}b", "ab"],
  ['{{.Label "x"}} {{.Label "y" | upper}}', "label-x LABEL-Y"],
  ['{{split "a:b" ":" | json}}', '["a","b"]'],
  ['{{`raw\\n`}}{{"\\t"}}', "raw\\n\t"],
  ["{{slice .Id 0 4}} {{truncate .Id 3}}", "0123 012"],
  ['{{lt 1 2}} {{ge "b" "a"}} {{not .Nothing}} {{eq .Name "a" "web"}}', "true true true true"],
  ['{{range .Args}}{{if eq . "daemon off;"}}{{break}}{{end}}{{.}}{{end}}', "-g"],
  ["{{pad .Name 1 2}}|", " web  |"],
];
test.each(cases)("%s", (source, expected) => {
  expect(compileTemplate(source)(data)).toBe(expected);
});

const broken: [string, string][] = [
  ["{{.Name", "unclosed action"],
  ["{{if .Name}}x", "unexpected EOF"],
  ["{{end}}", "unexpected {{end}}"],
  ["{{nope .Name}}", 'function "nope" not defined'],
  ["{{.Missing}}", "can't evaluate field Missing"],
  ["{{.Nothing.X}}", 'nil data; no entry for key "X"'],
  ["{{$x}}", 'undefined variable "$x"'],
  ["{{index .Args 9}}", "error calling index: index out of range: 9"],
  ["{{}}", "missing value for command"],
  ['{{.Name "x"}}', "Name is not a method but has arguments"],
];
test.each(broken)("%s is refused", (source, message) => {
  expect(() => compileTemplate(source)(data)).toThrow(new TemplateError(message));
});

test("any text either runs or is refused as a TemplateError", () => {
  const words = fc.constantFrom(
    "{{",
    "}}",
    ".Name",
    "range",
    "end",
    "if",
    " ",
    "(",
    ")",
    "|",
    '"',
    "$x",
    ":=",
    "else",
    "-",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 3 })), { maxLength: 12 }), (parts) => {
      try {
        compileTemplate(parts.join(""))(data);
      } catch (error) {
        expect(error).toBeInstanceOf(TemplateError);
      }
    }),
    { numRuns: 2000 },
  );
});
