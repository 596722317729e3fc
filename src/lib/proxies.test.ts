import { expect, test } from "bun:test";
import { proxyOf } from "./proxies.ts";

const proxies = { http: "plain:3128", https: "http://secure:3128" };
const through = (url: string, no: string) => proxyOf(new URL(url), { ...proxies, no }) !== undefined;

test("the scheme of what is asked for chooses, and a proxy without one speaks HTTP", () => {
  expect(proxyOf(new URL("http://a.invalid/"), proxies)).toBe("http://plain:3128");
  expect(proxyOf(new URL("https://a.invalid/"), proxies)).toBe("http://secure:3128");
  expect(proxyOf(new URL("https://a.invalid/"), { http: "x" })).toBeUndefined();
  expect(proxyOf(new URL("http://a.invalid/"), { http: "" })).toBeUndefined();
});

// URL, exceptions, whether the proxy is used: as httpproxy's own documentation and tests have it.
test.each([
  ["http://a.invalid/", "", true],
  ["http://localhost:5000/", "", false],
  ["http://127.8.9.10/", "", false],
  ["http://[::1]:80/", "", false],
  ["http://a.invalid/", "*", false],
  ["http://a.invalid/", "b.invalid, *", false],
  ["http://reg.corp/", "corp", false],
  ["http://corp/", "corp", false],
  ["http://notcorp/", "corp", true],
  ["http://reg.corp/", ".corp", false],
  ["http://corp/", ".corp", true],
  ["http://corp/", "*.corp", true],
  ["http://a.b.corp/", "*.corp", false],
  ["http://REG.Corp/", "reg.corP", false],
  ["http://reg.corp:5000/", "reg.corp:5000", false],
  ["http://reg.corp:5001/", "reg.corp:5000", true],
  ["http://reg.corp/", "reg.corp:80", false],
  ["https://reg.corp/", "reg.corp:80", true],
  ["https://reg.corp/", ".corp:443", false],
  ["http://10.1.2.3/", "10.0.0.0/8", false],
  ["http://11.1.2.3/", "10.0.0.0/8", true],
  ["http://ten.invalid/", "10.0.0.0/8", true],
  ["http://10.1.2.3:81/", "10.1.2.3", false],
  ["http://10.1.2.3:81/", "10.1.2.3:82", true],
  ["http://10.1.2.3/", "10.0.0.0/99", true],
  ["http://[fd00::5]/", "fd00::/16", false],
  ["http://[fd00::5]/", "fd00::5", false],
  ["http://[fd00::5]:81/", "[fd00::5]:81", false],
  ["http://[fd00::5]:81/", "[fd00::5]:82", true],
  ["http://a.invalid/", ":80,,", true],
])("%s without %p: through the proxy %p", (url, no, expected) => {
  expect(through(url, no)).toBe(expected);
});
