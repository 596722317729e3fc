import { expect, test } from "bun:test";
import fc from "fast-check";
import { declareTypes } from "./go-types.ts";
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
  ["{{len .Args}} {{len .Name}} {{len .Empty}}", "2 3 0"],
  ['{{index .Args 1}} {{index .Labels "a"}}{{index .Labels "zz"}}', "daemon off; 1<no value>"],
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
  [
    '{{printf "%q %x %05d %+d %t %T %T" .Args "hi" 42 7 true 1.5 .Args}}',
    '["-g" "daemon off;"] 6869 00042 +7 true float64 []interface {}',
  ],
  [
    '{{printf "%d" "x"}} {{printf "%s" 5}} {{printf "%s"}} {{printf "x" 1}}',
    "%!d(string=x) %!s(int=5) %!s(MISSING) x%!(EXTRA int=1)",
  ],
  ["{{1.5}} {{0x10}} {{1e3}} {{-3}} {{'a'}} {{true}}", "1.5 16 1000 -3 97 true"],
  ['{{print 1 2 "a" 3 4}}', "1 2a3 4"],
  ['{{define "t"}}<{{.}}>{{end}}{{template "t" .Name}}{{block "b" .Id}}{{len .}}{{end}}', "<web>16"],
  [
    '{{html "<a b=\\"c\\">"}} {{js "it\'s"}} {{urlquery "a b&c*"}} {{title "a-b c_d"}}',
    "&lt;a b=&#34;c&#34;&gt; it\\'s a+b%26c%2A A-B C_d",
  ],
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

const at = (column: number, text: string, message: string) =>
  `template: :1:${column}: executing "" at <${text}>: ${message}`;
const broken: [string, string][] = [
  ["{{.Name", "template: :1: unclosed action"],
  ["{{if .Name}}x", "template: :1: unexpected EOF"],
  ["{{end}}", "template: :1: unexpected {{end}}"],
  ["{{nope .Name}}", 'template: :1: function "nope" not defined'],
  ["{{$x}}", 'template: :1: undefined variable "$x"'],
  ["{{range .Args}}{{$x := .}}{{end}}{{$x}}", 'template: :1: undefined variable "$x"'],
  ["{{}}", "template: :1: missing value for command"],
  ["{{break}}", "template: :1: {{break}} outside {{range}}"],
  ['{{"a\nb"}}', "template: :1: unterminated quoted string"],
  ["{{1 | 2}}", "template: :1: non executable command in pipeline stage 2"],
  ["{{.Missing}}", at(2, ".Missing", "can't evaluate field Missing in type map[string]interface {}")],
  ["ab {{.State.X.Y}}", at(11, ".State.X.Y", "can't evaluate field X in type map[string]interface {}")],
  ["{{.Nothing.X}}", at(10, ".Nothing.X", "nil pointer evaluating interface {}.X")],
  ["{{index .Args  9}}", at(2, "index .Args 9", "error calling index: index out of range: 9")],
  ['{{.Name "x"}}', at(2, ".Name", "Name is not a method but has arguments")],
  ["{{.Label}}", at(2, ".Label", "wrong number of args for Label: want 1 got 0")],
  ["{{upper .Args}}", at(8, ".Args", "wrong type for value; expected string; got []interface {}")],
  ["{{nil}}", at(2, "nil", "nil is not a command")],
  ['{{template "x"}}', at(2, '{{template "x"}}', 'template "x" not defined')],
  ["{{eq .Name 1}}", at(2, "eq .Name 1", "error calling eq: incompatible types for comparison")],
];
test.each(broken)("%s is refused", (source, message) => {
  expect(() => compileTemplate(source)(data)).toThrow(new TemplateError(message));
});

const types = declareTypes({
  "demo.Thing": `
    *Base
    Wait duration ,omitempty
    When time
    Labels map[]string
    Limits []*Ulimit
    Mode NetworkMode
    Init *bool`,
  "demo.Base": `
    ID string Id
    Size int ,omitempty`,
  "units.Ulimit": `
    Name string
    Hard int
    Soft int`,
});
const thing = types["demo.Thing"]({
  Id: "x",
  Wait: 90_500_000_000,
  When: "2026-01-02T03:04:05.120Z",
  Limits: [{ Name: "nofile", Hard: 2, Soft: 1 }],
  Mode: "container:c",
});
const typedCases: [string, string][] = [
  ["{{.ID}} {{.Size}} {{.Init}} {{.Labels}}", "x 0 <nil> map[]"],
  ["{{.Wait}} {{.Wait.Minutes}} {{gt .Wait 1}}", "1m30.5s 1.5083333333333333 true"],
  [
    "{{.Limits}} {{.Mode}} {{.Mode.IsContainer}} {{.Mode.ConnectedContainer}}",
    "[nofile=1:2] container:c true c",
  ],
  ['{{.Labels.a}} {{index .Labels "a"}}|', "<no value> |"],
  ["{{printf `%+v` .Base}} {{.Base}}", "{ID:x Size:0} {x 0}"],
  [
    "{{json .}}",
    '{"Id":"x","Wait":90500000000,"When":"2026-01-02T03:04:05.12Z","Labels":null,"Limits":[{"Name":"nofile","Hard":2,"Soft":1}],"Mode":"container:c","Init":null}',
  ],
];
test.each(typedCases)("of Go's types: %s", (source, expected) => {
  expect(compileTemplate(source)(thing, "no value")).toBe(expected);
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
