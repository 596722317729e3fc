import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestOf } from "./digest.ts";
import { InvalidParameter } from "./errors.ts";
import {
  familiar,
  familiarForm,
  familiarName,
  formatReference,
  isRepositoryPath,
  isTag,
  normalize,
  parseReference,
  type Reference,
} from "./reference.ts";

const digest = digestOf("x");

describe("parseReference", () => {
  const valid: [string, Reference][] = [
    ["ubuntu", { domain: "docker.io", path: "library/ubuntu" }],
    ["ubuntu:20.04", { domain: "docker.io", path: "library/ubuntu", tag: "20.04" }],
    ["docker.io/ubuntu", { domain: "docker.io", path: "library/ubuntu" }],
    ["index.docker.io/library/ubuntu", { domain: "docker.io", path: "library/ubuntu" }],
    ["me/app:v1", { domain: "docker.io", path: "me/app", tag: "v1" }],
    ["localhost/app", { domain: "localhost", path: "app" }],
    ["localhost:5000/app:V_1.-", { domain: "localhost:5000", path: "app", tag: "V_1.-" }],
    ["localhost:5000", { domain: "docker.io", path: "library/localhost", tag: "5000" }],
    ["[::1]:5000/a/b__c/d--e", { domain: "[::1]:5000", path: "a/b__c/d--e" }],
    ["Upper/app", { domain: "Upper", path: "app" }],
    ["reg.example/a/b", { domain: "reg.example", path: "a/b" }],
    [`ubuntu@${digest}`, { domain: "docker.io", path: "library/ubuntu", digest }],
    [`r.io/x:t@${digest}`, { domain: "r.io", path: "x", tag: "t", digest }],
    ["docker/docker.io", { domain: "docker.io", path: "docker/docker.io" }],
  ];
  test.each(valid)("%s", (text, expected) => {
    expect(parseReference(text)).toEqual(expected);
  });

  const format = "invalid reference format";
  const invalid: [string, string][] = [
    ["", format],
    [":latest", format],
    ["ubuntu:", format],
    ["a//b", format],
    ["a/b/", format],
    ["/a", format],
    ["a___b", format],
    ["-a/b", format],
    ["a.-b", format],
    ["a:b/c:d:e", format],
    ["http://x/y", format],
    ["a b", format],
    ["a\n", format],
    ["ubuntu@sha256:abc", format],
    [`a:${"t".repeat(129)}`, format],
    ["foo_bar.x/y", format],
    ["Foo", "invalid reference format: repository name (library/Foo) must be lowercase"],
    ["me/Foo:x", "invalid reference format: repository name (me/Foo) must be lowercase"],
    [
      "a".repeat(64),
      `invalid repository name (${"a".repeat(64)}), cannot specify 64-byte hexadecimal strings`,
    ],
    [`x@sha256:${"a".repeat(40)}`, "invalid checksum digest length"],
    [`x@sha256:${"A".repeat(64)}`, "invalid checksum digest format"],
    [`x@md5:${"a".repeat(32)}`, "unsupported digest algorithm"],
    [`r.io/${"a".repeat(256)}`, "repository name must not be more than 255 characters"],
  ];
  test.each(invalid)("%j is refused", (text, message) => {
    expect(() => parseReference(text)).toThrow(new InvalidParameter(message));
  });
});

const alphanumeric = fc.stringMatching(/^[a-z0-9]{1,6}$/);
const separator = fc.constantFrom(".", "_", "__", "-", "--", "---");
const component = fc
  .tuple(alphanumeric, fc.array(fc.tuple(separator, alphanumeric), { maxLength: 2 }))
  .map(([head, tail]) => head + tail.map((pair) => pair.join("")).join(""));
const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const domain = fc.constantFrom("docker.io", "localhost", "127.0.0.1:5000", "reg.example", "[::1]:80", "Caps");
const reference: fc.Arbitrary<Reference> = fc
  .record(
    {
      domain,
      path,
      tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
      digest: fc.constant(digest),
    },
    { requiredKeys: ["domain", "path"] },
  )
  .map((made) =>
    made.domain === "docker.io" && !made.path.includes("/")
      ? { ...made, path: `library/${made.path}` }
      : made,
  );

describe("properties", () => {
  test("the full form reads back as the same reference", () => {
    fc.assert(fc.property(reference, (ref) => expect(parseReference(formatReference(ref))).toEqual(ref)));
  });

  test("the familiar form of a full one is that of its reference", () => {
    fc.assert(
      fc.property(reference, (ref) => expect(familiarForm(formatReference(ref))).toBe(familiar(ref))),
    );
  });

  test("the familiar form reads back too, and never grows", () => {
    fc.assert(
      fc.property(reference, (ref) => {
        // Two names have no shorter spelling: a first component that looks like a domain, or 64 hex digits.
        const short = familiar(ref);
        fc.pre(!/^[^/]*[.:][^/]*\//.test(short) || ref.domain !== "docker.io");
        fc.pre(!short.startsWith("localhost/") || ref.domain !== "docker.io");
        expect(parseReference(short)).toEqual(ref);
        expect(short.length).toBeLessThanOrEqual(formatReference(ref).length);
      }),
    );
  });

  test("any text parses or is refused as InvalidParameter, and what parses is well formed", () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[a-zA-Z0-9.:@/_[\]-]{0,40}$/));
    fc.assert(
      fc.property(text, (input) => {
        let parsed: Reference;
        try {
          parsed = parseReference(input);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidParameter);
          return;
        }
        expect(isRepositoryPath(parsed.path)).toBe(true);
        if (parsed.tag !== undefined) expect(isTag(parsed.tag)).toBe(true);
        expect(parseReference(formatReference(parsed))).toEqual(parsed);
      }),
      { numRuns: 1000 },
    );
  });
});

test("normalize adds latest only when there is neither tag nor digest", () => {
  expect(familiar(normalize(parseReference("a")))).toBe("a:latest");
  expect(familiar(normalize(parseReference("a:b")))).toBe("a:b");
  expect(familiar(normalize(parseReference(`a@${digest}`)))).toBe(`a@${digest}`);
});

test("familiarName", () => {
  expect(familiarName({ domain: "docker.io", path: "library/ubuntu" })).toBe("ubuntu");
  expect(familiarName({ domain: "docker.io", path: "library/a/b" })).toBe("library/a/b");
  expect(familiarName({ domain: "docker.io", path: "me/app" })).toBe("me/app");
  expect(familiarName({ domain: "r.io", path: "library/app" })).toBe("r.io/library/app");
});
