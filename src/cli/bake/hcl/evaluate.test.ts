// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are HCL's own.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseHcl } from "./body.ts";
import { evaluate, type Scope } from "./evaluate.ts";
import { functions } from "./functions/index.ts";
import { parseJson } from "./json.ts";
import { HclError, type Value } from "./types.ts";

const variables: Record<string, Value> = {
  name: "world",
  list: ["a", "b", "c"],
  map: { b: 2, a: 1 },
  people: [
    { name: "Ann", age: 41 },
    { name: "Bob", age: 12 },
  ],
  none: null,
  yes: true,
};
const scope: Scope = { variable: (name) => variables[name], function: (name) => functions[name] };
const resultOf = (text: string) => evaluate(parseHcl(`x = ${text}`, "f.hcl").attributes[0]!.value, scope);

describe("expressions", () => {
  test.each<[string, Value]>([
    ["1 + 2 * 3", 7],
    ["(1 + 2) * 3 - -1", 10],
    ["7 % 4 == 3 && !false || false", true],
    ['2 > 1 ? "more" : "less"', "more"],
    ['true ? 1 : "x"', "1"],
    ["1.5e2", 150],
    ['"a\\tb\\u00e9\\""', 'a\tbé"'],
    ['"hello ${name}!"', "hello world!"],
    ['"${list}"', ["a", "b", "c"]],
    ['"$${name} %%{x}"', "${name} %{x}"],
    ['"n=${1 + 1}"', "n=2"],
    ['"%{ if yes }on%{ else }off%{ endif }"', "on"],
    ['"%{ for i, x in list ~} ${i}${x} %{~ endfor }"', "0a1b2c"],
    ["<<EOT\n  one ${name}\n two\nEOT", "  one world\n two\n"],
    ["<<-EOT\n    one\n      two\n    EOT", "one\n  two\n"],
    ['[1, "two", [3],]', [1, "two", [3]]],
    ['{ a = 1, "b c" : 2\n (name) = 3 }', { a: 1, "b c": 2, world: 3 }],
    ['map.a + map["b"]', 3],
    ["list[1]", "b"],
    ["people.0.name", "Ann"],
    ["people[*].name", ["Ann", "Bob"]],
    ["people.*.age", [41, 12]],
    ["none[*]", []],
    ["[for p in people : upper(p.name) if p.age > 18]", ["ANN"]],
    ['[for i, x in list : "${i}-${x}"]', ["0-a", "1-b", "2-c"]],
    ["{for k, v in map : v => k}", { 1: "a", 2: "b" }],
    ["{for p in people : substr(p.name, 0, 0) => p.age...}", { "": [41, 12] }],
    ["max([1, 5, 3]...)", 5],
    ['try(map.zzz, "none")', "none"],
    ["can(map.a)", true],
    ["can(map.zzz)", false],
    ["[\n  1, # one\n  2 // two\n]", [1, 2]],
    ["none == null", true],
    ['1 == "1"', false],
  ])("%s", (text, expected) => expect(resultOf(text)).toEqual(expected));
});

/** Documented results of HCL's and Bake's functions. */
describe("functions", () => {
  test.each<[string, Value]>([
    ["absolute(-3)", 3],
    ["add(123, 1)", 124],
    ['base64encode("hi")', "aGk="],
    ['base64decode("aGk=")', "hi"],
    ['basename("/a/b.txt")', "b.txt"],
    ['chomp("x\\n\\n")', "x"],
    ["chunklist([1, 2, 3], 2)", [[1, 2], [3]]],
    ['coalesce(null, "x")', "x"],
    ["coalescelist([], [1])", [1]],
    ['compact(["a", "", "b"])', ["a", "b"]],
    ["concat([1], [2, 3])", [1, 2, 3]],
    ['contains(list, "b")', true],
    ['csvdecode("a,b\\n1,\\"x,y\\"\\n")', [{ a: "1", b: "x,y" }]],
    ['dirname("/a/b.txt")', "/a"],
    ["distinct([1, 1, 2])", [1, 2]],
    ["element(list, 4)", "b"],
    ["flatten([1, [2, [3]]])", [1, 2, 3]],
    ['format("%s-%03d %5.1f %q %v %%", "a", 7, 1.25, "q", true)', 'a-007   1.3 "q" true %'],
    ['formatdate("YYYY-MM-DD\'T\'hh:mm", "2020-02-01T03:04:05Z")', "2020-02-01T03:04"],
    ['formatlist("%s!", ["a", "b"])', ["a!", "b!"]],
    ["hasindex(list, 2)", true],
    ['indent(2, "a\\nb")', "a\n  b"],
    ['indexof(list, "c")', 2],
    ['join("-", list)', "a-b-c"],
    ['jsondecode("{\\"a\\":[1]}")', { a: [1] }],
    ["jsonencode(map)", '{"a":1,"b":2}'],
    ["keys(map)", ["a", "b"]],
    ["length(list)", 3],
    ['lookup(map, "z", 9)', 9],
    ["merge(map, { a = 5 })", { a: 5, b: 2 }],
    ['md5("")', "d41d8cd98f00b204e9800998ecf8427e"],
    ['parseint("ff", 16)', 255],
    ["pow(2, 10)", 1024],
    ["range(1, 7, 2)", [1, 3, 5]],
    ['regex("(?P<major>\\\\d+)\\\\.(?P<minor>\\\\d+)", "v1.22")', { major: "1", minor: "22" }],
    ['regexall("[a-z]", "a1b")', ["a", "b"]],
    ['regex_replace("aabb", "(a+)", "<$1>")', "<aa>bb"],
    ['replace("a.b.c", ".", "-")', "a-b-c"],
    ['replace("a1", "/[0-9]/", "b")', "a1"],
    ['reverse("abc")', "cba"],
    ["reverselist(list)", ["c", "b", "a"]],
    ['sanitize("a/b:c")', "a_b_c"],
    ['semvercmp("1.2.3", ">= 1.2, < 2.0")', true],
    [
      'setproduct(["a"], [1, 2])',
      [
        ["a", 1],
        ["a", 2],
      ],
    ],
    ['setunion(["b"], ["a", "b"])', ["a", "b"]],
    ["slice(list, 1, 3)", ["b", "c"]],
    ['sort(["b", "a"])', ["a", "b"]],
    ['split(",", "a,b")', ["a", "b"]],
    ['strlen("é👍🏽")', 2],
    ['substr("hello", 1, 3)', "ell"],
    ['timeadd("2020-01-01T00:00:00Z", "10m")', "2020-01-01T00:10:00Z"],
    ['title("hello big world")', "Hello Big World"],
    ['trim("xxaxx", "x")', "a"],
    ['trimprefix("v1", "v")', "1"],
    ['trimspace("  a ")', "a"],
    ['trimsuffix("a.js", ".js")', "a"],
    ["unixtimestampparse(0).rfc3339", "1970-01-01T00:00:00Z"],
    ['upper("a")', "A"],
    ['urlencode("a b&c")', "a+b%26c"],
    ['uuidv5("dns", "www.example.com")', "2ed6657d-e927-568b-95e1-2665a8aea6a2"],
    ["values(map)", [1, 2]],
    ['zipmap(["a", "b"], [1, 2])', { a: 1, b: 2 }],
  ])("%s", (text, expected) => expect(resultOf(text)).toEqual(expected));
});

