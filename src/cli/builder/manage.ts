/** The commands of buildx that make, choose and end builders, where each context's engine is one. */
import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, between, defineCommand, none } from "../command.ts";
import { program, version as programVersion } from "../program.ts";
import { builderFlag, currentBuilder } from "./builders.ts";

export const create = defineCommand({
  name: "buildx create",
  usage: "[OPTIONS] [CONTEXT|ENDPOINT]",
  summary: "Refused: each context's engine is a builder already",
  flags: {
    append: { kind: "bool", help: "Refused", hidden: true },
    bootstrap: { kind: "bool", help: "Refused", hidden: true },
    "buildkitd-config": { kind: "string", help: "Refused", hidden: true },
    "buildkitd-flags": { kind: "string", help: "Refused", hidden: true },
    driver: { kind: "string", help: "Refused", hidden: true },
    "driver-opt": { kind: "list", help: "Refused", hidden: true },
    leave: { kind: "bool", help: "Refused", hidden: true },
    name: { kind: "string", help: "Refused", hidden: true },
    node: { kind: "string", help: "Refused", hidden: true },
    platform: { kind: "list", help: "Refused", hidden: true },
    timeout: { kind: "duration", help: "Refused", default: "20s", hidden: true },
    use: { kind: "bool", help: "Refused", hidden: true },
  },
  arity: between(0, 1),
  examples: ["buildx create"],
  run(_context, { flags, args: [endpoint = "HOST"] }) {
    throw new InvalidParameter(
      `builders are the engines of contexts: add one with '${program} context create ${flags.name ?? "NAME"} --docker host=${endpoint}'`,
    );
  },
});

export const use = defineCommand({
  name: "buildx use",
  usage: "[OPTIONS] NAME",
  summary: "Choose the builder, which is to choose the context",
  flags: {
    ...builderFlag,
    default: { kind: "bool", help: "Accepted for buildx's sake", hidden: true },
    global: { kind: "bool", help: "Accepted for buildx's sake", hidden: true },
  },
  arity: between(0, 1),
  examples: ["buildx use staging"],
  async run(context, { flags, args: [name = flags.builder] }) {
    const { use: useContext } = await import("../contexts/contexts.ts");
    return useContext.run(context, {
      flags: {},
      args: [name ?? currentBuilder(context)],
      given: () => false,
    });
  },
});

export const rm = defineCommand({
  name: "buildx rm",
  usage: "[OPTIONS] [NAME...]",
  summary: "Refused: a builder goes with its context",
  flags: {
    ...builderFlag,
    "all-inactive": { kind: "bool", help: "Refused", hidden: true },
    force: { kind: "bool", short: "f", help: "Refused", hidden: true },
    "keep-daemon": { kind: "bool", help: "Refused", hidden: true },
    "keep-state": { kind: "bool", help: "Refused", hidden: true },
    timeout: { kind: "duration", help: "Refused", default: "20s", hidden: true },
  },
  arity: atLeast(0),
  examples: ["buildx rm staging"],
  run(_context, { args }) {
    const name = args.join(" ") || "NAME";
    throw new InvalidParameter(
      `a builder goes with its context: '${program} context rm ${name}'; its cache by '${program} buildx prune'`,
    );
  },
});

export const stop = defineCommand({
  name: "buildx stop",
  usage: "[NAME]",
  summary: "Refused: the builder is the engine itself",
  flags: builderFlag,
  arity: between(0, 1),
  examples: ["buildx stop"],
  run() {
    throw new InvalidParameter(
      "the builder is the engine itself, which runs containers too: it is not stopped",
    );
  },
});

export const version = defineCommand({
  name: "buildx version",
  usage: "",
  summary: "Show the version of this program",
  flags: {},
  arity: none,
  examples: ["buildx version"],
  async run(context) {
    context.line(`Gantry ${programVersion}`);
    return 0;
  },
});
