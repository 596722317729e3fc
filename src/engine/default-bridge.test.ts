import { expect, test } from "bun:test";
import { type BridgeSettings, defaultBridge } from "./default-bridge.ts";
import type { DefaultBridge, NetworkRecord } from "./types.ts";

const settings = (bip: string, own: Partial<DefaultBridge> = {}): BridgeSettings => ({
  bip,
  bridge: "gantry0",
  defaultBridge: { icc: true, masquerade: true, mtu: 1500, hostIp: "0.0.0.0", ipv6: false, ...own },
});
const pools = [{ base: "fd00:7::/48", size: 64 }];
const made = (given: BridgeSettings, old?: Pick<NetworkRecord, "ipam">) =>
  defaultBridge(given, old as NetworkRecord | undefined, pools, []).ipam.config;
const v4 = { subnet: "10.1.2.0/24", gateway: "10.1.2.1" };

test("the bridge's addresses and the containers' parts of its subnets", () => {
  expect(made(settings("10.1.2.1/24", { fixedCidr: "10.1.2.200/25" }))).toEqual([
    { ...v4, ipRange: "10.1.2.128/25" },
  ]);
  expect(made(settings("10.1.2.1/24", { ipv6: true, bip6: "fd00:1::0:fe/64" }))).toEqual([
    v4,
    { subnet: "fd00:1::/64", gateway: "fd00:1::fe" },
  ]);
  // Alone, the part of IPv6 is the subnet.
  expect(made(settings("10.1.2.1/24", { ipv6: true, fixedCidr6: "fd00:1::/80" }))[1]).toEqual({
    subnet: "fd00:1::/80",
    gateway: "fd00:1::1",
  });
  // Without IPv6 it counts for nothing.
  expect(made(settings("10.1.2.1/24", { fixedCidr6: "fd00:1::/80" }))).toEqual([v4]);
});

test("a subnet that was chosen stays, whatever else would be free", () => {
  const chosen = { subnet: "fd00:9::/64", gateway: "fd00:9::1", automatic: true };
  const old = { ipam: { driver: "default", options: {}, config: [v4, chosen] } };
  expect(made(settings("10.1.2.1/24", { ipv6: true }), old)).toEqual([v4, chosen]);
  expect(made(settings("10.1.2.1/24", { ipv6: true, bip6: "fd00:1::1/64" }), old)[1]?.subnet).toBe(
    "fd00:1::/64",
  );
});

test.each([
  [{ fixedCidr: "10.9.0.0/25" }, "parent subnet 10.1.2.0/24 doesn't contain ip-range"],
  [{ fixedCidr: "10.1.0.0/16" }, "CIDR block is bigger than its parent subnet 10.1.2.0/24"],
  [{ ipv6: true, fixedCidr6: "ff02::/64" }, "multicast subnet 'ff02::/64' is not allowed"],
  [{ ipv6: true, bip6: "fe80::1/80" }, "'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"],
])("%j is refused", (own, message) => {
  expect(() => made(settings("10.1.2.1/24", own))).toThrow(message);
});
