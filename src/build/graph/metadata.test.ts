import { describe, expect, test } from "bun:test";
import type { ImageRunConfig } from "../../lib/oci.ts";
import { expandWord } from "../dockerfile/expand.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { applyMetadata, type MetadataInstruction, workdir } from "./metadata.ts";
import { envMap } from "./scope.ts";

function apply(source: string, config: ImageRunConfig = {}, cmdSet = false) {
  const instruction = parseDockerfile(source, "Dockerfile").instructions[0] as MetadataInstruction;
  const lookup = (name: string) => envMap(config.Env ?? []).get(name);
  const expand = (text: string) => expandWord(text, lookup);
  return applyMetadata(instruction, { config, expand, lookup, esc: "\\", cmdSet });
}

describe("config", () => {
  test.each<[string, ImageRunConfig, ImageRunConfig]>([
    ["ENV a=b c=$a", { Env: ["a=old", "z=1"] }, { Env: ["a=b", "z=1", "c=old"] }],
    ["ENV a=\"x y\" b='$a' c=\\$a", {}, { Env: ["a=x y", "b=$a", "c=$a"] }],
    ["ENV one two three", {}, { Env: ["one=two three"] }],
    ['LABEL a="b c" d=$e', { Labels: { z: "1" }, Env: ["e=f"] }, { Labels: { z: "1", a: "b c", d: "f" } }],
    ["USER $u", { Env: ["u=me"] }, { User: "me" }],
    [
      "EXPOSE 80 81/UDP 90-92 127.0.0.1:5:6",
      {},
      { ExposedPorts: { "80/tcp": {}, "81/udp": {}, "90/tcp": {}, "91/tcp": {}, "92/tcp": {}, "6/tcp": {} } },
    ],
    ["EXPOSE $p", { Env: ["p=1 2"] }, { ExposedPorts: { "1/tcp": {}, "2/tcp": {} } }],
    ["VOLUME /a /b", { Volumes: { "/c": {} } }, { Volumes: { "/c": {}, "/a": {}, "/b": {} } }],
    ["CMD a b", {}, { Cmd: ["/bin/sh", "-c", "a b"] }],
    ["CMD a b", { Shell: ["/bin/bash", "-ec"] }, { Cmd: ["/bin/bash", "-ec", "a b"] }],
    ['CMD ["a", "$b"]', {}, { Cmd: ["a", "$b"] }],
    ["HEALTHCHECK --retries=2 CMD a", {}, { Healthcheck: { Test: ["CMD-SHELL", "a"], Retries: 2 } }],
    ['HEALTHCHECK CMD ["a"]', { Healthcheck: { Test: ["NONE"] } }, { Healthcheck: { Test: ["CMD", "a"] } }],
    ["HEALTHCHECK NONE", {}, { Healthcheck: { Test: ["NONE"] } }],
    ['SHELL ["/bin/bash", "-c"]', {}, { Shell: ["/bin/bash", "-c"] }],
    ["STOPSIGNAL SIGRTMIN+3", {}, { StopSignal: "SIGRTMIN+3" }],
    ["STOPSIGNAL 9", {}, { StopSignal: "9" }],
    ["ONBUILD COPY . /src", { OnBuild: ["RUN a"] }, { OnBuild: ["RUN a", "COPY . /src"] }],
  ])("%s", (source, before, after) => {
    expect(apply(source, before).config).toMatchObject(after);
  });

  test("ENTRYPOINT drops the base's CMD and keeps the stage's own", () => {
    expect(apply('ENTRYPOINT ["a"]', { Cmd: ["b"] }).config.Cmd).toBeUndefined();
    expect(apply('ENTRYPOINT ["a"]', { Cmd: ["b"] }, true).config.Cmd).toEqual(["b"]);
  });

  test.each([
    ["EXPOSE x", "invalid containerPort: x"],
    ["EXPOSE 70000", "invalid containerPort: 70000"],
    ["EXPOSE 9-8", "invalid range specified for port: 9-8"],
    ["EXPOSE 80/foo", "invalid proto: foo\nDockerfile:1: EXPOSE 80/foo"],
    ["EXPOSE 80/tcp/udp", "invalid proto: tcp/udp"],
    ["STOPSIGNAL SIGFOO", "invalid signal: SIGFOO"],
    ["STOPSIGNAL SIGRTMIN+16", "invalid signal: SIGRTMIN+16"],
  ])("%s is refused", (source, message) => {
    expect(() => apply(source)).toThrow(message);
  });
});

test.each<[string | undefined, string, string]>([
  [undefined, "a", "/a"],
  ["/a", "b", "/a/b"],
  ["/a", "/b/", "/b"],
  ["/a", "../..", "/"],
  ["/a", ".", "/a"],
  ["", "/", "/"],
])("WORKDIR in %p to %p", (current, path, expected) => {
  expect(workdir(current, path)).toBe(expected);
});
