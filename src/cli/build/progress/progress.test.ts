import { describe, expect, test } from "bun:test";
import type { SolveStatus } from "../../../api/types.ts";
import { renderFrame } from "./frame.ts";
import { PlainProgress } from "./plain.ts";
import { BuildView } from "./view.ts";

const at = (seconds: number) => new Date(1_900_000_000_000 + seconds * 1000).toISOString();
const base64 = (text: string) => Buffer.from(text).toString("base64");
const began = (digest: string, name: string, from = 0): SolveStatus => ({
  vertexes: [{ digest, name, started: at(from) }],
});
const ended = (digest: string, to: number, more: { cached?: boolean; error?: string } = {}): SolveStatus => ({
  vertexes: [{ digest, name: "", started: at(0), completed: at(to), ...more }],
});
const said = (vertex: string, text: string, when = 0): SolveStatus => ({
  logs: [{ vertex, stream: 1, data: base64(text), timestamp: at(when) }],
});
const moved = (vertex: string, current: number, total: number): SolveStatus => ({
  statuses: [
    {
      id: "layer",
      vertex,
      name: "layer",
      current,
      total,
      started: at(0),
      timestamp: at(1),
      completed: current === total ? at(1) : undefined,
    },
  ],
});

describe("plain", () => {
  function shown(statuses: SolveStatus[], clock = () => 0): string {
    let text = "";
    const progress = new PlainProgress((more) => {
      text += more;
    }, clock);
    for (const status of statuses) progress.show(status);
    progress.end();
    return text;
  }

  test("a step's lines, whole even when they come in pieces", () => {
    const statuses = [
      began("a", "[1/2] FROM busybox"),
      ended("a", 0, { cached: true }),
      began("b", "[2/2] RUN make"),
      said("b", "one\ntw", 0.25),
      said("b", "o\r\nthree", 12.345),
      ended("b", 13),
    ];
    expect(shown(statuses)).toBe(
      "#1 [1/2] FROM busybox\n#1 CACHED\n\n#2 [2/2] RUN make\n#2 0.250 one\n#2 12.34 two\n#2 13.00 three\n#2 DONE 13.0s\n\n",
    );
  });

  test("escape sequences are left out, and what was written over with carriage returns", () => {
    const statuses = [
      began("a", "RUN curl"),
      said("a", "\x1b[31mred\x1b[0m\tand \x1b[2A\x1b[Kup\n", 1),
      said("a", "  1%\r  2%", 1),
      said("a", "\r100%\r", 2),
      said("a", "\ndone\r\n", 3),
      ended("a", 3),
    ];
    expect(shown(statuses)).toBe(
      "#1 RUN curl\n#1 1.000 red\tand up\n#1 3.000 100%\n#1 3.000 done\n#1 DONE 3.0s\n\n",
    );
  });

  test("steps side by side take turns", () => {
    let now = 0;
    const statuses = [
      began("a", "first"),
      began("b", "second"),
      said("a", "a1\n"),
      said("b", "b1\n"),
      said("a", "a2\n"),
      ended("a", 1),
      ended("b", 2, { error: "exit code: 1" }),
    ];
    expect(shown(statuses)).toBe(
      "#1 first\n#1 0.000 a1\n#1 0.000 a2\n#1 DONE 1.0s\n\n#2 second\n#2 0.000 b1\n#2 ERROR: exit code: 1\n\n",
    );
    expect(shown(statuses, () => (now += 300))).toContain("#1 ...\n\n#2 second\n#2 0.000 b1\n");
  });

  test("a step that says nothing gives its turn away", async () => {
    const second = Promise.withResolvers<void>();
    const plain = new PlainProgress((text) => {
      if (text.startsWith("#2 second")) second.resolve();
    });
    plain.show(began("a", "first"));
    plain.show(began("b", "second"));
    await second.promise;
    plain.end();
  });

  test("transfers are told when they are over, warnings in the end", () => {
    const statuses = [
      began("a", "FROM x"),
      moved("a", 1, 3_000_000),
      moved("a", 3_000_000, 3_000_000),
      ended("a", 1),
      { warnings: [{ vertex: "a", level: 1, short: base64("Rule: text (line 2)") }] },
    ];
    expect(shown(statuses)).toBe(
      "#1 FROM x\n#1 layer 3MB 1.0s done\n#1 DONE 1.0s\n\n\n 1 warning found:\n - Rule: text (line 2)\n",
    );
  });
});

describe("frame", () => {
  const now = Date.parse(at(5));
  function frame(
    statuses: SolveStatus[],
    options: Partial<Parameters<typeof renderFrame>[1]> = {},
  ): string[] {
    const view = new BuildView({}, () => Date.parse(at(2)));
    for (const status of statuses) view.apply(status);
    return renderFrame(view, {
      columns: 40,
      rows: 24,
      now,
      began: Date.parse(at(0)),
      colour: false,
      ...options,
    });
  }
  const running = [
    began("a", "[internal] load build context"),
    ended("a", 0.1),
    began("b", "[1/2] FROM busybox"),
    moved("b", 1_000_000, 3_000_000),
    began("c", "[2/2] RUN a command that is longer than the line"),
    said("c", "\x1b[31mred\x1b[0m\tand 10%\r20%\nnext\n\x1b[2J\n"),
  ];

  test("what runs, with its last lines, sizes and times", () => {
    expect(frame(running)).toEqual([
      "[+] Building 5.0s (1/3)",
      " => [internal] load build context  0.1s",
      " => [1/2] FROM busybox             3.0s",
      " => => layer 1MB / 3MB             5.0s",
      " => [2/2] RUN a command that is lo 3.0s",
      " => => # 20%",
      " => => # next",
    ]);
  });

  test("no line is wider than the terminal, and no picture higher, but for the last", () => {
    const many = Array.from({ length: 30 }, (_, i) => [
      began(`v${i}`, `step ${i} 漢字漢字漢字漢字漢字漢字`),
    ]).flat();
    const lines = frame([...many, ...running], { rows: 10 });
    expect(lines.length).toBeLessThan(10);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(40);
    expect(frame([...many, ...running], { rows: 10, ended: "finished" }).length).toBeGreaterThan(30);
  });

  test("the end: all steps, no output, colours when they are wanted", () => {
    const lines = frame([...running, ended("b", 1, { cached: true }), ended("c", 2, { error: "no" })], {
      ended: "failed",
    });
    expect(lines[0]).toBe("[+] Building 5.0s (3/3) ERROR");
    expect(lines).toContain(" => CACHED [1/2] FROM busybox      1.0s");
    expect(lines.at(-1)).toStartWith(" => ERROR [2/2] RUN");
    expect(frame(running, { colour: true })[1]).toMatch(/^\x1b\[34m.*\x1b\[0m$/);
  });
});
