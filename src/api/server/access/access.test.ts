import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Engine, TokenScope } from "../../../engine/types.ts";
import { Forbidden, NotFound, Unauthorized } from "../../../lib/errors.ts";
import { Exchange } from "../exchange.ts";
import { missing, routes } from "../routes.ts";
import { authorize } from "./index.ts";
import { operations } from "./operations.ts";

const labels = { team: "blue" };
const scopes: Record<string, TokenScope> = {
  all: { readOnly: false, labels: {} },
  reader: { readOnly: true, labels: {} },
  blue: { readOnly: false, labels },
  "blue-reader": { readOnly: true, labels },
};
/** Things named `mine` have the label, all others have not. */
const labelsOf = (name: string) => (name === "mine" ? labels : {});
const engine = {
  tokens: {
    find: (secret: string) => scopes[secret] && { ...scopes[secret], name: secret, hash: "", createdAt: 0 },
  },
  containers: { get: (name: string) => ({ id: `id-of-${name}`, config: { Labels: labelsOf(name) } }) },
  execs: { get: (name: string) => ({ containerId: name }) },
  images: { platforms: (name: string) => [{ config: { config: { Labels: labelsOf(name) } } }] },
  networks: { get: (name: string) => ({ id: `id-of-${name}`, labels: labelsOf(name) }) },
  volumes: {
    get: (name: string) => ({ labels: labelsOf(name) }),
    list: () => [{ name: "mine" }, { name: "theirs" }],
  },
} as unknown as Engine;

function exchange(authorization: string | undefined, params: Record<string, string> = {}, query = "") {
  const request = { headers: { authorization } } as IncomingMessage;
  const response = new EventEmitter() as ServerResponse;
  return new Exchange(engine, request, { response }, new URLSearchParams(query), params, 51);
}

/** What a request meets: nothing, or the class of the refusal. */
function outcome(operation: string, token: string | undefined, { of = "theirs", required = false } = {}) {
  const names = Object.fromEntries([...operation.matchAll(/\{(\w+)\*?\}/g)].map(([, name]) => [name, of]));
  const x = exchange(token && `Bearer ${token}`, names, `names=${of}`);
  try {
    authorize(x, operation, required);
    return "allowed";
  } catch (error) {
    return (error as Error).constructor;
  }
}

const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;

test("every route has a row, and every row a route of Docker's or ours", () => {
  expect(routes.map(nameOf).filter((operation) => !(operation in operations))).toEqual([]);
  const known = new Set([...routes, ...missing].map(nameOf));
  expect(Object.keys(operations).filter((name) => !known.has(name))).toEqual([]);
});

describe.each(Object.entries(operations))("%s", (operation, { right, hold }) => {
  const isRead = /^(GET|HEAD) /.test(operation);

  test("who may", () => {
    expect(outcome(operation, undefined)).toBe("allowed");
    expect(outcome(operation, undefined, { required: true })).toBe(Unauthorized);
    expect(outcome(operation, "nobody")).toBe(Unauthorized);
    expect(outcome(operation, "all", { required: true })).toBe("allowed");
    expect(outcome(operation, "reader")).toBe(right === "look" ? "allowed" : Forbidden);
    if (right === "look") expect(isRead).toBe(true);
  });

  test("a label opens what has it, and hides the rest", () => {
    const theirs = outcome(operation, "blue");
    if (!hold || right === "all") return expect(theirs).toBe(Forbidden);
    expect(outcome(operation, "blue", { of: "mine" })).toBe("allowed");
    const touchesOne = operation.includes("{") || operation === "GET /images/get";
    expect(theirs).toBe(touchesOne ? NotFound : "allowed");
    expect(outcome(operation, "blue-reader", { of: "mine" })).toBe(right === "look" ? "allowed" : Forbidden);
  });
});

test("an operation that the table doesn't know is closed to restricted tokens", () => {
  expect(outcome("GET /new", "reader")).toBe(Forbidden);
  expect(outcome("GET /new", "all")).toBe("allowed");
});

test.each(["Bearer", "Bearer a b", "bearer"])("%p is refused", (header) => {
  expect(() => authorize(exchange(header), "GET /_ping", false)).toThrow(Unauthorized);
});

test("lists are narrowed, whatever the client filters by", () => {
  const x = exchange("Bearer blue", {}, 'filters={"label":{"team=red":true},"status":["exited"]}');
  authorize(x, "GET /containers/json", false);
  expect(x.filters).toEqual({ label: ["team=red", "team=blue"], status: ["exited"] });
});

