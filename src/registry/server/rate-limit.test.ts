import { describe, expect, test } from "bun:test";
import { DistributionError } from "./errors.ts";
import { parseRate, RateLimit } from "./rate-limit.ts";

describe("rates", () => {
  test("are read", () => {
    expect(parseRate("100/6h")).toEqual({ count: 100, windowMs: 21_600_000 });
    expect(parseRate("1/1m30s")).toEqual({ count: 1, windowMs: 90_000 });
  });

  test.each(["", "100", "0/1h", "-1/1h", "1/", "1/1y", "1/10ms", "1/h", "1e3/1h"])("%j is none", (text) => {
    expect(() => parseRate(text)).toThrow("invalid");
  });

  test("each client has its own window, which ends", () => {
    let now = 1_000_000;
    const limit = new RateLimit({ count: 2, windowMs: 60_000 }, () => now);
    const remaining = (client: string) => limit.take(client)["RateLimit-Remaining"];
    expect([remaining("a"), remaining("a"), remaining("b")]).toEqual(["1;w=60", "0;w=60", "1;w=60"]);
    now += 45_500;
    expect(() => limit.take("a")).toThrow(DistributionError);
    try {
      limit.take("a");
    } catch (error) {
      expect(error).toMatchObject({ status: 429, options: { headers: { "Retry-After": "15" } } });
    }
    now += 14_500;
    expect(remaining("a")).toBe("1;w=60");
  });

  test("any name makes a header", () => {
    const headers = new RateLimit({ count: 1, windowMs: 60_000 }).take("ünïcode\r\nX: y");
    expect(new Headers(headers).get("docker-ratelimit-source")).toBe("?n?code??X:?y");
  });
});
