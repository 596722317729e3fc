// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are HCL's own.
import { expect, test } from "bun:test";
import { CliContext } from "../context.ts";
import { parseHcl } from "./hcl/body.ts";
import { formatList } from "./list.ts";
import { load } from "./load.ts";
import { parseOverride } from "./overrides.ts";
import { formatPlan } from "./print.ts";
import { plan } from "./resolve.ts";
import type { Target } from "./target.ts";
import { wordsOf } from "./words.ts";

type Env = Record<string, string>;
const read = (texts: string[], env: Env = {}) =>
  load(
    new CliContext(env),
    { bodies: texts.map((text, i) => parseHcl(text, `${i}.hcl`)), composeFiles: [] },
    env,
  );

async function planned(
  texts: string | string[],
  names: string[],
  { env = {}, set = [] }: { env?: Env; set?: string[] } = {},
) {
  const { project } = await read([texts].flat(), env);
  const overrides = set.map((text) => parseOverride(text, env));
  return JSON.parse(formatPlan(plan(project, names, overrides)));
}

const everything = `
variable "TAG" { default = "latest" }
variable "COUNT" { default = 3 }
variable "LIST" {
  type = list(string)
  default = ["a", "b"]
}
function "next" {
  params = [n]
  result = n + 1
}
group "default" { targets = ["app", "matrix"] }
target "base" {
  args = { TAG = TAG, COUNT = COUNT, UNSET = null }
  labels = { a = "1" }
  cache-from = ["team/cache"]
}
target "app" {
  inherits = ["base"]
  contexts = { base = "target:dep", image = "docker-image://alpine" }
  tags = ["x:\${TAG}", "y:\${next(COUNT)}", join("-", LIST)]
  labels = { b = "2" }
  cache-from = ["type=local,src=/tmp"]
  secret = [{ type = "env", id = "token" }]
}
target "dep" { dockerfile-inline = "FROM scratch" }
target "matrix" {
  name = "m-\${letter}-\${number.v}"
  matrix = {
    letter = ["x", "y"]
    number = [{ v = 1 }, { v = 2 }]
  }
  target = letter
}
`.replaceAll("\\$", "$");

// What docker buildx bake --print of version 0.29 says of the same file.
test("a plan is buildx's", async () => {
  const common = { context: ".", dockerfile: "Dockerfile" };
  expect(await planned(everything, ["default"], { env: { TAG: "1.0", LIST: "p,q" } })).toEqual({
    group: {
      default: { targets: ["app", "matrix"] },
      matrix: { targets: ["m-x-1", "m-y-1", "m-x-2", "m-y-2"] },
    },
    target: {
      app: {
        ...common,
        contexts: { base: "target:dep", image: "docker-image://alpine" },
        args: { COUNT: "3", TAG: "1.0" },
        labels: { a: "1", b: "2" },
        tags: ["x:1.0", "y:4", "p-q"],
        "cache-from": [
          { ref: "team/cache", type: "registry" },
          { src: "/tmp", type: "local" },
        ],
        secret: [{ id: "token", env: "token" }],
      },
      dep: { ...common, "dockerfile-inline": "FROM scratch", output: [{ type: "cacheonly" }] },
      "m-x-1": { ...common, target: "x" },
      "m-x-2": { ...common, target: "x" },
      "m-y-1": { ...common, target: "y" },
      "m-y-2": { ...common, target: "y" },
    },
  });
});

test("--set goes over the files, by pattern and by addition", async () => {
  const set = [
    "*.args.X=1",
    "b*.tags=t",
    "base.tags=u",
    "base.cache-from+=type=inline",
    "base.no-cache=true",
    "base.labels.a=",
  ];
  const { target } = await planned(everything, ["base"], { set });
  expect(target.base).toMatchObject({
    args: { X: "1", TAG: "latest" },
    tags: ["t", "u"],
    "cache-from": [{ ref: "team/cache", type: "registry" }, { type: "inline" }],
    "no-cache": true,
    labels: { a: "" },
  });
});

test("later files go over earlier ones", async () => {
  const { target } = await planned(
    [
      'variable "V" { default = "1" }\ntarget "a" {\n args = {x = V, y = "1"}\n tags = ["a"]\n}',
      'variable "V" { default = "2" }\ntarget "a" {\n args = {y = "2"}\n tags = ["b"]\n}',
    ],
    ["a"],
  );
  expect(target.a).toMatchObject({ args: { x: "2", y: "2" }, tags: ["b"] });
});

