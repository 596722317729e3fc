/** Takes what a build has made into the image store. */
import { newId } from "../../lib/ids.ts";
import { formatReference, parseReference } from "../../lib/reference.ts";
import { chainIds, isIndex } from "../../store/index.ts";
import type { Lease, Store } from "../../store/types.ts";
import { activePrefix } from "../exec/workspace.ts";
import type { Bundle } from "./bundle.ts";
import type { WrittenImage } from "./image.ts";

/**
 * @param names normalized references; `canonical`: with the digest too
 * @throws what registering and the signal throw
 */
export async function registerBundle(
  parts: { store: Store; lease: Lease },
  bundle: Bundle,
  { names, canonical, sameTimes }: { names: string[]; canonical: boolean; sameTimes: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { images } = parts.store;
  // Layers whose files have other times than their snapshots are unpacked as any that come from elsewhere.
  if (sameTimes) for (const image of bundle.images) await nameLayers(parts, image);
  const { descriptor } = bundle;
  const record = isIndex(descriptor.mediaType)
    ? (await images.registerIndex(descriptor, { signal })).image
    : await images.register(descriptor, { signal });
  const all = canonical ? names.flatMap((name) => [name, withDigest(name, descriptor.digest)]) : names;
  for (const name of all) images.tag(name, record.id, descriptor.digest);
}

export function withDigest(name: string, digest: Bundle["descriptor"]["digest"]): string {
  const { domain, path } = parseReference(name);
  return formatReference({ domain, path, digest });
}

/**
 * The tree of a step is kept under the builder's own name, as its chain id is known only after packing. The chain
 * id becomes an empty snapshot on top of it: the same tree, with no byte written twice.
 */
async function nameLayers(
  { store, lease }: { store: Store; lease: Lease },
  { state, layers }: WrittenImage,
): Promise<void> {
  const { snapshots } = store;
  const chain = chainIds(layers.map(({ diffId }) => diffId));
  for (const [i, layer] of state.layers.entries()) {
    const chainId = chain[i]!;
    lease.addSnapshot(chainId);
    if (!("record" in layer) || snapshots.stat(chainId)) continue;
    const key = activePrefix + newId();
    snapshots.prepare(key, layer.record.snapshot);
    try {
      await snapshots.commit(chainId, key, layer.record.size);
    } catch (error) {
      snapshots.remove(key);
      // Another build has just named the same layer.
      if (!snapshots.stat(chainId)) throw error;
    }
  }
}
