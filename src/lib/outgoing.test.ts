import { afterEach, expect, test } from "bun:test";
import { InvalidParameter, Unavailable } from "./errors.ts";
import { currentProxies, openUrl, outgoing, proxyVariables, takeProxies } from "./outgoing.ts";

const { signal } = new AbortController();
afterEach(() => takeProxies({}, {}));

test("what is configured comes before the environment, which is left without", () => {
  const env = { http_proxy: "http://old", HTTPS_PROXY: "http://env", NO_PROXY: "intern", PATH: "/bin" };
  takeProxies({ https: "http://secure:3128" }, env);
  expect(env as object).toEqual({ PATH: "/bin" });
  expect(currentProxies()).toEqual({ http: "http://old", https: "http://secure:3128", no: "intern" });
  expect(proxyVariables()).toEqual({
    http_proxy: "http://old",
    https_proxy: "http://secure:3128",
    no_proxy: "intern",
  });
  takeProxies({}, {});
  expect(proxyVariables()).toEqual({});
});

test("a proxy is asked for what is not excepted, whatever Bun itself would do", async () => {
  await using proxy = serve((request) => new Response(`asked for ${request.url}`));
  takeProxies({ http: proxy.url.href, no: "10.0.0.0/8" }, {});
  expect(await (await outgoing(new URL("http://far.invalid/x"))).text()).toBe(
    "asked for http://far.invalid/x",
  );
  expect(await (await outgoing(new URL(proxy.url))).text()).toBe(`asked for ${proxy.url}`);
});

test("redirects are followed, but to HTTP only and not for ever", async () => {
  await using server = serve((request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/to") return Response.redirect(searchParams.get("url")!);
    if (pathname === "/loop") return new Response(null, { status: 302, headers: { location: "/loop" } });
    return pathname === "/file" ? new Response("content") : new Response("none", { status: 404 });
  });
  const open = (path: string) => openUrl(new URL(path, server.url).href, signal);
  expect(await (await open(`/to?url=${server.url}file`)).text()).toBe("content");
  await expect(open("/to?url=file:///etc/passwd")).rejects.toBeInstanceOf(InvalidParameter);
  await expect(open("/loop")).rejects.toThrow("stopped after 10 redirects");
  await expect(open("/missing")).rejects.toThrow("with status 404 Not Found");
  await expect(openUrl("file:///etc/passwd", signal)).rejects.toBeInstanceOf(InvalidParameter);
  await expect(openUrl("http://127.0.0.1:1/", signal)).rejects.toBeInstanceOf(Unavailable);
});

function serve(fetch: (request: Request) => Response) {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch });
  return { url: server.url, [Symbol.asyncDispose]: () => server.stop(true) };
}