test("values come from other targets, typed variables and JSON in the environment", async () => {
  const text = `
variable "PORTS" {
  type = object({ http = number, name = optional(string) })
  default = { http = 80 }
}
target "a" { tags = ["one"] }
target "b" { args = { TAG = target.a.tags[0], PORT = PORTS.http, NONE = PORTS.name == null ? "none" : "some" } }
`;
  const of = async (env: Env) => (await planned(text, ["b"], { env })).target.b.args;
  expect(await of({})).toEqual({ TAG: "one", PORT: "80", NONE: "none" });
  expect(await of({ PORTS_JSON: '{"http":8080,"name":"x"}' })).toEqual({
    TAG: "one",
    PORT: "8080",
    NONE: "some",
  });
  expect(of({ PORTS_JSON: "{}" })).rejects.toThrow(
    '0.hcl:4,13: invalid value of PORTS: attribute "http" is needed',
  );
});

test.each<[string, string[], string, Env?]>([
  [everything, ["appp"], "failed to find target appp (did you mean app?)"],
  ['target "a" { inherits = ["b"] }', ["a"], "failed to find target b"],
  [
    'target "a" { contexts = { x = "target:b" } }\ntarget "b" { contexts = { x = "target:a" } }',
    ["a"],
    "infinite loop from b to a",
  ],
  ["a = b\nb = a", [], "variable cycle not allowed: a -> b -> a"],
  [
    'variable "V" {\n default = "x"\n validation {\n  condition = V != "x"\n  error_message = "not x"\n }\n}',
    [],
    "0.hcl:4,15: validation failed: not x",
  ],
  ['variable "N" { default = 1 }', [], "invalid value of N: a number is needed", { N: "one" }],
  ['target "a" { tags = "x" }', ["a"], "0.hcl:1,21: a list is needed, this is a string"],
  [
    'target "a" { tags = [nam] }\nname = 1',
    ["a"],
    '0.hcl:1,22: there is no variable named "nam"; did you mean "name"?',
  ],
  ['target "a.b" {}', ["a"], '0.hcl:1,1: invalid target name "a.b"'],
  ['targets "a" {}', ["a"], '0.hcl:1,1: "targets" is not a kind of block'],
  ['target "a" { matrix = { x = ["1", "2"] } }', ["a"], 'the matrix makes two targets of the name "a"'],
  ['target "a" { secret = ["ids=x"] }', ["a"], "0.hcl:1,23: unexpected key 'ids' in secret"],
  [
    'function "f" {\n params = [n]\n result = f(n)\n}\nx = f(1)\ntarget "a" { args = { x = x } }',
    ["a"],
    "calls itself without an end",
  ],
])("%s is refused", async (text, names, message, env = {}) => {
  expect(planned(text, names, { env })).rejects.toThrow(message);
});

test.each([
  ["a.tagz=x", "unknown key: tagz (did you mean tags?)"],
  ["a.args=x", "invalid format for args, expecting args.<name>=<value>"],
  ["tags=x", "invalid override tags=x, expected target.name=value"],
  ["zz.tags=x", "could not find any target matching 'zz'"],
])("--set %s is refused", (set, message) => {
  expect(planned('target "a" {}', ["a"], { set: [set] })).rejects.toThrow(message);
});

test("lists of targets and variables", async () => {
  const loaded = await read([everything]);
  expect(formatList("targets", loaded).split("\n").slice(0, 3)).toEqual([
    "TARGET    DESCRIPTION",
    "app",
    "base",
  ]);
  expect(JSON.parse(formatList("type=variables,format=json", loaded))).toContainEqual({
    name: "LIST",
    type: "list of string",
    value: '["a","b"]',
  });
  expect(() => formatList("things", loaded)).toThrow("must be targets or variables");
});

test("a target becomes the words of build", () => {
  const target: Target = {
    context: "app",
    dockerfile: "dev/Dockerfile",
    args: { A: "1,2" },
    tags: ["a", "b"],
    contexts: { base: "target:dep" },
    output: [
      { type: "image", push: "true" },
      { type: "local", dest: "a,b" },
    ],
    secret: [{ id: "s", src: "/f" }],
    pull: true,
  };
  expect(wordsOf(target, new Map([["dep", "sha256:1"]]))).toEqual({
    flags: [
      "--build-arg=A=1,2",
      "--tag=a",
      "--tag=b",
      "--secret=id=s,src=/f",
      "--build-context=base=docker-image://sha256:1",
      "--push",
      '--output=type=local,"dest=a,b"',
      "--pull",
      "--file=app/dev/Dockerfile",
    ],
    context: "app",
    stdin: undefined,
  });
});
