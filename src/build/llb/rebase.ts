/**
 * Merge and diff: the layers of several trees one upon the other, and what one tree has over another. Layers are packed
 * for that and unpacked over what is then below them, so that what a layer deletes is deleted there too.
 */
import { chainIds } from "../../store/index.ts";
import type { PackedLayer } from "../export/pack.ts";
import { becomes } from "../files/difference.ts";
import { titleOf } from "./names.ts";
import { type Layered, nothing, type Output } from "./output.ts";
import type { OpRun } from "./solver.ts";
import type { DiffOp, MergeOp } from "./types.ts";

export async function merged(run: OpRun, { inputs }: MergeOp): Promise<Output> {
  const [first = nothing, ...rest] = await layeredInputs(run, inputs);
  const upper = rest.flatMap(({ layers }) => layers);
  if (upper.length === 0) return run.layers({ ...first, image: undefined });
  if (first.layers.length === 0 && rest.filter(({ layers }) => layers.length > 0).length === 1)
    return run.layers({ ...rest.find(({ layers }) => layers.length > 0)!, image: undefined });
  return stacked(run, [...first.layers, ...upper], [first, ...rest]);
}

export async function differenceOf(run: OpRun, { lower, upper }: DiffOp): Promise<Output> {
  const [below = nothing] = lower === undefined ? [] : await layeredInputs(run, [lower]);
  const [above = nothing] = upper === undefined ? [] : await layeredInputs(run, [upper]);
  const { length } = below.layers;
  const grown = below.layers.every((layer, i) => sameLayer(layer, above.layers[i]));
  if (grown) {
    const own = above.layers.slice(length);
    const history = above.history.slice(below.history.length);
    if (length === 0) return run.layers({ ...above, image: undefined });
    if (own.length === 0) return run.layers(nothing);
    return stacked(run, own, [{ ...above, history }]);
  }
  // Neither has come of the other: a layer is made that leads there.
  const { session } = run;
  const step = await run.step(below, ["diff", above.tree.id], {
    createdBy: titleOf(run.op),
    work: ({ root }, { signal }) => becomes(root, session.filesOf(above.tree).root, signal),
  });
  const { layers } = await step.layered();
  return layers.length === length
    ? run.layers(nothing)
    : stacked(run, layers.slice(length), [{ ...nothing, history: [] }]);
}

const layeredInputs = (run: OpRun, inputs: readonly number[]) =>
  Promise.all(inputs.map((index) => run.input(index).layered()));

type Layers = Layered["layers"];

function sameLayer(one: Layers[number], other: Layers[number] | undefined): boolean {
  if (!other) return false;
  if ("base" in one) return "base" in other && one.base.chainId === other.base.chainId;
  return "record" in other && one.record.snapshot === other.record.snapshot;
}

/** A tree of these layers, from nothing on. */
async function stacked(run: OpRun, layers: Layers, from: readonly Layered[]): Promise<Output> {
  const { session } = run;
  const { store } = session.backend;
  const packed: PackedLayer[] = await Promise.all(
    layers.map((layer) =>
      "base" in layer ? layer.base : session.packer.layer(layer.record, { compression: "gzip" }),
    ),
  );
  const chains = chainIds(packed.map(({ diffId }) => diffId));
  for (const [i, { descriptor, diffId }] of packed.entries()) {
    const chainId = chains[i]!;
    session.lease.addBlob(descriptor.digest);
    session.lease.addSnapshot(chainId);
    await store.layers.unpack(descriptor.digest, { diffId, chainId, parent: chains[i - 1] }, session.signal);
  }
  const top = chains.at(-1)!;
  return run.layers({
    tree: { id: top, snapshot: top },
    layers: packed.map((layer, i) => ({ base: { ...layer, chainId: chains[i]! } })),
    history: from.flatMap(({ history, layers }) => [
      ...layers
        .filter((layer) => "base" in layer)
        .map(() => ({ createdBy: titleOf(run.op), createdAt: 0, emptyLayer: false })),
      ...history,
    ]),
  });
}
