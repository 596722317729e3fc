/** The Dockerfile's instructions after parsing; variables are not yet substituted. */
import type { HealthcheckConfig } from "../../lib/oci.ts";

/** Where an instruction stands; lines count from 1. */
export interface SourceRange {
  file: string;
  line: number;
  endLine: number;
  /** The first line as written, for messages. */
  source: string;
}

export interface Heredoc {
  name: string;
  content: string;
  /** False when the delimiter was quoted: the content is taken as it is. */
  expand: boolean;
}

/** Exec form is a JSON array; anything else goes through the stage's shell. */
export type CommandLine = { form: "exec"; args: string[] } | { form: "shell"; text: string };

export interface Common {
  range: SourceRange;
  /** The instruction on one line, as it is shown: `RUN make`. */
  text: string;
  /** The keyword as it was written. */
  keyword: string;
  /** A blank line stands between the continued ones. */
  emptyContinuation: boolean;
  /** The last comment line right above. */
  comment?: string;
}

export interface From extends Common {
  kind: "FROM";
  image: string;
  platform?: string;
  /** Lower case. */
  stage?: string;
  /** `AS name` as it was written. */
  as?: { keyword: string; name: string };
}
export interface Run extends Common {
  kind: "RUN";
  command: CommandLine;
  heredocs: Heredoc[];
  /** `--mount` values as written. */
  mounts: string[];
  network?: string;
  security?: string;
  /** `--device` values as written. */
  devices: string[];
}
export interface Copy extends Common {
  kind: "COPY" | "ADD";
  sources: string[];
  /** Files written inline; they come after `sources`. */
  inline: Heredoc[];
  destination: string;
  from?: string;
  chown?: string;
  chmod?: string;
  exclude: string[];
  parents: boolean;
  link: boolean;
  /** ADD only. */
  checksum?: string;
  unpack?: boolean;
  keepGitDir?: boolean;
}
export interface Workdir extends Common {
  kind: "WORKDIR";
  path: string;
}
export interface Env extends Common {
  kind: "ENV";
  pairs: [string, string][];
  /** `ENV key value`. */
  legacy: boolean;
}
export interface Label extends Common {
  kind: "LABEL";
  pairs: [string, string][];
  /** `LABEL key value`. */
  legacy: boolean;
}
export interface Arg extends Common {
  kind: "ARG";
  args: { name: string; value?: string }[];
}
export interface User extends Common {
  kind: "USER";
  user: string;
}
export interface Expose extends Common {
  kind: "EXPOSE";
  ports: string[];
}
export interface Volume extends Common {
  kind: "VOLUME";
  paths: string[];
}
export interface Cmd extends Common {
  kind: "CMD" | "ENTRYPOINT";
  command: CommandLine;
}
export interface Healthcheck extends Common {
  kind: "HEALTHCHECK";
  /** `Test` is filled in when the shell is known. */
  options: Omit<HealthcheckConfig, "Test">;
  check: "none" | CommandLine;
}
export interface Shell extends Common {
  kind: "SHELL";
  args: string[];
}
export interface StopSignal extends Common {
  kind: "STOPSIGNAL";
  signal: string;
}
export interface Onbuild extends Common {
  kind: "ONBUILD";
  trigger: string;
}
export interface Maintainer extends Common {
  kind: "MAINTAINER";
  name: string;
}

export type Instruction =
  | From
  | Run
  | Copy
  | Workdir
  | Env
  | Label
  | Arg
  | User
  | Expose
  | Volume
  | Cmd
  | Healthcheck
  | Shell
  | StopSignal
  | Onbuild
  | Maintainer;

export const keywords = [
  "ADD",
  "ARG",
  "CMD",
  "COPY",
  "ENTRYPOINT",
  "ENV",
  "EXPOSE",
  "FROM",
  "HEALTHCHECK",
  "LABEL",
  "MAINTAINER",
  "ONBUILD",
  "RUN",
  "SHELL",
  "STOPSIGNAL",
  "USER",
  "VOLUME",
  "WORKDIR",
] as const;
export type Keyword = (typeof keywords)[number];

export function isKeyword(word: string): word is Keyword {
  return (keywords as readonly string[]).includes(word);
}
