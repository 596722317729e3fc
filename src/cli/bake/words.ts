/** From a target to the words of `gantry build`, which does the work: what build can't do, bake can't either. */
import { isAbsolute, join } from "node:path";
import { formatOptions, type Options, type OptionsField } from "./options.ts";
import { isRemote } from "./paths.ts";
import type { FieldName, Target } from "./target.ts";

/** The flag behind each list or map; what stands in `wordsOf` itself is not here. */
const repeated: [FieldName, flag: string, separator?: string][] = [
  ["annotations", "annotation"],
  ["args", "build-arg", "="],
  ["labels", "label", "="],
  ["tags", "tag"],
  ["cache-from", "cache-from"],
  ["cache-to", "cache-to"],
  ["secret", "secret"],
  ["ssh", "ssh"],
  ["no-cache-filter", "no-cache-filter"],
  ["ulimits", "ulimit"],
  ["entitlements", "allow"],
  ["extra-hosts", "add-host", ":"],
  ["platforms", "platform"],
];
const single: [FieldName, flag: string][] = [
  ["target", "target"],
  ["network", "network"],
  ["shm-size", "shm-size"],
];

export interface BuildWords {
  flags: string[];
  context: string;
  /** What the build reads from its standard input: the Dockerfile that is written in the file. */
  stdin?: string;
}

/**
 * @param images what the targets that this one takes from became: image IDs by target
 */
export function wordsOf(target: Target, images: ReadonlyMap<string, string>): BuildWords {
  const flags: string[] = [];
  const add = (flag: string, value: string) => flags.push(`--${flag}=${value}`);
  for (const [field, flag, separator] of repeated) {
    const value = target[field];
    if (Array.isArray(value)) for (const item of value) add(flag, textOf(field, item));
    else if (typeof value === "object")
      for (const [key, item] of Object.entries(value))
        for (const each of field === "extra-hosts" ? (item ?? "").split(",") : [item ?? ""])
          add(flag, `${key}${separator}${each}`);
  }
  for (const [field, flag] of single) {
    const value = target[field];
    if (typeof value === "string" && value !== "") add(flag, value);
  }
  for (const [name, context] of Object.entries(target.contexts ?? {}))
    add("build-context", `${name}=${contextOf(context ?? "", images)}`);
  for (const output of target.output ?? []) flags.push(...outputWords(output));
  // None is made unless it is asked for.
  for (const attestation of target.attest ?? [])
    if (attestation.disabled !== "true") add("attest", formatOptions("attest", attestation));
  const question = questionOf(target);
  if (question !== undefined) add("call", question);
  if (target.pull) flags.push("--pull");
  if (target["no-cache"]) flags.push("--no-cache");
  const context = localPath(target.context ?? ".");
  const stdin = target["dockerfile-inline"];
  const dockerfile = target.dockerfile ?? "Dockerfile";
  add(
    "file",
    stdin !== undefined
      ? "-"
      : isRemote(context) || isAbsolute(dockerfile)
        ? dockerfile
        : join(context, dockerfile),
  );
  return { flags, context, stdin };
}

/** What is asked about the target instead of building it: `check`, `outline`, `targets`. */
export const questionOf = ({ call }: Target): string | undefined =>
  call === undefined || call === "build" ? undefined : call;

/** `cwd://` is the directory that bake runs in. */
const localPath = (context: string) => context.replace(/^cwd:\/\/\/*/, "") || ".";

/** An image is kept in any case; the other outputs are what build calls them. */
function outputWords(output: Options): string[] {
  const { type, push, dest, ...rest } = output;
  const plain = dest === undefined && Object.keys(rest).length === 0;
  if (type === "cacheonly" || (plain && type === "docker")) return [];
  if (plain && type === "registry") return ["--push"];
  if (plain && type === "image") return push === "true" ? ["--push"] : [];
  return [`--output=${formatOptions("output", output)}`];
}

const textOf = (field: FieldName, item: unknown) =>
  typeof item === "string" ? item : formatOptions(field as OptionsField, item as Record<string, string>);

function contextOf(context: string, images: ReadonlyMap<string, string>): string {
  if (!context.startsWith("target:")) return localPath(context);
  return `docker-image://${images.get(context.slice("target:".length))}`;
}
