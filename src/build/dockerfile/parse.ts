/** From logical lines to typed instructions. */

import { parseDuration } from "../../lib/duration.ts";
import { parseError } from "../errors.ts";
import { type Flags, takeFlags } from "./flags.ts";
import {
  type CommandLine,
  type Common,
  type Copy,
  type From,
  type Healthcheck,
  type Heredoc,
  type Instruction,
  isKeyword,
  keywords,
  type SourceRange,
} from "./instructions.ts";
import { type Escape, heredocOpeners, type LogicalLine, lex } from "./lex.ts";
import { didYouMean } from "./nearest.ts";
import { jsonArray, keyValues, splitBlanks, splitQuoted } from "./words.ts";

export interface ParsedDockerfile {
  file: string;
  esc: Escape;
  directives: Map<string, string>;
  instructions: Instruction[];
  /** As it was read. */
  source: string;
}

/** @throws DockerfileError */
export function parseDockerfile(source: string, file: string): ParsedDockerfile {
  const { lines, esc, directives } = lex(source, file);
  if (lines.length === 0) {
    const range = { file, line: 1, endLine: 1, source: "" };
    throw parseError(range, "file with no instructions");
  }
  const instructions = lines.map((line) => parseInstruction(line, esc));
  return { file, esc, directives, instructions, source };
}

/** One ONBUILD trigger of a base image, with the heredocs that follow it. @throws DockerfileError */
export function parseTrigger(trigger: string, range: SourceRange): Instruction {
  const here = { ...range, source: trigger };
  const { lines } = lex(trigger, range.file, range.line);
  if (lines.length !== 1) throw parseError(here, "a trigger is one instruction");
  return parseInstruction({ ...lines[0]!, range: here }, "\\");
}

function parseInstruction(line: LogicalLine, esc: Escape): Instruction {
  const { range, heredocs, emptyContinuation, comment } = line;
  const word = /^\S+/.exec(line.text)![0];
  const keyword = word.toUpperCase();
  if (!isKeyword(keyword)) {
    throw parseError(range, `unknown instruction: ${word}`, didYouMean(word, keywords));
  }
  const all = line.text.slice(word.length).trim();
  const { flags, rest } = takeFlags(keyword, all, esc, range);
  const text = all ? `${keyword} ${all.replace(/\s*\n\s*/g, " ")}` : keyword;
  const common = { range, text, keyword: word, emptyContinuation, comment };
  const fail = (text: string, hint?: string): never => {
    throw parseError(range, text, hint);
  };
  const json = (text: string): string[] | undefined => stringsOf(text, fail);
  const one = (): string => {
    if (rest === "") fail(`${keyword} requires exactly one argument`);
    return rest;
  };
  const some = (list: string[]): string[] => {
    if (list.length === 0) fail(`${keyword} requires at least one argument`);
    return list;
  };
  const pairs = (): { pairs: [string, string][]; legacy: boolean } => {
    if (rest === "") fail(`${keyword} requires at least one argument`);
    const parsed = keyValues(rest, esc);
    if ("problem" in parsed) return fail(`${keyword} ${parsed.problem}`.replace(/^\S+ Syntax/, "Syntax"));
    if (parsed.pairs.some(([key]) => key === "")) fail(`${keyword} names can not be blank`);
    return parsed;
  };

  switch (keyword) {
    case "FROM":
      return { kind: keyword, ...common, ...parseFrom(rest, flags, fail) };
    case "RUN":
      if (rest === "") fail("RUN requires at least one argument");
      return {
        kind: keyword,
        ...common,
        command: commandLine(rest, fail),
        heredocs,
        mounts: flags.list("mount"),
        network: flags.string("network"),
        security: flags.string("security"),
        devices: flags.list("device"),
      };
    case "COPY":
    case "ADD":
      return { kind: keyword, ...common, ...parseCopy(keyword, rest, flags, heredocs, esc, fail) };
    case "WORKDIR":
      return { kind: keyword, ...common, path: one() };
    case "ENV":
    case "LABEL":
      return { kind: keyword, ...common, ...pairs() };
    case "ARG": {
      const args = some(splitQuoted(rest, esc)).map((text) => {
        const at = text.indexOf("=");
        return at < 0 ? { name: text } : { name: text.slice(0, at), value: text.slice(at + 1) };
      });
      if (args.some((arg) => arg.name === "")) fail("ARG names can not be blank");
      return { kind: keyword, ...common, args };
    }
    case "USER":
      return { kind: keyword, ...common, user: one() };
    case "EXPOSE":
      return { kind: keyword, ...common, ports: some(splitBlanks(rest)) };
    case "VOLUME": {
      const paths = some(json(rest) ?? splitBlanks(rest));
      if (paths.some((path) => path.trim() === "")) fail("VOLUME specified can not be an empty string");
      return { kind: keyword, ...common, paths };
    }
    case "CMD":
    case "ENTRYPOINT":
      return { kind: keyword, ...common, command: commandLine(rest, fail) };
    case "HEALTHCHECK":
      return { kind: keyword, ...common, ...parseHealthcheck(rest, flags, fail) };
    case "SHELL": {
      if (rest === "") fail("SHELL requires at least one argument");
      const args = json(rest) ?? fail("SHELL requires the arguments to be in JSON form");
      return { kind: keyword, ...common, args: some(args) };
    }
    case "STOPSIGNAL":
      return { kind: keyword, ...common, signal: one() };
    case "ONBUILD":
      return { kind: keyword, ...common, trigger: triggerOf(rest, line, esc) };
    case "MAINTAINER":
      return { kind: keyword, ...common, name: one() };
  }
}

