/** Manifests in registries, read and written by the engine, which knows proxies, mirrors and insecure registries. */
import { NotFound } from "../../lib/errors.ts";
import { mediaTypes } from "../../lib/oci.ts";
import { parseReference } from "../../lib/reference.ts";
import { registryAuthHeader } from "../auth/credentials.ts";
import type { CliContext } from "../context.ts";
import type { Entry } from "./lists.ts";

export interface Remote {
  Descriptor: Entry["Descriptor"];
  /** Base64. */
  Raw: string;
}

/** What a registry has under a name. @throws NotFound in Docker's words */
export async function fetchManifest(context: CliContext, name: string): Promise<Remote> {
  try {
    return await context.client.call<Remote>("GET", `/distribution/${name}/manifest`, {
      headers: await registryAuthHeader(context, parseReference(name).domain),
    });
  } catch (error) {
    if (error instanceof NotFound) throw new NotFound(`no such manifest: ${name}`, { cause: error });
    throw error;
  }
}

/** Pushes a list under a name, and what its registry has not of `sources`. */
export async function pushList(
  context: CliContext,
  name: string,
  { mediaType, bytes, sources }: { mediaType: string; bytes: Uint8Array; sources: string[] },
): Promise<{ Digest: string; Brought: string[] }> {
  return context.client.call("PUT", `/distribution/${name}/manifest`, {
    headers: await registryAuthHeader(context, parseReference(name).domain),
    body: { MediaType: mediaType, Raw: Buffer.from(bytes).toString("base64"), Sources: sources },
  });
}

export const isList = ({ Descriptor: { mediaType } }: Remote) =>
  mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList;

export const manifestOf = (raw: string): unknown => JSON.parse(Buffer.from(raw, "base64").toString());

/** The same repository, by digest. */
export function byDigest(reference: string, digest: string): string {
  const { domain, path } = parseReference(reference);
  return `${domain}/${path}@${digest}`;
}
