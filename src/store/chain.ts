import { type Digest, digestOf } from "../lib/digest.ts";

/** Chain id of each layer, base first (OCI image-spec, config.md "Layer ChainID"). */
export function chainIds(diffIds: readonly Digest[]): string[] {
  const chains: string[] = [];
  for (const diffId of diffIds) {
    const below = chains.at(-1);
    chains.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chains;
}
