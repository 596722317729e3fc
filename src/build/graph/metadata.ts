/** Instructions that change the image's config and no file. Pure: config in, config out. */
import { constants } from "node:os";
import { posix } from "node:path";
import type { HealthcheckConfig, ImageRunConfig } from "../../lib/oci.ts";
import { expandWords } from "../dockerfile/expand.ts";
import type { CommandLine, Instruction } from "../dockerfile/instructions.ts";
import type { Escape } from "../dockerfile/lex.ts";
import { stepError } from "../errors.ts";
import { setEnv } from "./scope.ts";

export const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
export const defaultShell = ["/bin/sh", "-c"];

/** Every instruction that leaves the files alone; ARG is the scope's, FROM the graph's. */
export type MetadataInstruction = Exclude<
  Instruction,
  { kind: "FROM" | "RUN" | "COPY" | "ADD" | "WORKDIR" | "ARG" | "MAINTAINER" }
>;

export interface MetadataContext {
  config: ImageRunConfig;
  /** One word in, one out, variables substituted. */
  expand: (text: string) => string;
  lookup: (name: string) => string | undefined;
  esc: Escape;
  /** Whether this stage has had a CMD of its own; ENTRYPOINT keeps that one. */
  cmdSet: boolean;
}

/** @returns the new config and the history's `created_by`. @throws DockerfileError */
export function applyMetadata(
  instruction: MetadataInstruction,
  { config, expand, lookup, esc, cmdSet }: MetadataContext,
): { config: ImageRunConfig; createdBy: string } {
  switch (instruction.kind) {
    case "ENV": {
      const pairs = instruction.pairs.map(([name, value]) => [expand(name), expand(value)] as const);
      const Env = setEnv(config.Env ?? [], pairs);
      return { config: { ...config, Env }, createdBy: `ENV ${showPairs(pairs)}` };
    }
    case "LABEL": {
      const pairs = instruction.pairs.map(([name, value]) => [expand(name), expand(value)] as const);
      const Labels = { ...config.Labels, ...Object.fromEntries(pairs) };
      return { config: { ...config, Labels }, createdBy: `LABEL ${showPairs(pairs)}` };
    }
    case "USER": {
      const User = expand(instruction.user);
      return { config: { ...config, User }, createdBy: `USER ${User}` };
    }
    case "EXPOSE": {
      const ports = instruction.ports
        .flatMap((text) => expandWords(text, lookup, esc))
        .flatMap((text) => parsePorts(text, (message) => stepError(instruction.range, message)));
      const ExposedPorts = {
        ...config.ExposedPorts,
        ...Object.fromEntries(ports.map((port) => [port, {}])),
      };
      return { config: { ...config, ExposedPorts }, createdBy: `EXPOSE ${ports.join(" ")}` };
    }
    case "VOLUME": {
      const paths = instruction.paths.map(expand);
      if (paths.includes(""))
        throw stepError(instruction.range, "VOLUME specified can not be an empty string");
      const Volumes = { ...config.Volumes, ...Object.fromEntries(paths.map((path) => [path, {}])) };
      return { config: { ...config, Volumes }, createdBy: `VOLUME ${JSON.stringify(paths)}` };
    }
    case "CMD": {
      const Cmd = commandArgs(instruction.command, config.Shell);
      return { config: { ...config, Cmd }, createdBy: `CMD ${JSON.stringify(Cmd)}` };
    }
    case "ENTRYPOINT": {
      const Entrypoint = commandArgs(instruction.command, config.Shell);
      // A CMD from the base image was written for the base's entrypoint.
      const Cmd = cmdSet ? config.Cmd : undefined;
      return {
        config: { ...config, Entrypoint, Cmd },
        createdBy: `ENTRYPOINT ${JSON.stringify(Entrypoint)}`,
      };
    }
    case "HEALTHCHECK": {
      const Test =
        instruction.check === "none"
          ? ["NONE"]
          : instruction.check.form === "exec"
            ? ["CMD", ...instruction.check.args]
            : ["CMD-SHELL", instruction.check.text];
      const Healthcheck: HealthcheckConfig = { Test, ...instruction.options };
      return { config: { ...config, Healthcheck }, createdBy: instruction.text };
    }
    case "SHELL": {
      const Shell = instruction.args;
      return { config: { ...config, Shell }, createdBy: `SHELL ${JSON.stringify(Shell)}` };
    }
    case "STOPSIGNAL": {
      const StopSignal = expand(instruction.signal);
      if (!isSignal(StopSignal)) throw stepError(instruction.range, `invalid signal: ${StopSignal}`);
      return { config: { ...config, StopSignal }, createdBy: `STOPSIGNAL ${StopSignal}` };
    }
    case "ONBUILD": {
      const OnBuild = [...(config.OnBuild ?? []), instruction.trigger];
      return { config: { ...config, OnBuild }, createdBy: `ONBUILD ${instruction.trigger}` };
    }
  }
}

/** The argument vector: shell form goes through the stage's shell. */
export function commandArgs(command: CommandLine, shell: string[] | null | undefined): string[] {
  if (command.form === "exec") return command.args;
  return [...(shell?.length ? shell : defaultShell), command.text];
}

/** An absolute, clean path; a relative one continues the directory before. */
export function workdir(current: string | undefined, path: string): string {
  const clean = posix.join("/", path.startsWith("/") ? "" : (current ?? ""), path);
  return clean.length > 1 ? clean.replace(/\/$/, "") : clean;
}

function showPairs(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([name, value]) => `${name}=${value}`).join(" ");
}

/** `80`, `80/udp`, `8000-8010`; a host part, as `docker run -p` has it, is dropped. */
function parsePorts(text: string, problem: (message: string) => Error): string[] {
  const slash = text.indexOf("/");
  const spec = slash < 0 ? text : text.slice(0, slash);
  const proto = (slash < 0 ? "" : text.slice(slash + 1)) || "tcp";
  const match = /^(\d+)(?:-(\d+))?$/.exec(spec.slice(spec.lastIndexOf(":") + 1));
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || last > 65535) throw problem(`invalid containerPort: ${spec}`);
  if (last < first) throw problem(`invalid range specified for port: ${spec}`);
  if (!/^(tcp|udp|sctp)$/i.test(proto)) throw problem(`invalid proto: ${proto}`);
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${proto.toLowerCase()}`);
}

/** SIGRTMIN and SIGRTMAX, and those between by their distance to the nearer one. */
const realTime = /^SIGRT(?:MIN(?:\+(?:\d|1[0-5]))?|MAX(?:-(?:\d|1[0-4]))?)$/;

function isSignal(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) > 0 && Number(text) <= 64;
  const name = `SIG${text.toUpperCase().replace(/^SIG/, "")}`;
  return Object.hasOwn(constants.signals, name) || realTime.test(name);
}
