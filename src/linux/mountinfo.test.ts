import { expect, test } from "bun:test";
import { mountOf } from "./mountinfo.ts";

const text = `22 1 8:1 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /a rw shared:4 - tmpfs tmpfs rw
31 30 0:27 / /a/b\\040c rw master:4 propagate_from:2 - tmpfs tmpfs rw
32 30 0:28 / /twice rw shared:9 - tmpfs tmpfs rw
33 32 0:29 / /twice rw - tmpfs tmpfs rw
`;

test.each([
  ["/etc", "/", false, false],
  ["/a", "/a", true, false],
  ["/ab", "/", false, false],
  ["/a/x/y", "/a", true, false],
  ["/a/b c/d", "/a/b c", false, true],
  ["/twice/x", "/twice", false, false],
])("%s is on %s", (path, mountpoint, shared, slave) => {
  expect(mountOf(path, text)).toEqual({ mountpoint, shared, slave });
});
