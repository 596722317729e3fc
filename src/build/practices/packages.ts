/** How packages are installed. */
import type { TextEdit } from "../../lib/text-edit.ts";
import type { Run } from "../dockerfile/instructions.ts";
import type { ParsedDockerfile } from "../dockerfile/parse.ts";
import { commandsOf, hasMountOver, isAptInstall, isAptUpdate, isCall, runsOf, scriptOf } from "./commands.ts";
import { filePractice } from "./practice.ts";
import { replaceMatches, spanOf } from "./source.ts";

/** Puts a flag behind the subcommand of every call; none when not every call can be found in the text. */
function insertFlag(
  dockerfile: ParsedDockerfile,
  run: Run,
  call: RegExp,
  flag: string,
  count: number,
): TextEdit[] | undefined {
  const edits = replaceMatches(spanOf(dockerfile, run), call, ([text]) => `${text} ${flag}`);
  return edits.length === count ? edits : undefined;
}

const lists = "/var/lib/apt/lists";

export const aptLists = filePractice(
  {
    name: "AptListsKept",
    severity: "warning",
    description: "The lists of apt-get update stay in the layer and are of no use there",
    advice: `end the RUN with rm -rf ${lists}/*, or mount a cache over ${lists}`,
  },
  function* (dockerfile) {
    const runs = runsOf(dockerfile.instructions);
    // An install without an update of its own needs the lists of an earlier one.
    const needed = runs.some((run) => {
      const commands = commandsOf(run);
      return commands.some(isAptInstall) && !commands.some(isAptUpdate);
    });
    for (const run of runs) {
      if (!commandsOf(run).some(isAptUpdate) || hasMountOver(run, lists)) continue;
      if (scriptOf(run).includes(lists) || !commandsOf(run).some(isAptInstall)) continue;
      const edit = needed ? undefined : removeLists(dockerfile, run);
      yield { range: run.range, detail: "The lists of apt stay in the layer", edits: edit && [edit] };
    }
  },
);

