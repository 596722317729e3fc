import { createHash, randomUUID } from "node:crypto";
import { homedir } from "node:os";
import type { Value } from "../types.ts";
import { entriesOf, isMap, ValueError } from "../value.ts";
import { parseCsv } from "./csv.ts";
import { fixed, type HclFunction } from "./define.ts";
import { compareVersions } from "./semver.ts";

const text = (run: (text: string) => Value) => fixed(["string"], run);
const hash = (algorithm: string) => text((value) => createHash(algorithm).update(value).digest("hex"));

export const encodings: Record<string, HclFunction> = {
  base64decode: text((value) => {
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value)) throw new ValueError("this is not base64");
    return Buffer.from(value, "base64").toString();
  }),
  base64encode: text((value) => Buffer.from(value).toString("base64")),
  csvdecode: text(parseCsv),
  homedir: fixed([], homedir),
  jsondecode: text((value) => {
    try {
      return JSON.parse(value) as Value;
    } catch (error) {
      throw new ValueError(`not valid JSON: ${(error as SyntaxError).message}`);
    }
  }),
  jsonencode: fixed(["any"], (value) => JSON.stringify(inOrder(value))),
  md5: hash("md5"),
  semvercmp: fixed(["string", "string"], compareVersions),
  sha1: hash("sha1"),
  sha256: hash("sha256"),
  sha512: hash("sha512"),
  // As in forms: a blank is a plus.
  urlencode: text((value) => new URLSearchParams([["", value]]).toString().slice(1)),
  uuidv4: fixed([], () => randomUUID()),
  uuidv5: fixed(["string", "string"], uuidFromName),
};

function inOrder(value: Value): Value {
  if (Array.isArray(value)) return value.map(inOrder);
  if (!isMap(value)) return value;
  return Object.fromEntries(entriesOf(value).map(([key, item]) => [key, inOrder(item)]));
}

/** RFC 4122's namespaces by the words that HCL gives them; others are UUIDs themselves. */
const namespaces: Record<string, string> = {
  dns: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
  url: "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
  oid: "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
  x500: "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
};

function uuidFromName(namespace: string, name: string): string {
  const space = (Object.hasOwn(namespaces, namespace) ? namespaces[namespace]! : namespace).replaceAll(
    "-",
    "",
  );
  if (!/^[0-9a-f]{32}$/i.test(space)) throw new ValueError(`${JSON.stringify(namespace)} is no namespace`);
  const bytes = createHash("sha1").update(Buffer.from(space, "hex")).update(name).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
