/** Documents in answers, which are no larger than registries take. */
import { Unavailable } from "../../lib/errors.ts";

/** What registries take at most (distribution-spec, "Pushing Manifests"). Bytes. */
const maxManifestSize = 4 * 1024 * 1024;

/** @returns undefined for what is no JSON */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}

/** @throws Unavailable when the body is larger than a manifest may be */
export async function readLimited(response: Response, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxManifestSize) throw new Unavailable(`${what} is larger than ${maxManifestSize} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