describe("errors have their place", () => {
  test.each([
    ['x = "a', "f.hcl:1,5: this string has no closing quote"],
    ["x = \n", "f.hcl:1,5: expected an expression, found the end of the line"],
    ["x = 1\nx = 2", 'f.hcl:2,1: the attribute "x" is set twice'],
    ['t "a" {\n  y = [1\n', 'f.hcl:3,1: expected "," or "]" in a list, found the end of the file'],
    ["x = 1 2", 'f.hcl:1,7: expected a new line after an attribute, found "2"'],
    ["x = <<EOT\nabc", "f.hcl:1,5: this heredoc has no end: EOT"],
    ['x = "%{ if true }a"', "f.hcl:1,8: this %{ if } has no end"],
  ])("%j", (text, message) => expect(() => parseHcl(text, "f.hcl")).toThrow(message));

  test.each([
    ["nope", 'f.hcl:1,5: there is no variable named "nope"'],
    ["nope()", 'f.hcl:1,5: there is no function named "nope"'],
    ["upper()", "f.hcl:1,5: upper: takes 1 argument(s), not 0"],
    ["upper([])", "f.hcl:1,5: upper: argument 1: a string is needed, this is a list"],
    ['"a ${list}"', "f.hcl:1,10: a string is needed, this is a list"],
    ["1 / 0", "division by zero"],
    ["list[7]", "there is no element 7 in a list of 3"],
    ["map.z", 'the map has no key "z"'],
    ['1 + "x"', "f.hcl:1,9: a number is needed, this is a string"],
    ["range(100000000)", "more than 1024 numbers"],
  ])("%s", (text, message) => expect(() => resultOf(text)).toThrow(message));
});

test("JSON is the same, with templates in its texts", () => {
  const text = '{"target": {"app": {"tags": ["a:${upper(\\"x\\")}", "\\u0041"], "pull": true}}, "n": 4}';
  const body = parseJson(text, "f.json", { target: [] });
  const [block] = body.blocks;
  expect(block).toMatchObject({ type: "target", labels: ["app"], at: { line: 1, column: 13 } });
  expect(evaluate(block!.body.attributes[0]!.value, scope)).toEqual(["a:X", "A"]);
  expect(evaluate(body.attributes[0]!.value, scope)).toBe(4);
  expect(() => parseJson('{"target": 3}', "f.json", { target: [] })).toThrow(
    "f.json:1,12: target must be an object",
  );
  expect(() => parseJson("{", "f.json", {})).toThrow("f.json:1,1: not valid JSON");
});

test("what jsonencode writes, HCL reads", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      // A template's marks mean something in HCL's strings alone.
      const text = JSON.stringify(value)
        .replaceAll("${", () => "$${")
        .replaceAll("%{", "%%{");
      expect(JSON.stringify(resultOf(text))).toBe(JSON.stringify(value));
    }),
  );
});

test("whatever is read, the only errors are HCL's, and soon", () => {
  const piece = fc.constantFrom(
    ...'x = " ${ %{ } { [ ( ) ] . * , ? : + - ! for in if endif => ... <<E \n \\ 1 a"'.split(" "),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      try {
        parseHcl(pieces.join(""), "f.hcl");
      } catch (error) {
        expect(error).toBeInstanceOf(HclError);
      }
    }),
    { numRuns: 2000 },
  );
  for (const open of ["(", "[", "!", '"${'])
    expect(() => parseHcl(`x = ${open.repeat(100_000)}`, "f.hcl")).toThrow("nested too deeply");
});
