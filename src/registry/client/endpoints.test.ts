import { describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "../fixture.ts";
import { endpointsOf, HostPolicy } from "./endpoints.ts";
import { readTls } from "./tls.ts";

describe("HostPolicy", () => {
  const policy = new HostPolicy(["reg.example", "other.example:5000", "10.1.0.0/16", "fd00::/8"]);
  test.each([
    ["localhost", true],
    ["localhost:5000", true],
    ["127.0.0.1:1", true],
    ["127.9.9.9", true],
    ["[::1]:5000", true],
    ["reg.example", true],
    ["reg.example:443", true],
    ["other.example:5000", true],
    ["other.example:5001", false],
    ["10.1.2.3:80", true],
    ["10.2.0.1", false],
    ["[fd00::1]:5000", true],
    ["docker.io", false],
  ])("%s insecure: %p", async (host, expected) => {
    expect(await policy.isInsecure(host)).toBe(expected);
  });

  test("a malformed network is refused", () => {
    expect(() => new HostPolicy(["10.0.0.0/33"])).toThrow("10.0.0.0/33 is not valid");
    expect(() => new HostPolicy(["x/8"])).toThrow("x/8 is not valid");
  });
});

describe("endpointsOf", () => {
  const policy = new HostPolicy([]);
  test("mirrors are for docker.io alone", async () => {
    const mirrors = ["http://127.0.0.1:5001", "https://mirror.example/hub/"];
    expect(await endpointsOf("docker.io", mirrors, policy)).toEqual({
      mirrors: [
        { origins: ["http://127.0.0.1:5001"], prefix: "", mirror: true },
        { origins: ["https://mirror.example"], prefix: "/hub", mirror: true },
      ],
      registry: { origins: ["https://registry-1.docker.io"], prefix: "", mirror: false },
    });
    expect((await endpointsOf("reg.example", mirrors, policy)).mirrors).toEqual([]);
  });

  test("an insecure host may speak plain HTTP", async () => {
    const { registry } = await endpointsOf("127.0.0.1:5000", [], policy);
    expect(registry.origins).toEqual(["https://127.0.0.1:5000", "http://127.0.0.1:5000"]);
  });

  test.each(["mirror", "ftp://mirror.example", "http://mirror.example/?x", "http://user:x@mirror.example"])(
    "the mirror %s is refused",
    async (mirror) => {
      await expect(endpointsOf("docker.io", [mirror], policy)).rejects.toThrow("invalid mirror");
    },
  );
});

test("certs.d", async () => {
  await using dir = await tempDir();
  const host = join(dir.path, "reg.example:5000");
  await mkdir(host);
  expect(await readTls("reg.example:5000", [dir.path, "/nonexistent"])).toEqual({});
  await writeFile(join(host, "ca.crt"), "CA");
  await writeFile(join(host, "client.cert"), "CERT");
  await expect(readTls("reg.example:5000", [dir.path])).rejects.toThrow("missing key client.key");
  await writeFile(join(host, "client.key"), "KEY");
  const options = await readTls("reg.example:5000", [dir.path]);
  expect([options.cert, options.key, options.ca?.at(-1)]).toEqual(["CERT", "KEY", "CA"]);
  expect(options.ca!.length).toBeGreaterThan(1);
  await writeFile(join(host, "other.key"), "KEY");
  await expect(readTls("reg.example:5000", [dir.path])).rejects.toThrow("missing client certificate");
});
