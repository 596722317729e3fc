import { expect, test } from "bun:test";
import { InvalidParameter } from "../../lib/errors.ts";
import { Forwarding } from "./forwarding.ts";

const forwarding = new Forwarding("10.0.0.0/8, fd00::1");
const clientOf = (peer: string, headers: Record<string, string>) =>
  forwarding.clientOf(new Request("http://reg.example:5000/v2/", { headers }), peer);

test.each([
  ["a stranger's word counts for nothing", "192.0.2.7", { "x-forwarded-for": "198.51.100.1" }, "192.0.2.7"],
  ["our proxy's does", "10.1.1.1", { "x-forwarded-for": "198.51.100.1" }, "198.51.100.1"],
  ["mapped into IPv6", "::ffff:10.1.1.1", { "x-forwarded-for": "198.51.100.1" }, "198.51.100.1"],
  ["by IPv6 too", "fd00::1", { "x-forwarded-for": "2001:db8::5" }, "2001:db8::5"],
  [
    "what the client itself has put before",
    "10.1.1.1",
    { "x-forwarded-for": "1.1.1.1, 192.0.2.7" },
    "192.0.2.7",
  ],
  ["two proxies of ours", "10.1.1.1", { "x-forwarded-for": "192.0.2.7, 10.2.2.2" }, "192.0.2.7"],
  ["nonsense", "10.1.1.1", { "x-forwarded-for": "192.0.2.7, _hidden" }, "10.1.1.1"],
  ["none", "10.1.1.1", {}, "10.1.1.1"],
])("%s", (_, peer, headers, address) => {
  expect(clientOf(peer, headers as Record<string, string>).address).toBe(address);
});

test("the scheme is the client's, when a proxy of ours says so", () => {
  const headers = { "x-forwarded-proto": "https" };
  expect(clientOf("10.1.1.1", headers).origin).toBe("https://reg.example:5000");
  expect(clientOf("192.0.2.7", headers).origin).toBe("http://reg.example:5000");
  expect(clientOf("10.1.1.1", { "x-forwarded-proto": "gopher" }).origin).toBe("http://reg.example:5000");
});

test("what is no network is refused", () => {
  for (const wrong of ["proxy.example", "10.0.0.0/33", "", "10.0.0.1,,"])
    expect(() => new Forwarding(wrong)).toThrow(InvalidParameter);
});
