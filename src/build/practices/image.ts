/** What the resulting image is: its user, its stages, its health. */
import { ancestry } from "../checks/stages.ts";
import type { Instruction } from "../dockerfile/instructions.ts";
import type { Stage } from "../graph/stages.ts";
import { commandsOf, isCall, runsOf } from "./commands.ts";
import { targetPractice } from "./practice.ts";

const isRoot = (user: string) => /^(?:root|0)(?::|$)/.test(user);

export const ordinaryUser = targetPractice(
  {
    name: "RootUser",
    severity: "warning",
    description: "The program should not run as root: what breaks out of it would be root",
    advice: "add a user (RUN useradd --system app) and switch to it before CMD (USER app)",
  },
  function* (target, subject) {
    const line = ancestry(target, subject.graph);
    const user = lastOf(line, "USER");
    if (user) {
      if (isRoot(user.user)) yield { range: user.range, detail: `The last USER is ${user.user}` };
      return;
    }
    const root = line.at(-1)!;
    // From nothing, or from an image that has a user of its own.
    if (root.base === "scratch" || (subject.base(root)?.config.config?.User ?? "") !== "") return;
    if (/nonroot|unprivileged/.test(root.from.image)) return;
    yield { range: target.from.range, detail: "No USER is set: the program runs as root" };
  },
);

/** The last instruction of a kind, that of the nearest stage first. */
function lastOf<K extends Instruction["kind"]>(line: readonly Stage[], kind: K) {
  for (const { instructions } of line) {
    const found = instructions.findLast(
      (instruction): instruction is Extract<Instruction, { kind: K }> => instruction.kind === kind,
    );
    if (found) return found;
  }
  return undefined;
}

const builders: [program: RegExp, subcommands: string[]][] = [
  [/^go$/, ["build", "install"]],
  [/^cargo$/, ["build", "install"]],
  [/^(?:mvn|\.\/mvnw)$/, ["package", "install", "verify"]],
  [/^(?:gradle|\.\/gradlew)$/, ["build", "assemble", "bootJar", "shadowJar"]],
  [/^dotnet$/, ["build", "publish"]],
  [/^(?:make|cmake|ninja)$/, ["all", "install", "build"]],
];

function isBuild(words: readonly string[]): boolean {
  const [name = "", ...rest] = words;
  if (builders.some(([program, subcommands]) => isCall(words, program, subcommands))) return true;
  if (/^(?:gcc|g\+\+|cc|clang|rustc|javac|make)$/.test(name)) return true;
  return /^(?:npm|pnpm|yarn)$/.test(name) && /^(?:run )?build\b/.test(rest.join(" "));
}

export const severalStages = targetPractice(
  {
    name: "SingleStageBuild",
    severity: "warning",
    description: "What builds the program should not be in the image that runs it",
    advice: "build in a stage of its own (FROM ... AS build) and COPY --from=build the result",
  },
  function* (target, { graph }) {
    // A stage that others take from, or that takes from others, is one of several already.
    if (graph.needed.length > 1) return;
    const run = runsOf(target.instructions).find((one) => commandsOf(one).some(isBuild));
    if (run) yield { range: run.range, detail: "The program is built in the stage that runs it" };
  },
);

export const health = targetPractice(
  {
    name: "HealthcheckMissing",
    severity: "info",
    description: "A service should say how to see that it works",
    advice: "add HEALTHCHECK CMD with a request to the service, or HEALTHCHECK NONE",
  },
  function* (target, { graph }) {
    const line = ancestry(target, graph);
    const port = lastOf(line, "EXPOSE");
    if (port && !lastOf(line, "HEALTHCHECK"))
      yield { range: port.range, detail: "The image has a port, and no HEALTHCHECK" };
  },
);

const many = 4;

export const fewLayers = targetPractice(
  {
    name: "ManyLayers",
    severity: "info",
    description: "Each RUN is a layer; what a later one removes is still in the earlier",
    advice: "join RUNs that belong together with && or a heredoc",
  },
  function* ({ instructions }) {
    let row: Instruction[] = [];
    for (const instruction of [...instructions, undefined]) {
      if (instruction?.kind === "RUN") {
        row.push(instruction);
        continue;
      }
      if (row.length >= many)
        yield { range: row[0]!.range, detail: `${row.length} RUN instructions in a row` };
      row = [];
    }
  },
);
