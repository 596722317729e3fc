import { expect, test } from "bun:test";
import fc from "fast-check";
import { GantryError, InvalidParameter } from "../../lib/errors.ts";
import { endOfArchive, formatHeader, plainEntry } from "../../lib/tar/index.ts";
import { packContext, unpackContext } from "./archive.ts";

const meta = {
  Name: "staging",
  Metadata: { Description: "The rehearsal machine", Other: 1 },
  Endpoints: { docker: { Host: "tcp://staging:2376", SkipTLSVerify: false } },
};

test("what is packed comes out again, under its new name", () => {
  const tls = { "ca.pem": "CA", "key.pem": "KEY" };
  expect(unpackContext(packContext(meta, tls), "rehearsal")).toEqual({
    meta: { ...meta, Name: "rehearsal" },
    tls,
  });
});

const entry = (path: string, type: "file" | "symlink", text: string) =>
  Buffer.concat([
    formatHeader(
      plainEntry({ path, type, size: text.length, linkPath: type === "symlink" ? "/etc/passwd" : "" }),
    ),
    Buffer.from(text.padEnd(512 * Math.ceil(text.length / 512), "\0")),
  ]);
const good = entry("meta.json", "file", "{}");

test.each([
  ["no metadata", [entry("tls/docker/ca.pem", "file", "CA")]],
  ["no JSON", [entry("meta.json", "file", "{")]],
  ["an endpoint that is none", [entry("meta.json", "file", '{"Endpoints":{"docker":{"Host":1}}}')]],
  ["a file beside", [good, entry("other", "file", "x")]],
  ["a path that leads out", [good, entry("tls/docker/../../../x.pem", "file", "x")]],
  ["a link", [good, entry("tls/docker/ca.pem", "symlink", "")]],
])("%s is refused", (_, entries) => {
  expect(() => unpackContext(Buffer.concat([...entries, endOfArchive]), "x")).toThrow(InvalidParameter);
});

test("any bytes are read or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2048 }), (bytes) => {
      try {
        unpackContext(bytes, "x");
      } catch (error) {
        expect(error).toBeInstanceOf(GantryError);
      }
    }),
  );
});
