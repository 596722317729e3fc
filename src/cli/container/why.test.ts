import { expect, test } from "bun:test";
import { story } from "./why.ts";

const ending = {
  Name: "web",
  Status: "exited",
  ExitCode: 0,
  Error: "",
  OOMKilled: false,
  MemoryLimit: 0,
  StartedAt: "2026-01-01T00:00:00Z",
  FinishedAt: "2026-01-01T00:00:05Z",
  Asked: null,
  RestartPolicy: { Name: "no", MaximumRetryCount: 0 },
  RestartCount: 0,
  Health: null,
  LastLines: [],
};
const now = Date.parse("2026-01-01T00:02:05Z");
const stop = { What: "stop" as const, Signal: 15, By: "docker/28", At: "2026-01-01T00:00:04Z" };

test.each([
  [{}, ["web ended 2 minutes ago with exit code 0, after 5 seconds.", "Its program was done."]],
  [{ ExitCode: 3 }, [expect.any(String), "Its program failed on its own."]],
  [{ Status: "created" }, ["web has never run."]],
  [{ Status: "running" }, ["web is running, since 2 minutes."]],
  [
    { ExitCode: 137, OOMKilled: true, MemoryLimit: 67_108_864 },
    [expect.any(String), "The kernel killed it: more memory was wanted than its limit of 64MiB (--memory)."],
  ],
  [
    {
      ExitCode: 1,
      OOMKilled: true,
      OOM: { Kills: 3, MemoryPeak: 67_108_864, SwapPeak: 1_048_576 },
      MemoryLimit: 67_108_864,
    },
    [
      expect.any(String),
      "The kernel killed 3 processes of it: more memory was wanted than its limit of 64MiB (--memory). It had 64MiB at most and 1MiB of swap.",
    ],
  ],
  [{ ExitCode: 143, Asked: stop }, [expect.any(String), "docker/28 asked to stop it, with SIGTERM."]],
  [
    { ExitCode: 137, Asked: stop },
    [expect.any(String), "docker/28 asked to stop it, with SIGTERM; it did not end in time and got SIGKILL."],
  ],
  [
    { ExitCode: 139 },
    [
      expect.any(String),
      "Nobody asked for that here: a signal ended it (SIGSEGV), or its program says so with this code.",
    ],
  ],
  [
    { Status: "created", ExitCode: 127, Error: "no such file" },
    ["web has never run.", "It could not be started: no such file"],
  ],
  [
    {
      ExitCode: 1,
      RestartCount: 2,
      RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 },
      LastLines: ["bye"],
    },
    [
      expect.any(String),
      "Its program failed on its own.",
      "It has been started again 2 times (--restart on-failure).",
      "Its last output:",
      "  bye",
    ],
  ],
])("%j", (difference, lines) => {
  expect(story({ ...ending, ...difference }, now)).toEqual(lines as string[]);
});
