import { expect, test } from "bun:test";
import fc from "fast-check";
import { DetachWatcher, defaultDetachKeys, parseDetachKeys } from "./detach-keys.ts";

test("names of keys", () => {
  expect(parseDetachKeys(defaultDetachKeys)).toEqual([16, 17]);
  expect(parseDetachKeys("ctrl-A,x,ctrl-@,ctrl-_")).toEqual([1, 120, 0, 31]);
  for (const wrong of ["", "ctrl-", "ctrl-1", "ab", "a,,b", "\n", "ä"])
    expect(() => parseDetachKeys(wrong), wrong).toThrow("invalid detach keys");
});

test("what only begins like the sequence is passed on as soon as that is clear", () => {
  const watcher = new DetachWatcher([16, 17]);
  expect(watcher.push(Uint8Array.of(97, 16))).toEqual({ pass: Uint8Array.of(97), detached: false });
  expect(watcher.push(Uint8Array.of(16, 98))).toEqual({ pass: Uint8Array.of(16, 16, 98), detached: false });
  expect(watcher.push(Uint8Array.of(16))).toEqual({ pass: Uint8Array.of(), detached: false });
  expect(watcher.push(Uint8Array.of(17, 99))).toEqual({ pass: Uint8Array.of(), detached: true });
});

test("however it is typed, the first sequence is found, and all that is before it passed on", () => {
  const key = fc.integer({ min: 0, max: 2 });
  const text = fc.array(key, { maxLength: 40 });
  const cuts = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(key, { minLength: 1, maxLength: 4 }), text, cuts, (keys, typed, sizes) => {
      const watcher = new DetachWatcher(keys);
      const passed: number[] = [];
      let detached = false;
      for (let at = 0, piece = 0; at < typed.length && !detached; piece++) {
        const size = sizes[piece % sizes.length]!;
        const result = watcher.push(Uint8Array.from(typed.slice(at, at + size)));
        passed.push(...result.pass);
        detached = result.detached;
        at += size;
      }
      const where = typed.findIndex((_, at) => keys.every((wanted, index) => typed[at + index] === wanted));
      expect(detached).toBe(where >= 0);
      // Without the sequence, its beginning may be held back.
      const expected = where >= 0 ? typed.slice(0, where) : typed.slice(0, passed.length);
      expect(passed).toEqual(expected);
      if (where < 0) expect(typed.length - passed.length).toBeLessThan(keys.length);
    }),
  );
});
