import { describe, expect, test } from "bun:test";
import { canonicalize } from "./canonical.ts";
import { merge, settle } from "./merge.ts";
import { type Mapping, parseYaml, toData } from "./node.ts";

/** What comes of a service when `override` follows `base`. */
function merged(base: string, override: string): unknown {
  const tree = (text: string) =>
    canonicalize(parseYaml(`services:\n  web: ${text.replaceAll("\n", "\n    ")}`, "f.yaml")[0] as Mapping);
  const result = toData(settle(merge(tree(base), tree(override)))) as { services: { web: unknown } };
  return result.services.web;
}

describe("merge", () => {
  const cases: [what: string, base: string, override: string, result: unknown][] = [
    ["scalars are replaced", "{image: a}", "{image: b}", { image: "b" }],
    ["keys are kept and added", "{image: a}", "{user: u}", { image: "a", user: "u" }],
    ["commands are replaced", "{command: [a, b]}", "{command: [c]}", { command: ["c"] }],
    ["entrypoints are replaced", "{entrypoint: [a]}", "{entrypoint: b c}", { entrypoint: "b c" }],
    [
      "health tests are replaced, the rest of the check is kept",
      "{healthcheck: {test: [CMD, a], interval: 1s}}",
      "{healthcheck: {test: b}}",
      { healthcheck: { test: ["CMD-SHELL", "b"], interval: "1s" } },
    ],
    [
      "environments are merged by name, lists or mappings",
      "{environment: [A=1, B=2]}",
      "{environment: {B: x, C: y}}",
      { environment: { A: "1", B: "x", C: "y" } },
    ],
    ["lists are joined without repeating", "{dns: [a, b]}", "{dns: [b, c]}", { dns: ["a", "b", "c"] }],
    ["one value and a list are joined", "{dns: a}", "{dns: [b]}", { dns: ["a", "b"] }],
    [
      "volumes are replaced by their target",
      "{volumes: ['a:/x', 'b:/y']}",
      "{volumes: ['c:/x']}",
      {
        volumes: [
          { type: "volume", source: "c", target: "/x", volume: {} },
          { type: "volume", source: "b", target: "/y", volume: {} },
        ],
      },
    ],
    [
      "equal ports stay one, others are added",
      "{ports: ['80:80']}",
      "{ports: ['80:80', '81:80']}",
      {
        ports: [
          { mode: "ingress", target: 80, published: "80", protocol: "tcp" },
          { mode: "ingress", target: 80, published: "81", protocol: "tcp" },
        ],
      },
    ],
    [
      "dependencies are merged, list or mapping",
      "{depends_on: [a]}",
      "{depends_on: {a: {condition: service_healthy}, b: {condition: service_started}}}",
      {
        depends_on: {
          a: { condition: "service_healthy", required: true },
          b: { condition: "service_started", required: true },
        },
      },
    ],
    [
      "options of another log driver are forgotten",
      "{logging: {driver: a, options: {x: 1}}}",
      "{logging: {driver: b}}",
      { logging: { driver: "b" } },
    ],
    [
      "options of the same log driver are merged",
      "{logging: {driver: a, options: {x: '1'}}}",
      "{logging: {options: {y: '2'}}}",
      { logging: { driver: "a", options: { x: "1", y: "2" } } },
    ],
    ["!reset removes", "{image: a, ports: ['80:80']}", "{ports: !reset []}", { image: "a" }],
    ["!reset null removes", "{image: a, user: u}", "{user: !reset null}", { image: "a" }],
    ["!override replaces a list", "{dns: [a]}", "{dns: !override [b]}", { dns: ["b"] }],
    [
      "build contexts and mappings merge",
      "{build: .}",
      "{build: {target: t}}",
      { build: { context: ".", target: "t" } },
    ],
    ["labels without value are empty", "{labels: [a]}", "{labels: {b: c}}", { labels: { a: "", b: "c" } }],
  ];
  test.each(cases)("%s", (_what, base, override, result) => {
    expect(merged(base, override)).toEqual(result);
  });
});
