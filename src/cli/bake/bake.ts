import { InvalidParameter } from "../../lib/errors.ts";
import { between, defineCommand, type Flags, type ValuesOf } from "../command.ts";
import { inputStream } from "../input.ts";
import { readSources } from "./files.ts";
import { load } from "./load.ts";
import { attestation } from "./options.ts";
import { type Override, parseOverride, pushed } from "./overrides.ts";
import { plan } from "./resolve.ts";
import type { Target } from "./target.ts";

const flags = {
  allow: { kind: "list", help: "Allow a build what is beyond a container's rights (network.host)" },
  call: {
    kind: "string",
    help: "What is done with each target: build, check, outline or targets",
    default: "build",
  },
  check: { kind: "bool", help: "Short for --call=check" },
  file: { kind: "list", short: "f", help: "Files that define the builds, - for stdin" },
  list: { kind: "string", help: "List targets or variables" },
  load: { kind: "bool", help: "Short for --set=*.output=type=docker, where no output is set" },
  "metadata-file": { kind: "string", help: "Write what was built to this file, as JSON" },
  "no-cache": { kind: "bool", help: "Run every step, whatever is cached" },
  print: { kind: "bool", help: "Print what would be built, as JSON" },
  progress: { kind: "string", help: "Kind of progress: auto, plain or quiet", default: "auto" },
  provenance: { kind: "string", help: "Short for --set=*.attest=type=provenance" },
  pull: { kind: "bool", help: "Ask the registry for newer base images" },
  push: { kind: "bool", help: "Short for --set=*.output=type=registry" },
  sbom: { kind: "string", help: "Short for --set=*.attest=type=sbom" },
  set: { kind: "list", help: "Override a target's value (targetpattern.key=value)" },
  var: { kind: "list", help: "Set a variable (NAME=value)" },
} as const satisfies Flags;

type BakeValues = ValuesOf<typeof flags>;

export const command = defineCommand({
  name: "buildx bake",
  usage: "[OPTIONS] [TARGET...]",
  summary: "Build the targets that a file defines",
  aliases: ["buildx bake", "buildx f", "bake"],
  flags,
  arity: between(0, Number.POSITIVE_INFINITY),
  examples: [
    "bake",
    "bake --print app test",
    "bake -f docker-bake.hcl -f prod.hcl --set '*.platform=linux/amd64' --push",
    "VERSION=1.4 gantry bake release",
  ],
  async run(context, { flags, args, given }) {
    const sources = await readSources(flags.file, process.cwd(), readStdin);
    const env = { ...context.env, ...variables(flags.var) };
    const loaded = await load(context, sources, env);
    if (flags.list !== undefined) {
      const { formatList } = await import("./list.ts");
      context.out(formatList(flags.list, loaded));
      return 0;
    }
    const names = args.length > 0 ? args : ["default"];
    const overrides = flags.set.map((text) => parseOverride(text, context.env));
    const planned = plan(loaded.project, names, [
      ...overrides,
      ...shorthands(flags, given("provenance"), given("sbom")),
    ]);
    for (const target of planned.targets.values()) applyOutput(target, flags);
    if (flags.print) {
      const { formatPlan } = await import("./print.ts");
      context.out(formatPlan(planned));
      return 0;
    }
    const { runPlan } = await import("./run.ts");
    return runPlan(context, planned, {
      progress: flags.progress,
      metadataFile: flags["metadata-file"],
      allow: flags.allow,
    });
  },
});

function variables(list: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    list.map((text) => {
      const at = text.indexOf("=");
      if (at <= 0)
        throw new InvalidParameter(`invalid variable ${JSON.stringify(text)}: expected NAME=value`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** Flags that stand for an override of every target. */
function shorthands(flags: BakeValues, provenance: boolean, sbom: boolean): Override[] {
  const all = (change: Target): Override => ({ pattern: "*", add: true, change });
  const call = flags.check ? "check" : flags.call;
  const [name = ""] = call.split(",");
  if (!["build", "check", "lint", "outline", "targets"].includes(name))
    throw new InvalidParameter(`--call=${call} is not supported: use build, check, outline or targets`);
  return [
    ...(flags["no-cache"] ? [all({ "no-cache": true })] : []),
    ...(flags.pull ? [all({ pull: true })] : []),
    ...(call === "build" ? [] : [all({ call })]),
    ...(provenance ? [all({ attest: [attestation("provenance", flags.provenance!)] })] : []),
    ...(sbom ? [all({ attest: [attestation("sbom", flags.sbom!)] })] : []),
  ];
}

/** `--push` and `--load` are for targets that say nothing else; an image that is made is pushed. */
function applyOutput(target: Target, { push, load }: BakeValues): void {
  const outputs = (target.output ?? []).map((output) => ({ ...output }));
  const onlyImages = outputs.every(({ type }) => type === "image" || type === "registry");
  if (push) {
    for (const output of outputs) if (output.type === "image") output.push = "true";
    if (outputs.length === 0) outputs.push(pushed);
  }
  if (load && onlyImages) outputs.push({ type: "docker" });
  if (outputs.length > 0) target.output = outputs;
}

async function readStdin(): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of inputStream(undefined)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
