/** How files come into the image. */
import { posix } from "node:path";
import type { Copy, Instruction } from "../dockerfile/instructions.ts";
import { isRemote } from "../files/remote.ts";
import { commandsOf, runsOf } from "./commands.ts";
import { filePractice, stagePractice } from "./practice.ts";
import { replaceMatches, spanOf } from "./source.ts";

const isCopy = (instruction: Instruction): instruction is Copy =>
  instruction.kind === "COPY" || instruction.kind === "ADD";
/** Takes the whole build context. */
const takesAll = (instruction: Instruction): instruction is Copy =>
  isCopy(instruction) &&
  instruction.from === undefined &&
  instruction.sources.some((source) => posix.normalize(`/${source}`).replace(/\/\*?$/, "") === "");

export const ignoreFile = stagePractice(
  {
    name: "DockerignoreMissing",
    severity: "warning",
    description:
      "Without a .dockerignore the whole folder is sent and copied: repository, secrets, old builds",
    advice: "write a .dockerignore with .git, .env and what is built or installed (gantry init writes one)",
  },
  function* ({ instructions }, { ignore }) {
    const copy = ignore.empty ? instructions.find(takesAll) : undefined;
    if (copy)
      yield { range: copy.range, detail: `${copy.kind} of the whole context, and there is no .dockerignore` };
  },
);

/** Programs that install what a file of the project names. */
const installers: [RegExp, manifest: string][] = [
  [/^npm (?:ci|install|i)(?: -\S+)*$/, "package.json package-lock.json"],
  [/^(?:yarn|pnpm)(?: install| i)?(?: -\S+)*$/, "package.json and the lock file"],
  [/^(?:\S*\/)?pip\d? install .*-r\s?\S+/, "requirements.txt"],
  [/^bundle install/, "Gemfile Gemfile.lock"],
  [/^composer install/, "composer.json composer.lock"],
  [/^go mod download/, "go.mod go.sum"],
  [/^poetry install/, "pyproject.toml poetry.lock"],
];

export const installOrder = stagePractice(
  {
    name: "CopyBeforeInstall",
    severity: "warning",
    description: "Any changed file makes the packages be installed again, for all files are copied before",
    advice: "copy the files that name the packages, install, and copy the rest after that",
  },
  function* ({ instructions }) {
    const all = instructions.findIndex(takesAll);
    if (all < 0) return;
    const installed = (part: readonly Instruction[]) =>
      runsOf(part).flatMap((run) =>
        commandsOf(run).flatMap((words) => {
          const found = installers.find(([pattern]) => pattern.test(words.join(" ")));
          return found ? [{ run, manifest: found[1] }] : [];
        }),
      );
    const before = installed(instructions.slice(0, all)).map(({ manifest }) => manifest);
    for (const { manifest } of installed(instructions.slice(all))) {
      // Installed before as well: that was the step that takes its time.
      if (before.includes(manifest)) continue;
      yield {
        range: instructions[all]!.range,
        detail: `Everything is copied before packages are installed; ${manifest} is enough for that`,
      };
      return;
    }
  },
);

const archive = /\.(?:tar|tgz|tbz2?|txz|tzst|gz|bz2|xz|zst|zip|jar|lzma)$/i;
/** Surely no archive: what has another extension, or is a directory. */
const isPlain = (source: string) =>
  !/[$*?[]/.test(source) &&
  (/(?:^\.{0,2}|\/)$/.test(source) || (/\.[a-z]\w*$/i.test(source) && !archive.test(source)));

export const addForCopy = filePractice(
  {
    name: "AddInsteadOfCopy",
    severity: "warning",
    description: "ADD also downloads and unpacks; COPY says that files are copied, and no more",
    advice: "use COPY",
  },
  function* (dockerfile) {
    for (const instruction of dockerfile.instructions) {
      if (instruction.kind !== "ADD") continue;
      const { sources, inline, checksum, unpack, keepGitDir, range } = instruction;
      if (checksum !== undefined || unpack !== undefined || keepGitDir !== undefined) continue;
      if (sources.length + inline.length === 0) continue;
      if (sources.some((source) => isRemote(source) || archive.test(source) || source.includes("$")))
        continue;
      const span = spanOf(dockerfile, instruction);
      const word = /^\s*add/.test(span.text) ? "copy" : "COPY";
      const edits = sources.every(isPlain)
        ? replaceMatches(span, /(?<=^\s*)add(?=\s)/gi, () => word)
        : undefined;
      yield {
        range,
        detail: `ADD of ${[...sources, ...inline.map(({ name }) => `<<${name}`)].join(" ")}`,
        edits,
      };
    }
  },
);

export const uncheckedDownload = filePractice(
  {
    name: "DownloadUnchecked",
    severity: "info",
    description: "What a URL gives may be another file the next day",
    advice: "give its digest: ADD --checksum=sha256:...",
  },
  function* ({ instructions }) {
    for (const instruction of instructions) {
      if (instruction.kind !== "ADD" || instruction.checksum !== undefined) continue;
      const url = instruction.sources.find(
        (source) => /^https?:/.test(source) && !/\.git(?:#|$)/.test(source),
      );
      if (url !== undefined) yield { range: instruction.range, detail: `${url} is not checked` };
    }
  },
);

export const changeDirectory = filePractice(
  {
    name: "CdInRun",
    severity: "info",
    description: "cd ends with its RUN; WORKDIR stays and is seen in the image",
    advice: "use WORKDIR",
  },
  function* ({ instructions }) {
    for (const run of runsOf(instructions)) {
      const commands = commandsOf(run);
      if (commands.length === 1 && commands[0]![0] === "cd")
        yield { range: run.range, detail: `cd ${commands[0]![1] ?? ""} has no effect on what follows` };
    }
  },
);
