import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parseGroup, parsePasswd, resolveUser } from "./users.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-users-"));
mkdirSync(join(root, "etc"));
writeFileSync(
  join(root, "etc/passwd"),
  "root:x:0:0::/root:/bin/sh\n# comment\nbroken\nalice:x:1000:1001::/home/alice:/bin/sh\nlost:x:9:9\n12:x:77:78::/:\n",
);
writeFileSync(
  join(root, "etc/group"),
  "root:x:0:\nalice:x:1001:\nstaff:x:50:bob,alice\nwheel:x:10:root,alice\nodd:x:nan:alice\n",
);
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe("resolveUser", () => {
  test.each([
    ["", [], { uid: 0, gid: 0, additionalGids: [0, 10], home: "/root" }],
    ["root", [], { uid: 0, gid: 0, additionalGids: [0, 10], home: "/root" }],
    ["alice", [], { uid: 1000, gid: 1001, additionalGids: [1001, 50, 10], home: "/home/alice" }],
    ["1000", [], { uid: 1000, gid: 1001, additionalGids: [1001, 50, 10], home: "/home/alice" }],
    ["alice:staff", [], { uid: 1000, gid: 50, additionalGids: [50], home: "/home/alice" }],
    ["alice:7", ["wheel", "99"], { uid: 1000, gid: 7, additionalGids: [7, 10, 99], home: "/home/alice" }],
    ["4242", [], { uid: 4242, gid: 0, additionalGids: [0], home: "/" }],
    ["4242:4343", [], { uid: 4242, gid: 4343, additionalGids: [4343], home: "/" }],
    [":staff", [], { uid: 0, gid: 50, additionalGids: [50], home: "/root" }],
    ["lost", [], { uid: 9, gid: 9, additionalGids: [9], home: "/" }],
    // A name of digits goes before a number.
    ["12", [], { uid: 77, gid: 78, additionalGids: [78], home: "/" }],
  ])("%p with %p", async (user, extra, expected) => {
    expect(await resolveUser(root, user, extra)).toEqual(expected);
  });

  test.each([
    ["bob", [], "unable to find user bob: no matching entries in passwd file"],
    ["alice:nope", [], "unable to find group nope: no matching entries in group file"],
    ["root", ["nope"], "unable to find group nope: no matching entries in group file"],
    ["2147483648", [], "uids and gids must be in range 0-2147483647"],
    ["-1", [], "uids and gids must be in range 0-2147483647"],
    ["0:99999999999", [], "uids and gids must be in range 0-2147483647"],
  ])("%p with %p is refused", async (user, extra, message) => {
    expect(resolveUser(root, user, extra)).rejects.toThrow(message);
  });

  test("a root without the files has numbers only", async () => {
    const empty = join(root, "empty");
    mkdirSync(empty);
    expect(await resolveUser(empty, "5:6")).toEqual({ uid: 5, gid: 6, additionalGids: [6], home: "/" });
    expect(await resolveUser(empty, "")).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: "/" });
    expect(resolveUser(empty, "root")).rejects.toThrow("unable to find user root");
  });
});

test("links are followed inside the root, and never out of it", async () => {
  const jail = join(root, "jail");
  mkdirSync(join(jail, "etc"), { recursive: true });
  mkdirSync(join(jail, "usr"));
  writeFileSync(join(root, "outside"), "spy:x:7:7::/:\n");
  writeFileSync(join(jail, "usr/passwd"), "app:x:8:8::/:\n");
  symlinkSync("/usr/passwd", join(jail, "etc/passwd"));
  expect(await resolveUser(jail, "app")).toMatchObject({ uid: 8, gid: 8 });
  for (const target of ["../../outside", join(root, "outside"), "passwd"]) {
    rmSync(join(jail, "etc/passwd"));
    symlinkSync(target, join(jail, "etc/passwd"));
    expect(resolveUser(jail, "spy")).rejects.toThrow("unable to find user spy");
  }
});

test("any text is parsed without failing, and entries written are entries read", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      parsePasswd(text);
      parseGroup(text);
    }),
  );
  const name = fc.stringMatching(/^[a-z_][a-z0-9_-]{0,30}$/);
  const id = fc.nat(2 ** 31 - 1);
  fc.assert(
    fc.property(fc.array(fc.record({ name, uid: id, gid: id })), (entries) => {
      const text = entries
        .map((entry) => `${entry.name}:x:${entry.uid}:${entry.gid}:gecos:/home:/bin/sh\n`)
        .join("");
      expect(parsePasswd(text)).toEqual(entries.map((entry) => ({ ...entry, home: "/home" })));
    }),
  );
});
