import { expect, test } from "bun:test";
import { newest, oldest } from "./router.ts";
import { answerOf, bodyOf } from "./versions.ts";

test("a field is there from its first version on, and until its last", () => {
  const image = () => ({
    Id: "i",
    VirtualSize: 1,
    Container: "",
    Descriptor: {},
    Config: { Hostname: "h", Env: [] },
  });
  const fieldsIn = (version: number) => Object.keys(answerOf(image(), "image", version));
  expect(fieldsIn(oldest)).toEqual(["Id", "VirtualSize", "Container", "Config"]);
  expect(fieldsIn(44)).toEqual(["Id", "Container", "Config"]);
  expect(fieldsIn(48)).toEqual(["Id", "Descriptor", "Config"]);
  expect(answerOf(image(), "image", newest).Config as object).toEqual({ Env: [] });
});

test("each item of a list and each value of an object loses the field", () => {
  const networks = { a: { DNSNames: [], NetworkID: "1" }, b: { DNSNames: null, NetworkID: "2" } };
  const row = { HostConfig: { NetworkMode: "a", Annotations: {} }, NetworkSettings: { Networks: networks } };
  expect(answerOf([row], "container list", 43) as object[]).toEqual([
    {
      HostConfig: { NetworkMode: "a" },
      NetworkSettings: { Networks: { a: { NetworkID: "1" }, b: { NetworkID: "2" } } },
    },
  ]);
});

test("what isn't there, or isn't an object, is no trouble", () => {
  for (const body of [
    {},
    { HostConfig: null },
    { HostConfig: { Mounts: [null, 1, "x"] } },
    { NetworkingConfig: [] },
  ])
    expect(bodyOf(structuredClone(body), "container create", oldest)).toEqual(body);
});

test("a body's later fields are passed over", () => {
  const body = () => ({ Cmd: ["x"], Env: ["A=1"], WorkingDir: "/w", ConsoleSize: [1, 2] });
  expect(bodyOf(body(), "exec create", 24) as object).toEqual({ Cmd: ["x"] });
  expect(bodyOf(body(), "exec create", 41) as object).toEqual({ Cmd: ["x"], Env: ["A=1"], WorkingDir: "/w" });
  expect(bodyOf(body(), "exec create", 42)).toEqual(body());
});
