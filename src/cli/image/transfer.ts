/** Images to and from registries. */
import { InvalidParameter } from "../../lib/errors.ts";
import { familiar, normalize, parseReference } from "../../lib/reference.ts";
import { registryAuthHeader } from "../auth/credentials.ts";
import { defineCommand, exactly } from "../command.ts";
import { stdoutFd } from "../terminal.ts";
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
    await showProgress(messages, flags.quiet ? undefined : stdoutFd);
    if (flags.quiet)
      context.line(`${reference.domain}/${reference.path}${reference.tag ? `:${reference.tag}` : ""}`);
    return 0;
  },
});

/** `linux/arm64/v8` as the JSON object that newer endpoints take. */
export function platformQuery(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  const [os, architecture, variant] = text.split("/");
  return { os, architecture, variant };
}
