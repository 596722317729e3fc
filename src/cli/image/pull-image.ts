import { defaultTag, familiar, normalize, parseReference } from "../../lib/reference.ts";
import { registryAuthHeader } from "../auth/credentials.ts";
import type { CliContext } from "../context.ts";
import { type ProgressMessage, showProgress } from "./progress.ts";

export interface PullOptions {
  platform?: string;
  allTags?: boolean;
  /** File descriptor of the progress; undefined for none. */
  progress: number | undefined;
}

/** Pulls an image. @returns the reference in full, as Docker prints it at the end */
export async function pullImage(context: CliContext, image: string, options: PullOptions): Promise<string> {
  const given = parseReference(image);
  const reference = options.allTags ? given : normalize(given);
  const messages = context.client.messages<ProgressMessage>("POST", "/images/create", {
    query: {
      fromImage: familiar({ ...reference, tag: undefined, digest: undefined }),
      tag: reference.digest ?? reference.tag,
      platform: options.platform,
    },
    headers: await registryAuthHeader(context, reference.domain),
  });
  await showProgress(messages, options.progress);
  const suffix = reference.digest
    ? `@${reference.digest}`
    : options.allTags
      ? ""
      : `:${reference.tag ?? defaultTag}`;
  return `${reference.domain}/${reference.path}${suffix}`;
}

/** The name with its tag, as Docker shows it. */
export function familiarImage(image: string): string {
  return familiar(normalize(parseReference(image)));
}