/** Only where commands are joined by && alone: elsewhere an end means something else. */
function removeLists(dockerfile: ParsedDockerfile, run: Run): TextEdit | undefined {
  const { start, text } = spanOf(dockerfile, run);
  if (run.command.form === "exec" || run.heredocs.length > 0) return undefined;
  if (/\|\||[;#|`]|\$\(|(?<!&)&(?!&)|\b(?:if|for|while|exit)\b/.test(scriptOf(run))) return undefined;
  const lines = text.split("\n");
  const last = lines.at(-1)!;
  // A last line that is no part of the commands, or goes on.
  if (/^\s*#/.test(last) || last.trim() === "" || /[\\`]\s*$/.test(last)) return undefined;
  const at = start + text.length;
  const indent = /^\s*/.exec(last)![0];
  const joint = lines.length > 1 ? ` ${dockerfile.esc}\n${indent || "    "}&& ` : " && ";
  return { start: at, end: at, text: `${joint}rm -rf ${lists}/*` };
}

export const aptUpdateAlone = filePractice(
  {
    name: "AptUpdateAlone",
    severity: "warning",
    description:
      "apt-get update in a RUN of its own comes from the cache when the packages change, with old lists",
    advice: "write apt-get update && apt-get install in one RUN",
  },
  function* ({ instructions }) {
    for (const run of runsOf(instructions)) {
      const commands = commandsOf(run);
      if (commands.some(isAptUpdate) && !commands.some((words) => isCall(words, /apt/, uses)))
        yield { range: run.range, detail: "apt-get update without an install in the same RUN" };
    }
  },
);
const uses = ["install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"];

const yes = /^(?:-[a-zA-Z]*y[a-zA-Z]*|--yes|--assume-yes|-qq)$/;

export const aptInteractive = filePractice(
  {
    name: "AptInteractive",
    severity: "warning",
    description: "apt-get install asks, and nobody answers in a build",
    advice: "use apt-get install -y",
  },
  function* (dockerfile) {
    for (const run of runsOf(dockerfile.instructions)) {
      const installs = commandsOf(run).filter(isAptInstall);
      const asking = installs.filter((words) => !words.some((word) => yes.test(word)));
      if (asking.length === 0) continue;
      const all = asking.length === installs.length;
      const edits = all
        ? insertFlag(dockerfile, run, /\bapt(?:-get)?(?:[ \t]+-\S+)*[ \t]+install\b/g, "-y", asking.length)
        : undefined;
      yield { range: run.range, detail: "apt-get install without -y", edits };
    }
  },
);

export const aptRecommends = filePractice(
  {
    name: "AptRecommends",
    severity: "info",
    description: "apt-get install brings recommended packages along, which few images need",
    advice: "use apt-get install --no-install-recommends, and name what is needed of them",
  },
  function* ({ instructions }) {
    for (const run of runsOf(instructions)) {
      const bare = commandsOf(run).some(
        (words) =>
          isAptInstall(words) && !words.some((word) => /no-install-recommends|Install-Recommends/.test(word)),
      );
      if (bare) yield { range: run.range, detail: "apt-get install without --no-install-recommends" };
    }
  },
);

export const apkCache = filePractice(
  {
    name: "ApkCacheKept",
    severity: "info",
    description: "The index that apk add fetches stays in the layer",
    advice: "use apk add --no-cache",
  },
  function* (dockerfile) {
    for (const run of runsOf(dockerfile.instructions)) {
      const adds = commandsOf(run).filter((words) => isCall(words, /^apk$/, ["add"]));
      const bare = adds.filter((words) => !words.includes("--no-cache"));
      if (
        bare.length === 0 ||
        hasMountOver(run, "/var/cache/apk") ||
        scriptOf(run).includes("/var/cache/apk")
      )
        continue;
      // With an update before it, the index is kept by that.
      const plain =
        bare.length === adds.length && !/\bapk(?:\s+-\S+)*\s+update\b|--update/.test(scriptOf(run));
      const edits = plain
        ? insertFlag(dockerfile, run, /\bapk(?:[ \t]+-\S+)*[ \t]+add\b/g, "--no-cache", bare.length)
        : undefined;
      yield { range: run.range, detail: "apk add without --no-cache", edits };
    }
  },
);

const pip = /^pip\d?(?:\.\d+)?$/;

export const pipCache = filePractice(
  {
    name: "PipCacheKept",
    severity: "info",
    description: "What pip downloads stays in the layer as its cache",
    advice: "use pip install --no-cache-dir, or mount a cache over /root/.cache/pip",
  },
  function* (dockerfile) {
    const off = dockerfile.instructions.some(
      (instruction) =>
        instruction.kind === "ENV" && instruction.pairs.some(([name]) => name === "PIP_NO_CACHE_DIR"),
    );
    if (off) return;
    for (const run of runsOf(dockerfile.instructions)) {
      const installs = commandsOf(run).filter((words) =>
        isCall([words[0]!.replace(/^.*\//, ""), ...words.slice(1)], pip, ["install"]),
      );
      const bare = installs.filter((words) => !words.includes("--no-cache-dir"));
      if (bare.length === 0 || hasMountOver(run, "/root/.cache/pip")) continue;
      const edits =
        bare.length === installs.length
          ? insertFlag(dockerfile, run, /\bpip\d?(?:\.\d+)?[ \t]+install\b/g, "--no-cache-dir", bare.length)
          : undefined;
      yield { range: run.range, detail: "pip install without --no-cache-dir", edits };
    }
  },
);

export const sudo = filePractice(
  {
    name: "SudoInRun",
    severity: "warning",
    description: "sudo changes signals and the environment, and a RUN is root until USER says otherwise",
    advice: "put the RUN before USER, or write USER root before it",
  },
  function* ({ instructions }) {
    for (const run of runsOf(instructions))
      if (/(?:^|&&|\|\||[;|\n])\s*sudo\s/.test(scriptOf(run)))
        yield { range: run.range, detail: "RUN with sudo" };
  },
);
