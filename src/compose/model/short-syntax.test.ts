/** The short forms of ports, volumes and devices, sizes, durations and command lines. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseDuration } from "../../lib/duration.ts";
import { parseDevice, parseVolume } from "./mounts.ts";
import { parsePort } from "./ports.ts";
import { formatDuration, parseSize } from "./units.ts";
import { splitWords } from "./words.ts";

describe("ports", () => {
  const tcp = (target: number, rest: object = {}) => ({ mode: "ingress", target, protocol: "tcp", ...rest });
  const cases: [text: string, result: object[]][] = [
    ["80", [tcp(80)]],
    ["8080:80", [tcp(80, { published: "8080" })]],
    ["127.0.0.1:8080:80", [tcp(80, { published: "8080", host_ip: "127.0.0.1" })]],
    ["127.0.0.1::80", [tcp(80, { host_ip: "127.0.0.1" })]],
    ["[::1]:8080:80", [tcp(80, { published: "8080", host_ip: "::1" })]],
    ["[::1]::80", [tcp(80, { host_ip: "::1" })]],
    ["53:53/udp", [{ mode: "ingress", target: 53, published: "53", protocol: "udp" }]],
    ["53:53/UDP", [{ mode: "ingress", target: 53, published: "53", protocol: "udp" }]],
    ["3000-3001", [tcp(3000), tcp(3001)]],
    ["9000-9001:80-81", [tcp(80, { published: "9000" }), tcp(81, { published: "9001" })]],
    ["9000-9010:80", [tcp(80, { published: "9000-9010" })]],
  ];
  test.each(cases)("%s", (text, result) => {
    expect(parsePort(text)).toEqual(result as ReturnType<typeof parsePort>);
  });
  test.each([
    ["", /invalid containerPort/],
    ["x", /invalid containerPort: x/],
    ["80:y", /invalid containerPort: y/],
    ["99999:80", /invalid hostPort: 99999/],
    ["80/icmp", /invalid proto: icmp/],
    ["1-3:1-2", /invalid ranges/],
    ["300.1.1.1:80:80", /invalid IP address: 300\.1\.1\.1/],
    ["a:b:c:d", /invalid/],
    ["9-8", /invalid containerPort/],
  ])("%s fails", (text, message) => {
    expect(() => parsePort(text)).toThrow(message);
    expect(() => parsePort(text)).toThrow(RangeError);
  });
  test("what is written comes back", () => {
    const port = fc.integer({ min: 0, max: 65535 });
    fc.assert(
      fc.property(
        fc.option(fc.ipV4()),
        port,
        port,
        fc.constantFrom("tcp", "udp"),
        (ip, published, target, protocol) => {
          const text = `${ip === null ? "" : `${ip}:`}${published}:${target}/${protocol}`;
          expect(parsePort(text)).toEqual([
            {
              mode: "ingress",
              ...(ip === null ? {} : { host_ip: ip }),
              target,
              published: String(published),
              protocol,
            },
          ]);
        },
      ),
    );
  });
});

describe("volumes", () => {
  const cases: [text: string, result: object][] = [
    ["/data", { type: "volume", target: "/data", volume: {} }],
    ["name:/data", { type: "volume", source: "name", target: "/data", volume: {} }],
    ["name:/data:ro", { type: "volume", source: "name", target: "/data", read_only: true, volume: {} }],
    ["name:/data:nocopy", { type: "volume", source: "name", target: "/data", volume: { nocopy: true } }],
    ["./src:/src", { type: "bind", source: "./src", target: "/src", bind: { create_host_path: true } }],
    ["~/x:/x:rw", { type: "bind", source: "~/x", target: "/x", bind: { create_host_path: true } }],
    [
      "/a:/b:ro,z,rslave",
      {
        type: "bind",
        source: "/a",
        target: "/b",
        read_only: true,
        bind: { create_host_path: true, selinux: "z", propagation: "rslave" },
      },
    ],
    [
      "/a:/b:cached",
      { type: "bind", source: "/a", target: "/b", bind: { create_host_path: true }, consistency: "cached" },
    ],
  ];
  test.each(cases)("%s", (text, result) => {
    expect(parseVolume(text)).toEqual(result as ReturnType<typeof parseVolume>);
  });
  test.each([
    ["", /empty volume spec/],
    ["a:b:c:d", /too many colons/],
    ["a::ro", /empty section/],
    ["a:/b:wat", /unknown option: wat/],
  ])("%j fails", (text, message) => {
    expect(() => parseVolume(text)).toThrow(message);
  });
});

test("devices", () => {
  expect(parseDevice("/dev/a")).toEqual({ source: "/dev/a", target: "/dev/a", permissions: "rwm" });
  expect(parseDevice("/dev/a:/dev/b:r")).toEqual({ source: "/dev/a", target: "/dev/b", permissions: "r" });
  expect(() => parseDevice("a:b:c:d")).toThrow(/confusing device mapping/);
});

describe("units", () => {
  test.each([
    ["1024", 1024],
    ["64m", 64 * 1024 ** 2],
    ["64MB", 64 * 1024 ** 2],
    ["1.5g", 1.5 * 1024 ** 3],
    ["2GiB", 2 * 1024 ** 3],
    ["10b", 10],
    ["-1", -1],
  ])("size %s", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
  test.each(["", "x", "1x", "m", "1 2"])("size %j is none", (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
  test.each([
    ["1m30s", 90e9, "1m30s"],
    ["90s", 90e9, "1m30s"],
    ["1.5s", 1.5e9, "1.5s"],
    ["100ms", 1e8, "100ms"],
    ["2h", 7200e9, "2h0m0s"],
    ["1d", 86_400e9, "24h0m0s"],
    ["0", 0, "0s"],
  ])("duration %s", (text, nanoseconds, shown) => {
    expect(parseDuration(text, { days: true })).toBe(nanoseconds);
    expect(formatDuration(nanoseconds)).toBe(shown);
  });
  test.each(["", "5", "s", "1x", "-1s"])("duration %j is none", (text) => {
    expect(parseDuration(text, { days: true })).toBeUndefined();
  });
  test("a formatted duration reads as itself", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), (milliseconds) => {
        expect(parseDuration(formatDuration(milliseconds * 1e6))).toBe(milliseconds * 1e6);
      }),
    );
  });
});

describe("splitWords", () => {
  test.each([
    ["echo hi", ["echo", "hi"]],
    ["  a\t b ", ["a", "b"]],
    ["echo 'a b' \"c d\"", ["echo", "a b", "c d"]],
    ['a"b c"d', ["ab cd"]],
    ["''", [""]],
    ["a\\ b", ["a b"]],
    ['"a\\"b\\n"', ['a"b\\n']],
    ["a # comment", ["a"]],
    ["a#b", ["a#b"]],
    ["", []],
  ])("%j", (line, words) => {
    expect(splitWords(line)).toEqual(words);
  });
  test.each(["'a", '"a', "a\\"])("%j fails", (line) => {
    expect(() => splitWords(line)).toThrow(RangeError);
  });
  test("quoted words come back", () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
        expect(splitWords(line)).toEqual(words);
      }),
    );
  });
});
