import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Challenge, parseChallenges } from "./challenge.ts";

describe("parseChallenges", () => {
  const cases: [string | null, Challenge[]][] = [
    [null, []],
    ["", []],
    ["Basic", [{ scheme: "basic", parameters: {} }]],
    ['Basic realm="a b"', [{ scheme: "basic", parameters: { realm: "a b" } }]],
    [
      'Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push"',
      [
        {
          scheme: "bearer",
          parameters: {
            realm: "https://auth.example/token",
            service: "reg",
            scope: "repository:a/b:pull,push",
          },
        },
      ],
    ],
    [
      'Bearer realm="x", error=insufficient_scope , Basic realm="y"',
      [
        { scheme: "bearer", parameters: { realm: "x", error: "insufficient_scope" } },
        { scheme: "basic", parameters: { realm: "y" } },
      ],
    ],
    [
      "Negotiate, Basic realm=z",
      [
        { scheme: "negotiate", parameters: {} },
        { scheme: "basic", parameters: { realm: "z" } },
      ],
    ],
    ['Basic realm="say \\"hi\\""', [{ scheme: "basic", parameters: { realm: 'say "hi"' } }]],
    ["= =", []],
  ];
  test.each(cases)("%p", (header, expected) => {
    expect(parseChallenges(header)).toEqual(expected);
  });

  test("reads back what was written", () => {
    const name = fc.stringMatching(/^[a-z]{1,8}$/);
    const quoted = fc.stringMatching(/^[ -~]{0,20}$/);
    const challenge = fc.record({
      scheme: name,
      parameters: fc.dictionary(name, quoted, { noNullPrototype: true }),
    });
    const write = ({ scheme, parameters }: Challenge) =>
      `${scheme} ${Object.entries(parameters)
        .map(([key, value]) => `${key}="${value.replace(/(["\\])/g, "\\$1")}"`)
        .join(", ")}`;
    fc.assert(
      fc.property(fc.array(challenge, { minLength: 1, maxLength: 3 }), (challenges) => {
        expect(parseChallenges(challenges.map(write).join(", "))).toEqual(challenges);
      }),
    );
  });

  test("ends on any text", () => {
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => Array.isArray(parseChallenges(text))));
  });
});
