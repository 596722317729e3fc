/** The ways to show a build: drawn on a terminal, as lines, as BuildKit's JSON, or not at all. */
import type { SolveStatus } from "../../../api/types.ts";
import { InvalidParameter } from "../../../lib/errors.ts";
import { isTerminal, sizeOf, stderrFd, writeAll } from "../../terminal.ts";

export interface Display {
  show(status: SolveStatus): void;
  /** The build is over, and nothing more will be shown. */
  end(ok: boolean): void;
}

const kinds = ["auto", "plain", "quiet", "none", "rawjson", "tty"] as const;
export type ProgressKind = (typeof kinds)[number];

/** @throws InvalidParameter in buildx's words */
export function checkProgress(text: string): ProgressKind {
  const kind = kinds.find((each) => each === text);
  if (!kind) throw new InvalidParameter(`invalid progress mode ${text}`);
  return kind;
}

/**
 * One of several builds on a display: its steps carry its name, `[web 2/3] RUN make`. Two builds may tell of the same
 * step, and each has it as its own.
 */
export function named(display: Display, name: string): Display["show"] {
  const own = (digest: string) => `${name}/${digest}`;
  return ({ vertexes, statuses, logs, warnings }) =>
    display.show({
      vertexes: vertexes?.map((vertex) => ({
        ...vertex,
        digest: own(vertex.digest),
        name: vertex.name.startsWith("[") ? `[${name} ${vertex.name.slice(1)}` : `[${name}] ${vertex.name}`,
      })),
      statuses: statuses?.map((status) => ({ ...status, vertex: own(status.vertex) })),
      logs: logs?.map((log) => ({ ...log, vertex: own(log.vertex) })),
      warnings: warnings?.map((warning) => ({ ...warning, vertex: own(warning.vertex) })),
    });
}

/** Where a build of this kind is shown: always on stderr, for stdout is the result's. */
export async function openDisplay(
  kind: ProgressKind,
  env: Record<string, string | undefined>,
): Promise<Display> {
  const write = (text: string) => writeAll(stderrFd, text);
  const chosen = kind === "auto" ? (isTerminal(stderrFd) ? "tty" : "plain") : kind;
  if (chosen === "quiet" || chosen === "none") return { show: () => {}, end: () => {} };
  if (chosen === "rawjson") return { show: (status) => write(`${JSON.stringify(status)}\n`), end: () => {} };
  if (chosen === "plain") return new (await import("./plain.ts")).PlainProgress(write);
  const { LiveProgress } = await import("./live.ts");
  return new LiveProgress({
    write,
    size: () => sizeOf(process.stderr),
    colour: isTerminal(stderrFd) && !env.NO_COLOR,
  });
}
