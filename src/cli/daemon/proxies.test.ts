import { expect, test } from "bun:test";
import { applyProxies } from "./proxies.ts";

test("what is configured takes the environment's place, in both spellings", () => {
  const env = { http_proxy: "http://old", NO_PROXY: "intern" };
  applyProxies({ https: "http://secure:3128" }, env);
  expect(env).toEqual({
    HTTP_PROXY: "http://old",
    http_proxy: "http://old",
    HTTPS_PROXY: "http://secure:3128",
    https_proxy: "http://secure:3128",
    NO_PROXY: "intern,localhost,127.0.0.1,::1",
    no_proxy: "intern,localhost,127.0.0.1,::1",
  } as never);
});
