import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseAttestations } from "./options.ts";
import { scanPackages } from "./scan.ts";
import { spdx } from "./spdx.ts";

const root = mkdtempSync(join(tmpdir(), "gt-scan-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(files: Record<string, string>): string {
  const directory = mkdtempSync(join(root, "tree-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const signal = new AbortController().signal;

test("packages of dpkg, apk, Python and Node are found", async () => {
  const tree = write({
    "etc/os-release": 'NAME="Debian"\nID=debian\n',
    "var/lib/dpkg/status": [
      "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4",
      "Package: gone\nStatus: deinstall ok config-files\nVersion: 1",
    ].join("\n\n"),
    "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nVersion: 2024a-0\nArchitecture: all\n",
    "lib/apk/db/installed": "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\n\n",
    "usr/lib/python3/dist-packages/Flask_Login-2.0.dist-info/METADATA":
      "Name: Flask_Login\nVersion: 2.0\n\nName: no\n",
    "app/node_modules/@scope/a/package.json": '{"name":"@scope/a","version":"1.0.0","license":"MIT"}',
    "app/node_modules/b/package.json": '{"name":"b","version":"2.0.0"}',
    "app/node_modules/b/test/package.json": '{"name":"none","version":"1"}',
    "app/node_modules/broken/package.json": "{",
  });
  expect((await scanPackages(tree, signal)).map(({ purl }) => purl)).toEqual([
    "pkg:apk/debian/musl@1.2.4-r2?arch=x86_64",
    "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64",
    "pkg:deb/debian/tzdata@2024a-0?arch=all",
    "pkg:npm/%40scope/a@1.0.0",
    "pkg:npm/b@2.0.0",
    "pkg:pypi/flask-login@2.0",
  ]);
});

test("links out of the root lead nowhere", async () => {
  const tree = write({ "etc/x": "" });
  mkdirSync(join(tree, "var/lib/dpkg"), { recursive: true });
  symlinkSync("/var/lib/dpkg/status", join(tree, "var/lib/dpkg/status"));
  symlinkSync("/", join(tree, "node_modules"));
  expect(await scanPackages(tree, signal)).toEqual([]);
});

test("licences that are no expression are not passed on", () => {
  const { body } = spdx(
    [
      { name: "a", version: "1", purl: "pkg:npm/a@1", license: "MIT" },
      { name: "b", version: "1", purl: "pkg:npm/b@1", license: "see file!" },
    ],
    "sha256:00",
    "2024-01-01T00:00:00.000Z",
  );
  expect(body).toMatchObject({
    creationInfo: { created: "2024-01-01T00:00:00Z" },
    packages: [{ licenseDeclared: "MIT" }, { licenseDeclared: "NOASSERTION" }],
  });
});

test("what clients ask for", () => {
  expect(parseAttestations({ provenance: "mode=max,version=v1", sbom: "" })).toEqual({
    provenance: { mode: "max", version: "v1", builderId: "", inlineOnly: false },
    sbom: true,
  });
  expect(parseAttestations({ provenance: "disabled=true", sbom: "false" })).toEqual({});
  expect(() => parseAttestations({ provenance: "mode=mid" })).toThrow(/invalid provenance mode "mid"/);
  expect(() => parseAttestations({ vex: "" })).toThrow(/unknown attestation type "vex"/);
});
