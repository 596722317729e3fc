/** A step's inputs by name, for telling what changed. */
import type { RebuildReason } from "../types.ts";

export interface NamedInput {
  kind: Exclude<RebuildReason["kind"], "new" | "no-cache">;
  name: string;
  /** Of its value. */
  digest: string;
  /** What users know it by, where that is another digest: a base image's id. */
  shown?: string;
  /** What it consists of: paths with digests. One with a slash at the end stands for all below. */
  files?: Record<string, string>;
}

/** How the step before is called when it is the reason to do one again. */
export type Origin = Pick<NamedInput, "name" | "shown"> & { kind: "base" | "parent" };

export function argInput(name: string, value: string, digest: (value: string) => string): NamedInput {
  return { kind: "arg", name, digest: digest(value) };
}

/** Files beyond this are told as a number. */
const toldFiles = 20;

/** What changed between two times of one step, in the order of `after`. */
export function differences(before: readonly NamedInput[], after: readonly NamedInput[]): RebuildReason[] {
  const keyed = (inputs: readonly NamedInput[]) =>
    new Map(inputs.map((input) => [`${input.kind} ${keyName(input)}`, input]));
  const earlier = keyed(before);
  const later = keyed(after);
  const reasons = [...later].flatMap(([key, input]) => changesOf(earlier.get(key), input));
  const removed = [...earlier].filter(([key]) => !later.has(key)).map(([, input]) => input);
  return [...reasons, ...removed.flatMap((input) => reason(input, "removed"))];
}

/** What stays the same when the value changes: there is one `USER ...` and one step before. */
function keyName({ kind, name }: NamedInput): string {
  if (kind === "parent" || kind === "base") return "";
  return kind === "instruction" ? name.split(" ", 1)[0]! : name;
}

function changesOf(before: NamedInput | undefined, after: NamedInput): RebuildReason[] {
  if (!before) return reason(after, "added");
  if (before.digest === after.digest) return [];
  if (after.kind === "base" && before.name === after.name)
    return reason(after, `${short(before)} -> ${short(after)}`);
  if (before.files && after.files) {
    const changed = changedFiles(before.files, after.files);
    if (changed.length > 0) return changed;
  }
  return reason(after, before.name === after.name ? "changed" : `was ${before.name}`);
}

function reason({ kind, name }: NamedInput, change: string): RebuildReason[] {
  return [{ kind, name, change }];
}

function changedFiles(before: Record<string, string>, after: Record<string, string>): RebuildReason[] {
  const names = [...new Set([...Object.keys(after), ...Object.keys(before)])].sort();
  const changed = names.flatMap((name): RebuildReason[] => {
    const [old, now] = [before[name], after[name]];
    if (old === now) return [];
    return [
      { kind: "file", name, change: old === undefined ? "added" : now === undefined ? "removed" : "changed" },
    ];
  });
  if (changed.length <= toldFiles) return changed;
  const more = `${changed.length - toldFiles} more`;
  return [...changed.slice(0, toldFiles), { kind: "file", name: more, change: "changed" }];
}

/** `sha256:` and twelve digits, as images are shown. */
function short({ shown, digest }: NamedInput): string {
  return (shown ?? digest).slice(0, "sha256:".length + 12);
}