test("the handler gets the id that was checked", () => {
  const x = exchange("Bearer blue", { id: "mine" });
  authorize(x, "POST /containers/{id}/start", false);
  expect(x.params.id).toBe("id-of-mine");
});

describe("bodies", () => {
  const revised = (operation: string, body: Record<string, unknown>, params = { id: "mine" }) => {
    const x = exchange("Bearer blue", params);
    authorize(x, operation, false);
    return x.revise(body);
  };
  const made = (HostConfig: object, more: object = {}) =>
    revised("POST /containers/create", { Image: "mine", HostConfig, ...more });

  test("what is made gets the labels", () => {
    expect(made({}, { Labels: { a: "b", team: "red" } }).Labels).toEqual({ a: "b", team: "blue" });
    expect(revised("POST /networks/create", { Name: "n" }).Labels).toEqual(labels);
    expect(revised("POST /volumes/create", { Name: "new", Labels: null }).Labels).toEqual(labels);
    expect(revised("POST /networks/{id}/connect", { Container: "mine" }).Container).toBe("id-of-mine");
  });

  test.each<[string, object]>([
    ["what docker sends for nothing", { Privileged: false, Binds: null, CapAdd: [], MaskedPaths: null }],
    ["limits", { Memory: 1, NanoCpus: 2, PidsLimit: 3, Ulimits: [{ Name: "nofile", Soft: 1, Hard: 1 }] }],
    ["ports", { PortBindings: { "80/tcp": [{ HostPort: "8080" }] } }],
    ["volumes with the label", { Binds: ["mine:/data:ro"], Mounts: [{ Type: "volume", Source: "mine" }] }],
    ["memory as a disk", { Mounts: [{ Type: "tmpfs", Target: "/t" }], Tmpfs: { "/u": "" } }],
    ["networks with the label", { NetworkMode: "mine" }],
    ["a container's network", { NetworkMode: "container:mine" }],
    ["fewer rights", { SecurityOpt: ["no-new-privileges"], CapDrop: ["ALL"], ReadonlyRootfs: true }],
  ])("allowed: %s", (_, host) => {
    expect(made(host).HostConfig).toEqual(host);
  });

  test.each<[object]>([
    [{ Privileged: true }],
    [{ Binds: ["/:/host"] }],
    [{ Binds: ["../x:/host"] }],
    [{ Binds: ["theirs:/data"] }],
    [{ Mounts: [{ Type: "bind", Source: "/" }] }],
    [{ Mounts: [{ Type: "volume", Source: "theirs" }] }],
    [{ Mounts: [{ Type: "volume", VolumeOptions: { DriverConfig: { Options: { device: "/" } } } }] }],
    [{ NetworkMode: "host" }],
    [{ NetworkMode: "theirs" }],
    [{ NetworkMode: "container:theirs" }],
    [{ PidMode: "host" }],
    [{ IpcMode: "container:mine" }],
    [{ CapAdd: ["SYS_ADMIN"] }],
    [{ SecurityOpt: ["seccomp=unconfined"] }],
    [{ MaskedPaths: [] }],
    [{ ReadonlyPaths: [] }],
    [{ Devices: [{ PathOnHost: "/dev/sda" }] }],
    [{ DeviceCgroupRules: ["a *:* rwm"] }],
    [{ VolumesFrom: ["theirs"] }],
    [{ Links: ["theirs:x"] }],
    [{ CgroupParent: "/" }],
    [{ Runtime: "runc" }],
    [{ Annotations: { "run.oci.x": "y" } }],
    [{ LogConfig: { Type: "syslog" } }],
    [{ Sysctls: { "net.x": "1" } }],
    [{ SomethingNew: 1 }],
  ])("refused: %j", (host) => {
    expect(() => made(host)).toThrow(/token restricted to labels|No such|not found|no such/);
  });

  test("images, endpoints and processes too", () => {
    expect(() => revised("POST /containers/create", { Image: "theirs" })).toThrow(NotFound);
    const endpoints = { NetworkingConfig: { EndpointsConfig: { theirs: {} } } };
    expect(() => made({}, endpoints)).toThrow(NotFound);
    expect(() => revised("POST /containers/{id}/exec", { Privileged: true })).toThrow(Forbidden);
    expect(() => revised("POST /networks/{id}/connect", { Container: "theirs" })).toThrow(NotFound);
    expect(() => revised("POST /volumes/create", { Name: "theirs" })).toThrow(NotFound);
    expect(() => revised("POST /volumes/create", { DriverOpts: { device: "/" } })).toThrow(Forbidden);
  });
});
