import { describe, expect, test } from "bun:test";
import { parseImageConfig } from "./oci-schema.ts";

const parse = (config: object) => parseImageConfig(Buffer.from(JSON.stringify(config)));
const rootfs = { type: "layers" as const, diff_ids: [] };
const whole = { architecture: "amd64", os: "linux", rootfs };

describe("an image's configuration", () => {
  // As dockerd 20.10 loads them.
  test.each<[string, object, object]>([
    ["lacks its architecture", { os: "linux", rootfs }, { ...whole, architecture: "" }],
    ["lacks its system", { architecture: "amd64", rootfs }, whole],
    ["lacks the type of its layers", { ...whole, rootfs: { diff_ids: null } }, whole],
    [
      "has words for lists",
      { ...whole, config: { Cmd: "/x", Entrypoint: "/y", Shell: null } },
      { ...whole, config: { Cmd: ["/x"], Entrypoint: ["/y"], Shell: null } },
    ],
    ["says more than is known", { ...whole, docker_version: "1", container: "c" }, whole],
  ])("that %s is read", (_, given, expected) => {
    expect(JSON.parse(JSON.stringify(parse(given)))).toEqual(expected);
  });

  test.each([
    ["no layers", { architecture: "amd64", os: "linux" }, "rootfs"],
    ["a list of ports", { ...whole, config: { ExposedPorts: ["80"] } }, "config.ExposedPorts"],
    ["a number for an author", { ...whole, author: 5 }, "author"],
    ["a number for a label", { ...whole, config: { Labels: { a: 1 } } }, "config.Labels.a"],
  ])("with %s is refused by the field", (_, given, field) => {
    expect(() => parse(given)).toThrow(`invalid image configuration: ${field}`);
  });
});