type Fail = (text: string, hint?: string) => never;

function stringsOf(text: string, fail: Fail): string[] | undefined {
  const strings = jsonArray(text);
  return strings === "mixed"
    ? fail("when using JSON array syntax, arrays must be comprised of strings only")
    : strings;
}

function commandLine(text: string, fail: Fail): CommandLine {
  const args = stringsOf(text, fail);
  return args ? { form: "exec", args } : { form: "shell", text };
}

function parseFrom(
  rest: string,
  flags: Flags,
  fail: Fail,
): Pick<From, "image" | "platform" | "stage" | "as"> {
  const [image, as, name, ...more] = splitBlanks(rest);
  if (!image || more.length > 0 || (as !== undefined && (as.toLowerCase() !== "as" || name === undefined))) {
    return fail("FROM requires either one or three arguments");
  }
  const stage = name?.toLowerCase();
  if (stage !== undefined && !/^[a-z][a-z0-9-_.]*$/.test(stage)) {
    const why = "name can't start with a number or contain symbols";
    fail(`invalid name for build stage: ${JSON.stringify(name)}, ${why}`);
  }
  const written = as === undefined || name === undefined ? undefined : { keyword: as, name };
  return { image, stage, as: written, platform: flags.string("platform") };
}

function parseCopy(
  keyword: "COPY" | "ADD",
  rest: string,
  flags: Flags,
  heredocs: Heredoc[],
  esc: Escape,
  fail: Fail,
): Omit<Copy, "kind" | keyof Common> {
  const list = stringsOf(rest, fail) ?? splitBlanks(rest);
  if (list.length < 2) {
    fail(
      `${keyword} requires at least two arguments, but only ${list.length === 0 ? "none were" : "one was"} provided. Destination could not be determined`,
    );
  }
  const destination = list.pop()!;
  const isInline = (word: string) => heredocOpeners(word, esc).length > 0;
  if (heredocs.length > 0 && isInline(destination))
    fail(`${keyword} cannot accept a heredoc as a destination`);
  return {
    sources: heredocs.length > 0 ? list.filter((word) => !isInline(word)) : list,
    inline: heredocs,
    destination,
    from: flags.string("from"),
    chown: flags.string("chown"),
    chmod: flags.string("chmod"),
    exclude: flags.list("exclude"),
    parents: flags.boolean("parents") ?? false,
    link: flags.boolean("link") ?? false,
    checksum: flags.string("checksum"),
    unpack: flags.boolean("unpack"),
    keepGitDir: flags.boolean("keep-git-dir"),
  };
}

function parseHealthcheck(rest: string, flags: Flags, fail: Fail): Pick<Healthcheck, "options" | "check"> {
  const type = /^\S*/.exec(rest)![0];
  const command = rest.slice(type.length).trim();
  const duration = (name: string): number | undefined => {
    const text = flags.string(name);
    if (!text) return undefined;
    const value = parseDuration(text);
    if (value === undefined) return fail(`time: invalid duration ${JSON.stringify(text)}`);
    if (value !== 0 && value < 1e6) fail(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
    return value || undefined;
  };
  switch (type.toUpperCase()) {
    case "":
      return fail("HEALTHCHECK requires at least one argument");
    case "NONE":
      if (command) fail("HEALTHCHECK NONE takes no arguments");
      return { check: "none", options: {} };
    case "CMD": {
      if (!command) fail("Missing command after HEALTHCHECK CMD");
      const retries = flags.string("retries") || "0";
      if (!/^\+?\d+$/.test(retries)) fail(`--retries must be at least 0 (not ${retries})`);
      if (Number(retries) > 0x7fffffff) fail(`--retries must be less than 2^31 (not ${retries})`);
      const options: Healthcheck["options"] = {
        Interval: duration("interval"),
        Timeout: duration("timeout"),
        StartPeriod: duration("start-period"),
        StartInterval: duration("start-interval"),
        Retries: Number(retries) || undefined,
      };
      return { check: commandLine(command, fail), options };
    }
    default:
      return fail(
        `Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`,
        didYouMean(type, ["CMD", "NONE"]),
      );
  }
}

/** With its heredocs. A trigger must parse by itself and may not be one of the three that make no sense later. */
function triggerOf(trigger: string, line: LogicalLine, esc: Escape): string {
  const { range, heredocs } = line;
  if (trigger === "") throw parseError(range, "ONBUILD requires at least one argument");
  const keyword = /^\S+/.exec(trigger)![0].toUpperCase();
  if (keyword === "ONBUILD") {
    throw parseError(range, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (keyword === "MAINTAINER" || keyword === "FROM") {
    throw parseError(range, `${keyword} isn't allowed as an ONBUILD trigger`);
  }
  parseInstruction({ ...line, text: trigger }, esc);
  return [trigger, ...heredocs.map(({ content, name }) => content + name)].join("\n");
}
