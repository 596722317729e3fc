/** Images to and from registries. */
import { InvalidParameter } from "../../lib/errors.ts";
import { familiar, normalize, parseReference } from "../../lib/reference.ts";
import { registryAuthHeader } from "../auth/credentials.ts";
import { defineCommand, exactly } from "../command.ts";
import { stdoutFd } from "../terminal.ts";
import { platformQuery } from "./platforms.ts";
import { type ProgressMessage, showProgress } from "./progress.ts";
import { pullImage } from "./pull-image.ts";

export const pull = defineCommand({
  name: "image pull",
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  summary: "Download an image from a registry",
  aliases: ["image pull", "pull"],
  flags: {
    "all-tags": { kind: "bool", short: "a", help: "Download all tags of the repository" },
    platform: { kind: "string", help: "Platform to choose of an image for several" },
    quiet: { kind: "bool", short: "q", help: "Don't show the progress" },
  },
  arity: exactly(1),
  examples: ["pull alpine:3.20", "pull --platform linux/arm64 alpine"],
  async run(context, { flags, args: [name = ""] }) {
    const reference = parseReference(name);
    if (flags["all-tags"] && (reference.tag !== undefined || reference.digest !== undefined)) {
      throw new InvalidParameter("tag can't be used with --all-tags/-a");
    }
    if (!flags["all-tags"] && !flags.quiet && reference.tag === undefined && reference.digest === undefined) {
      context.line("Using default tag: latest");
    }
    const full = await pullImage(context, name, {
      platform: flags.platform,
      allTags: flags["all-tags"],
      progress: flags.quiet ? undefined : stdoutFd,
    });
    context.line(full);
    return 0;
  },
});

export const push = defineCommand({
  name: "image push",
  usage: "[OPTIONS] NAME[:TAG]",
  summary: "Upload an image to a registry",
  aliases: ["image push", "push"],
  flags: {
    "all-tags": { kind: "bool", short: "a", help: "Push all tags of the repository" },
    platform: { kind: "string", help: "Push only this platform of an image for several" },
    quiet: { kind: "bool", short: "q", help: "Don't show the progress" },
  },
  arity: exactly(1),
  examples: ["push reg.example:5000/team/app:1.0"],
  async run(context, { flags, args: [name = ""] }) {
    const given = parseReference(name);
    if (flags["all-tags"] && (given.tag !== undefined || given.digest !== undefined)) {
      throw new InvalidParameter("tag can't be used with --all-tags/-a");
    }
    const reference = flags["all-tags"] ? given : normalize(given);
    if (!flags["all-tags"] && !flags.quiet && given.tag === undefined)
      context.line("Using default tag: latest");
    const repository = familiar({ domain: reference.domain, path: reference.path });
    const messages = context.client.messages<ProgressMessage>("POST", `/images/${repository}/push`, {
      query: { tag: reference.tag, platform: platformQuery(flags.platform) },
      headers: await registryAuthHeader(context, reference.domain),
    });
    const notes: string[] = [];
    try {
      await showProgress(messages, flags.quiet ? undefined : stdoutFd, (aux) => notes.push(...notesOf(aux)));
    } finally {
      for (const note of notes) context.line(`\nInfo -> ${note}`);
    }
    if (flags.quiet)
      context.line(`${reference.domain}/${reference.path}${reference.tag ? `:${reference.tag}` : ""}`);
    return 0;
  },
});

interface PushAux {
  manifestPushedInsteadOfIndex?: boolean;
  originalIndex?: { digest: string };
  selectedManifest?: { digest: string };
  contentMissing?: boolean;
}

/** What is to be known about a push that could not send all of an index. */
function notesOf(aux: unknown): string[] {
  const { manifestPushedInsteadOfIndex, originalIndex, selectedManifest, contentMissing } = aux as PushAux;
  if (manifestPushedInsteadOfIndex)
    return [
      "Not all multiplatform-content is present and only the available single-platform image was pushed\n" +
        `${originalIndex?.digest} -> ${selectedManifest?.digest}`,
    ];
  if (contentMissing)
    return [
      "The image is an index of several platforms, and not all of them are here or in the registry.\n" +
        "Pull what is missing and push again, or push one of them with --platform.",
    ];
  return [];
}
