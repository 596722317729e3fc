import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  boundsOf,
  contains,
  type Family,
  formatPrefix,
  overlaps,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixOf,
  widthOf,
} from "../lib/ip.ts";
import { allocateAddress, findFreeSubnet, macFor, uniqueLocalPool } from "./ipam.ts";

const subnet = fc.constantFrom<Family>(4, 6).chain((family) =>
  fc
    .record({
      value: fc.bigInt({ min: 0n, max: (1n << BigInt(widthOf(family))) - 1n }),
      bits: fc.integer({ min: 2, max: widthOf(family) - 1 }),
    })
    .map(({ value, bits }): Prefix => prefixOf({ family, value }, widthOf(family) - bits)),
);
/** A subnet and a part of it, which may be all. */
const withRange = subnet.chain((subnet) =>
  fc
    .record({
      length: fc.integer({ min: subnet.length, max: widthOf(subnet.family) }),
      offset: fc.bigInt({ min: 0n, max: boundsOf(subnet).last - boundsOf(subnet).first }),
    })
    .map(({ length, offset }) => ({
      subnet,
      range: prefixOf({ family: subnet.family, value: subnet.network + offset }, length),
    })),
);

/** Gives addresses until there are `count` or no more. */
function giveOut(request: { subnet: string; ipRange?: string }, taken: string[], count: number): string[] {
  const given: string[] = [];
  try {
    while (given.length < count) given.push(allocateAddress({ ...request, taken: [...taken, ...given] }));
  } catch (error) {
    expect((error as Error).message).toBe("no available addresses on this pool");
  }
  return given;
}

describe("addresses", () => {
  test("none is given twice, all are of the range, and none stands for the subnet itself", () => {
    fc.assert(
      fc.property(withRange, fc.integer({ min: 1, max: 20 }), ({ subnet, range }, count) => {
        const request = { subnet: formatPrefix(subnet), ipRange: formatPrefix(range) };
        const given = giveOut(request, [], count);
        expect(new Set(given).size).toBe(given.length);
        for (const address of given.map(parseAddress)) {
          expect(contains(range, address)).toBe(true);
          expect(address.value).not.toBe(boundsOf(subnet).first);
          if (subnet.family === 4) expect(address.value).not.toBe(boundsOf(subnet).last);
        }
        const size = boundsOf(range).last - boundsOf(range).first + 1n;
        expect(given.length).toBeGreaterThanOrEqual(Math.min(count, Number(size) - 2));
      }),
    );
  });

  test("each that goes back is the next that is given, and can be asked for", () => {
    fc.assert(
      fc.property(subnet, fc.nat(), (prefix, pick) => {
        const text = formatPrefix(prefix);
        const given = giveOut({ subnet: text }, [], 12);
        const back = given[pick % given.length]!;
        const taken = given.filter((address) => address !== back);
        expect(allocateAddress({ subnet: text, taken })).toBe(back);
        expect(allocateAddress({ subnet: text, taken, requested: back })).toBe(back);
        expect(() => allocateAddress({ subnet: text, taken: given, requested: back })).toThrow(
          "Address already in use",
        );
      }),
    );
  });

  test("one is the same however it is written", () => {
    expect(() =>
      allocateAddress({ subnet: "fd00::/64", taken: ["fd00::0:2"], requested: "FD00:0::2" }),
    ).toThrow("Address already in use");
    expect(allocateAddress({ subnet: "fd00::/64", taken: [], requested: "FD00:0::2" })).toBe("fd00::2");
  });

  test("those of the other family and outside are no answer", () => {
    const asked = (requested: string) => () => allocateAddress({ subnet: "fd00::/64", taken: [], requested });
    for (const address of ["10.0.0.1", "fd01::1", "fd00::"])
      expect(asked(address)).toThrow("Requested address is out of range");
    expect(allocateAddress({ subnet: "fd00::/64", taken: ["10.0.0.1"] })).toBe("fd00::1");
    expect(allocateAddress({ subnet: "fd00::/127", taken: ["fd00::"] })).toBe("fd00::1");
    expect(allocateAddress({ subnet: "10.0.0.0/30", taken: ["10.0.0.1"] })).toBe("10.0.0.2");
    const none = "no available addresses on this pool";
    expect(() => allocateAddress({ subnet: "10.0.0.0/30", taken: ["10.0.0.1", "10.0.0.2"] })).toThrow(none);
    for (const ipRange of ["fd01::/64", "fc00::/64"])
      expect(() => allocateAddress({ subnet: "fd00::/64", ipRange, taken: [] })).toThrow(none);
  });
});

describe("subnets", () => {
  test("of a pool are given in order, never one that overlaps, until there are no more", () => {
    fc.assert(
      fc.property(
        subnet,
        fc.integer({ min: 0, max: 4 }),
        fc.array(subnet, { maxLength: 4 }),
        (base, bits, obstacles) => {
          const size = Math.min(base.length + bits, widthOf(base.family));
          const pool = { base: formatPrefix(base), size };
          const taken = obstacles.map(formatPrefix);
          const given: string[] = [];
          const next = () => findFreeSubnet([pool], [...taken, ...given], base.family);
          for (let i = 0; i < 1 << bits; i++) {
            const free = (() => {
              try {
                return next();
              } catch {
                return undefined;
              }
            })();
            if (free === undefined) break;
            given.push(free);
          }
          expect(next).toThrow("all predefined address pools have been fully subnetted");
          const prefixes = given.map(parsePrefix);
          for (const [index, one] of prefixes.entries()) {
            expect(one.length).toBe(size);
            expect(overlaps(base, one)).toBe(true);
            for (const other of [...prefixes.slice(0, index), ...obstacles])
              expect(overlaps(one, other)).toBe(false);
          }
        },
      ),
    );
  });

  test("are of the family that is asked for", () => {
    const pools = [
      { base: "10.0.0.0/8", size: 24 },
      { base: "fd00::/48", size: 64 },
    ];
    expect(findFreeSubnet(pools, ["fd00::/64"], 6)).toBe("fd00:0:0:1::/64");
    expect(findFreeSubnet(pools, ["10.0.0.0/24"])).toBe("10.0.1.0/24");
    expect(() => findFreeSubnet(pools.slice(0, 1), [], 6)).toThrow("fully subnetted");
    expect(() => findFreeSubnet([{ base: "fd00::/48", size: 32 }], [], 4)).toThrow(
      "invalid address pool: base fd00::/48 can not be split into /32 subnets",
    );
  });

  test.each([
    ["", "fd42:98fc:1c14::/48"],
    ["499d4bc0-b0b3-416f-b1ee-cf6486315593", "fd62:fb69:18af::/48"],
  ])("the unique local pool of engine %j is Docker's", (id, base) => {
    expect(uniqueLocalPool(id)).toEqual({ base, size: 64 });
  });
});

test("MAC addresses come from IPv4 addresses, or by chance", () => {
  expect(macFor("172.17.0.2")).toBe("02:42:ac:11:00:02");
  expect(macFor()).toMatch(/^02:42(:[0-9a-f]{2}){4}$/);
  expect(macFor()).not.toBe(macFor());
});
