import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  type Address,
  boundsOf,
  bytesToIp,
  canonicalAddress,
  contains,
  type Family,
  formatAddress,
  formatPrefix,
  ipToBytes,
  networkOf,
  overlaps,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixOf,
  widthOf,
} from "./ip.ts";

const family = fc.constantFrom<Family>(4, 6);
/** Runs of zeros are what the text forms differ in, so whole groups of them are made often. */
const group = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 0xffff }));
const address: fc.Arbitrary<Address> = family.chain((family) =>
  fc
    .array(group, { minLength: widthOf(family) / 16, maxLength: widthOf(family) / 16 })
    .map((groups) => ({ family, value: groups.reduce((all, one) => (all << 16n) | BigInt(one), 0n) })),
);
const prefix: fc.Arbitrary<Prefix> = address.chain((address) =>
  fc.integer({ min: 0, max: widthOf(address.family) }).map((length) => prefixOf(address, length)),
);

test("what is written is read as the same, over text and over bytes", () => {
  fc.assert(
    fc.property(address, (address) => {
      const text = formatAddress(address);
      expect(parseAddress(text)).toEqual(address);
      expect(bytesToIp(ipToBytes(text))).toBe(text);
    }),
  );
  fc.assert(fc.property(prefix, (prefix) => expect(parsePrefix(formatPrefix(prefix))).toEqual(prefix)));
});

test("text is that of RFC 5952, as the URL standard writes hosts", () => {
  fc.assert(
    fc.property(address, (address) => {
      const text = formatAddress(address);
      const host = address.family === 6 ? `[${text}]` : text;
      expect(new URL(`http://${host}/`).hostname).toBe(host);
    }),
  );
});

test.each([
  ["FD00:0:0:0:0:0:0:01", "fd00::1"],
  ["2001:db8::1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["::1", "::1"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["fe80::1%eth0", "fe80::1"],
  ["10.0.0.1", "10.0.0.1"],
])("%s is %s", (given, canonical) => {
  expect(canonicalAddress(given)).toBe(canonical);
});

test.each([
  "",
  "10.1",
  "0x7f.0.0.1",
  "1.2.3.4.5",
  "01.2.3.4",
  "fd00",
  "fd00:::1",
  "1::2::3",
  "::1/64",
  "::g",
])("%j is no address", (text) => {
  expect(() => parseAddress(text)).toThrow("invalid IP address");
});

test.each(["", "10.0.0.0", "10.0.0.0/33", "fd00::/129", "fd00::/", "fd00::/-1", "fd00::/6x", "/64"])(
  "%j is no prefix",
  (text) => {
    expect(() => parsePrefix(text)).toThrow(`invalid CIDR address: ${text}`);
  },
);

test("a prefix holds its bounds and nothing beside them", () => {
  fc.assert(
    fc.property(prefix, (prefix) => {
      const { first, last } = boundsOf(prefix);
      const at = (value: bigint) => ({ family: prefix.family, value });
      expect(contains(prefix, at(first))).toBe(true);
      expect(contains(prefix, at(last))).toBe(true);
      expect(contains(prefix, at(last + 1n))).toBe(false);
      if (first > 0n) expect(contains(prefix, at(first - 1n))).toBe(false);
    }),
  );
});

test("two prefixes overlap when one holds the other's network, whichever is asked", () => {
  fc.assert(
    fc.property(prefix, prefix, (a, b) => {
      expect(overlaps(a, b)).toBe(contains(a, networkOf(b)) || contains(b, networkOf(a)));
      expect(overlaps(a, b)).toBe(overlaps(b, a));
    }),
  );
  expect(overlaps(parsePrefix("0.0.0.0/0"), parsePrefix("::/0"))).toBe(false);
});
