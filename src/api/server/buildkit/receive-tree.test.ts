import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { GantryError, InvalidParameter } from "../../../lib/errors.ts";
import { goMode } from "./go-mode.ts";
import { type Packet, PacketSchema, type StatSchema, Packet_PacketType as Type } from "./proto/fsutil_pb.ts";
import { TreeReceiver } from "./receive-tree.ts";
import { TreeSender } from "./send-tree.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "gt-receive-"));
  mkdirSync(join(home, "outside"));
  writeFileSync(join(home, "outside", "file"), "untouched");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const root = () => join(home, "files");
const stat = (fields: MessageInitShape<typeof StatSchema>) =>
  create(PacketSchema, { type: Type.PACKET_STAT, stat: { mode: 0o644, ...fields } });
const allTold = create(PacketSchema, { type: Type.PACKET_STAT });
const data = (id: number, text = "") =>
  create(PacketSchema, { type: Type.PACKET_DATA, id, data: new TextEncoder().encode(text) });
const directory = (path: string) => stat({ path, mode: (goMode.directory | 0o755) >>> 0 });
const link = (path: string, linkname: string) => stat({ path, linkname, mode: (goMode.link | 0o777) >>> 0 });

function receive(packets: Packet[]): Packet[] {
  const sent: Packet[] = [];
  using receiver = new TreeReceiver(root(), join(home, "incoming"), (packet) => sent.push(packet));
  for (const packet of packets) receiver.receive(packet);
  expect(receiver.done).toBe(true);
  return sent;
}

describe("what no honest client sends is refused, and nothing is touched outside", () => {
  const cases: [string, () => Packet[]][] = [
    ["a path that climbs", () => [stat({ path: "../outside/file" })]],
    ["an absolute path", () => [stat({ path: "/etc/x" })]],
    ["a path with empty parts", () => [directory("a"), stat({ path: "a//b" })]],
    ["a zero byte", () => [stat({ path: "a\0b" })]],
    ["a file below a link", () => [link("a", "../outside"), stat({ path: "a/file" })]],
    ["a file below a file", () => [stat({ path: "a" }), stat({ path: "a/b" })]],
    ["a file before its directory", () => [stat({ path: "a/b" })]],
    ["the same path twice", () => [stat({ path: "a" }), stat({ path: "a" })]],
    ["a hard link to the outside", () => [stat({ path: "a", linkname: "../outside/file" })]],
    ["a hard link to a link", () => [link("l", "../outside/file"), stat({ path: "a", linkname: "l" })]],
    ["a link to nowhere", () => [link("l", "")]],
    ["a name too long", () => [stat({ path: "n".repeat(256) })]],
    ["a device", () => [stat({ path: "a", mode: (goMode.device | 0o600) >>> 0 })]],
    ["contents nobody asked for", () => [data(7, "x")]],
    ["an entry after the last", () => [stat({ path: "a" }), allTold, stat({ path: "b" })]],
    ["an error of its own", () => [create(PacketSchema, { type: Type.PACKET_ERR })]],
  ];
  test.each(cases)("%s", (_, packets) => {
    expect(() => receive(packets())).toThrow(InvalidParameter);
    expect(readFileSync(join(home, "outside", "file"), "utf8")).toBe("untouched");
    expect(readdirSync(join(home, "outside"))).toEqual(["file"]);
    expect(existsSync(join(home, "incoming"))).toBe(false);
  });

  test("a directory where a link was is made anew", () => {
    receive([link("a", "../outside"), allTold]);
    receive([directory("a"), stat({ path: "a/file", size: 3n }), allTold, data(1, "new"), data(1)]);
    expect(readFileSync(join(home, "outside", "file"), "utf8")).toBe("untouched");
    expect(readFileSync(join(root(), "a/file"), "utf8")).toBe("new");
  });

  test("any packets at all: an error of ours or a tree, never a file outside", () => {
    const name = fc.constantFrom("a", "b", "..", ".", "", "a/b", "a/../b", "../outside/file", "/a", "b/a");
    const packet = fc.record({
      type: fc.constantFrom(0, 1, 2, 3, 4),
      id: fc.nat(4),
      path: name,
      linkname: fc.oneof(fc.constant(""), name),
      mode: fc.constantFrom(0o644, goMode.directory, goMode.link, goMode.device, goMode.socket),
      last: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 8 }), (packets) => {
        using receiver = new TreeReceiver(root(), join(home, "incoming"), () => {});
        try {
          for (const { type, id, path, linkname, mode, last } of packets)
            receiver.receive(
              create(PacketSchema, {
                type,
                id,
                stat: last ? undefined : { path, linkname, mode: mode >>> 0 },
              }),
            );
        } catch (error) {
          expect(error).toBeInstanceOf(GantryError);
        }
        expect(readdirSync(home).filter((entry) => entry !== "files" && entry !== "incoming")).toEqual([
          "outside",
        ]);
        expect(readFileSync(join(home, "outside", "file"), "utf8")).toBe("untouched");
      }),
      { numRuns: 300 },
    );
  });
});

test("only what differs is asked for; what is told no more goes", () => {
  const file = (path: string, modTime: bigint) => stat({ path, size: 1n, modTime });
  const first = receive([
    directory("d"),
    file("d/a", 1n),
    file("d/b", 1n),
    allTold,
    data(1, "a"),
    data(1),
    data(2, "b"),
    data(2),
  ]);
  expect(first.map(({ type }) => type)).toEqual([Type.PACKET_REQ, Type.PACKET_REQ, Type.PACKET_FIN]);
  const second = receive([directory("d"), file("d/a", 1n), file("d/c", 1n), allTold, data(2, "c"), data(2)]);
  expect(second.map(({ type, id }) => [type, id])).toEqual([
    [Type.PACKET_REQ, 2],
    [Type.PACKET_FIN, 0],
  ]);
  expect(readdirSync(join(root(), "d")).sort()).toEqual(["a", "c"]);
  expect(lstatSync(join(root(), "d/a"), { bigint: true }).mtimeNs).toBe(1n);
});

test("a sender's tree arrives as it is", async () => {
  const source = join(home, "source");
  mkdirSync(join(source, "d"), { recursive: true });
  writeFileSync(join(source, "d", "large"), Buffer.alloc(100_000, 3), { mode: 0o640 });
  writeFileSync(join(source, "ü"), "");
  const sender = new TreeSender([{ path: "", root: source }]);
  using receiver = new TreeReceiver(root(), join(home, "incoming"), (packet) => sender.receive(packet));
  for await (const packet of sender.packets()) receiver.receive(packet);
  expect(readdirSync(root()).sort()).toEqual(["d", "ü"]);
  expect(readFileSync(join(root(), "d/large"))).toEqual(Buffer.alloc(100_000, 3));
  expect(lstatSync(join(root(), "d/large")).mode & 0o7777).toBe(0o640);
});
