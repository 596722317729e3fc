/** The OCI runtimes' words for a failed start, told apart and put into Docker's. */
import { InvalidParameter } from "../lib/errors.ts";
import type { ProcessSpec, StartFailureInfo } from "./types.ts";

/** A container or exec that did not start. `exitCode` is what Docker's clients exit with. */
export class StartFailure extends InvalidParameter implements StartFailureInfo {
  constructor(
    message: string,
    readonly exitCode: StartFailureInfo["exitCode"],
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

const prefixes = {
  start:
    "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ",
  exec: "OCI runtime exec failed: exec failed: ",
};

/** Of the kernel, in bytes with the zero at the end: PATH_MAX, MAX_ARG_STRLEN. */
const longestPath = 4096;
const longestArgument = 131_072;

/**
 * What the kernel would refuse, and a runtime would tell at the same length.
 * @throws StartFailure
 */
export function checkLengths(action: "start" | "exec", { args, env, cwd }: ProcessSpec): void {
  const fits = (text: string, most: number) => Buffer.byteLength(text) < most;
  const refuse = (why: string) =>
    new StartFailure(`${prefixes[action]}unable to start container process: ${why}: unknown`, 126);
  if (!fits(cwd, longestPath)) throw refuse("chdir to the working directory: file name too long");
  if (![...args, ...env].every((text) => fits(text, longestArgument))) throw refuse("argument list too long");
}

const mountHint =
  "Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type";

/**
 * @param output what the runtime wrote to stderr
 * @param command the first argument, as the user gave it
 */
export function startFailure(action: "start" | "exec", output: string, command: string): StartFailure {
  const last = output.trim().split("\n").at(-1) ?? "";
  // runc with --log says `runc run failed: ...` on stderr; crun says the bare cause.
  const cause = last
    .replace(/^time=".*?" level=\w+ msg="(.*)"$/, (_, message: string) => message.replaceAll('\\"', '"'))
    .replace(/^(?:runc run failed|runc create failed|exec failed): /, "");
  const reason = execProblem(cause, command);
  const text = reason
    ? `unable to start container process: ${reason.text}`
    : cause || "the OCI runtime gave no reason";
  const hint = /^mount .*: not a directory$/i.test(cause) ? `: ${mountHint}` : "";
  const exitCode = reason?.exitCode ?? (action === "exec" ? 126 : 125);
  return new StartFailure(`${prefixes[action]}${text}: unknown${hint}`, exitCode);
}

interface ExecProblem {
  text: string;
  /** undefined: as for any failed start. */
  exitCode?: 126 | 127;
}

function execProblem(cause: string, command: string): ExecProblem | undefined {
  const exec = `exec: ${JSON.stringify(command)}: `;
  const lower = cause.toLowerCase();
  // crun: "executable file `x` not found in $PATH: No such file or directory" for paths with a slash too.
  if (/executable file .*not found/.test(lower) || (command === "" && lower.startsWith("open executable"))) {
    const text = command.includes("/")
      ? `stat ${command}: no such file or directory`
      : "executable file not found in $PATH";
    return { text: exec + text, exitCode: 127 };
  }
  // crun: "chdir `/x`: No such file or directory".
  const chdir = /^chdir `(.*)`: (.*)$/.exec(cause);
  if (chdir)
    return { text: `chdir to cwd ("${chdir[1]}") set in config.json failed: ${chdir[2]!.toLowerCase()}` };
  if (cause.startsWith("chdir to cwd ")) return { text: cause };
  // runc: `unable to start container process: exec: "x": stat x: no such file or directory`.
  const runc = /exec: ".*": (.*)$/.exec(cause);
  if (runc) return { text: exec + runc[1], exitCode: /no such file|not found/.test(runc[1]!) ? 127 : 126 };
  // crun 1.8 says EPERM for a directory and EACCES for a file that is not executable.
  if (lower.startsWith("open executable: operation not permitted"))
    return { text: `${exec}is a directory`, exitCode: 126 };
  if (/^open executable: |^exec .*: permission denied/.test(lower))
    return { text: `${exec}permission denied`, exitCode: 126 };
  return undefined;
}
