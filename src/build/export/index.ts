/** The last part of a build: its results, one a platform, go where the outputs say. */
import { digestOf } from "../../lib/digest.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import type { Descriptor } from "../../lib/oci.ts";
import type { Lease } from "../../store/types.ts";
import { stateFiles } from "../attest/files.ts";
import { type Attested, attest, attestationsFor } from "../attest/index.ts";
import { predicatesOf } from "../attest/predicates.ts";
import type { AttestationOptions, BuildOrigin } from "../attest/types.ts";
import { exportCache, inlineCache } from "../cache/export.ts";
import { placeOf, type StoredCache } from "../cache/options.ts";
import type { Progress } from "../solve/progress.ts";
import type { CacheRecord } from "../solve/records.ts";
import type { BuiltState } from "../solve/stage.ts";
import type { BuildBackend, BuildRequest, BuildResult } from "../types.ts";
import { imageArchive, imageLayout } from "./archive.ts";
import { type Bundle, bundle } from "./bundle.ts";
import { treeFiles } from "./files.ts";
import { writeImage } from "./image.ts";
import { layerFormat, type PackedLayer, type Packer } from "./pack.ts";
import { imageOutput, parseEpoch } from "./parse.ts";
import { pushBundle } from "./push.ts";
import { registerBundle } from "./register.ts";
import type { ExportedImage, ImageOutput, LayerFormat, OutputRequest } from "./types.ts";

/** What the target has come to on one platform. */
export interface BuiltPlatform {
  state: BuiltState;
  /** The vertex that it came from. */
  vertex: string;
  packer: Packer;
  /** Of the steps that were met. */
  records(): CacheRecord[];
  /** What it was made from. */
  origin(): BuildOrigin;
  /** The directory with the target's files, mounted until the build ends. */
  open(): string;
}

export interface ExportParts {
  backend: BuildBackend;
  request: BuildRequest;
  progress: Progress;
  lease: Lease;
  /** When the build began, and the clock. Milliseconds since the epoch. */
  startedAt: number;
  now: () => number;
  signal: AbortSignal;
}

/** The outputs of a request; an image in the store when none is named. `tags` are names of its images too. */
export function outputsOf({ outputs = [], tags, buildArgs }: BuildRequest): OutputRequest[] {
  const epoch = parseEpoch(buildArgs.SOURCE_DATE_EPOCH);
  const all = outputs.length > 0 ? outputs : [{ output: imageOutput([]) }];
  return all.map(({ output, deliver }) => {
    if (!("format" in output)) return { output, deliver };
    const format = { ...output.format, epoch: output.format.epoch ?? epoch };
    return { output: { ...output, names: [...new Set([...output.names, ...tags])], format }, deliver };
  });
}

/** The format that layers are packed in while the build goes on; undefined when no image comes out of it. */
export function packFormat(outputs: readonly OutputRequest[]): LayerFormat | undefined {
  const first = outputs.map(({ output }) => output).find((output) => "format" in output);
  return first && layerFormat(first.format);
}

/**
 * Writes every output, one after the other.
 * @returns the first image that was written and the manifest of the cache, if any; provenance
 * @throws InvalidParameter for an output that has nowhere to go, what pushing, delivering and the signal throw
 */
export async function exportResults(
  parts: ExportParts,
  platforms: BuiltPlatform[],
  outputs: readonly OutputRequest[],
): Promise<Pick<BuildResult, "image" | "cache" | "provenance">> {
  const bundles = new Map<string, Promise<Bundle>>();
  const bundleOf = (output: ImageOutput) => {
    const attestations = attestationsFor(parts.request, output);
    const key = JSON.stringify([output.format, output.names, attestations]);
    const known = bundles.get(key) ?? writeBundle(parts, platforms, output, attestations);
    bundles.set(key, known);
    return known;
  };
  let exported: ExportedImage | undefined;
  for (const [i, { output, deliver }] of outputs.entries()) {
    parts.signal.throwIfAborted();
    const id = i === 0 ? "export" : `export ${i}`;
    switch (output.type) {
      case "image":
      case "oci":
      case "docker": {
        const vertex = { id, inputs: platforms.map(({ vertex }) => vertex) };
        const image = await exportImage(parts, vertex, output, deliver, bundleOf);
        exported ??= image;
        break;
      }
      case "local":
      case "tar":
        await parts.progress.vertex(
          { id, name: "exporting to client", inputs: platforms.map(({ vertex }) => vertex) },
          async () => {
            const { layers } = parts.backend.store;
            // Files of several platforms would write over each other.
            const split = platforms.length > 1 && (output.platformSplit || output.type === "tar");
            const naming = { prefix: output.attestationPrefix, withPlatform: platforms.length > 1 && !split };
            using statements = new DisposableStack();
            const roots = await Promise.all(
              platforms.map(async (built) => {
                const stated = statements.use(await stateFiles(parts, built, naming));
                const { platform, tree } = built.state;
                return { platform, root: built.open(), snapshot: tree.snapshot, beside: stated?.directory };
              }),
            );
            await handOver(deliver, output.type)(treeFiles(layers, roots, split), parts.signal);
            return {};
          },
        );
        break;
      case "cacheonly":
        break;
    }
  }
  let cache: Descriptor | undefined;
  const targets = parts.request.cacheTo?.filter((target) => target.type !== "inline") ?? [];
  // What clients are told last is what they name in their directories.
  for (const target of targets.sort((a, b) => b.type.localeCompare(a.type)))
    cache = (await exportTo(parts, platforms, target)) ?? cache;
  return { image: exported, cache, provenance: await provenanceOf(parts, platforms, exported) };
}

/** As it goes along with the image; else in short, for whoever keeps a build's metadata. */
async function provenanceOf(
  parts: ExportParts,
  platforms: BuiltPlatform[],
  image: ExportedImage | undefined,
): Promise<BuildResult["provenance"]> {
  const epoch = parseEpoch(parts.request.buildArgs.SOURCE_DATE_EPOCH);
  const wanted = { provenance: { mode: "min", version: "v0.2", builderId: "", inlineOnly: false } } as const;
  return Promise.all(
    platforms.map(async (built, i) => {
      const { platform } = built.state;
      const known = image?.provenance[i];
      if (known) return { platform, body: known };
      // About nothing in particular: provenance doesn't name its subject.
      const [predicate] = await predicatesOf(parts, built, { digest: digestOf(""), epoch }, wanted);
      return { platform, body: predicate!.body };
    }),
  );
}

async function exportTo(
  parts: ExportParts,
  platforms: BuiltPlatform[],
  target: StoredCache,
): Promise<Descriptor | undefined> {
  const place = placeOf(target);
  const vertex = { id: `cache ${place}`, name: `exporting cache to ${place}` };
  try {
    const { manifest } = await parts.progress.vertex(vertex, async ({ progress }) => ({
      manifest: await exportCache(parts, platforms, target, progress),
    }));
    return manifest;
  } catch (error) {
    if (!target.ignoreError || parts.signal.aborted) throw error;
    parts.progress.note(`the cache was not exported to ${place}: ${messageOf(error)}`);
    return undefined;
  }
}

async function exportImage(
  { backend, request, progress, lease, signal }: ExportParts,
  { id, inputs }: { id: string; inputs: string[] },
  output: ImageOutput,
  deliver: OutputRequest["deliver"],
  bundleOf: (output: ImageOutput) => Promise<Bundle>,
): Promise<ExportedImage> {
  const { names, format, type } = output;
  const name = type === "image" ? "exporting to image" : `exporting to ${type} image format`;
  const made = await progress.vertex({ id, name, inputs }, async () => {
    const made = await bundleOf(output);
    if (output.type === "image" && output.store) {
      const sameTimes = !format.rewriteTimestamps || format.epoch === undefined;
      const options = { names: output.pushByDigest ? [] : names, canonical: output.nameCanonical, sameTimes };
      await registerBundle({ store: backend.store, lease }, made, options, signal);
    }
    if (output.type !== "image") {
      const layout = await imageLayout(backend.store, made);
      const archive = () => imageArchive(backend.store, made, names);
      await handOver(deliver, type)({ layout, archive }, signal);
    }
    return { ...made, result: made.configDigest };
  });
  if (output.type === "image" && output.push) {
    if (names.length === 0)
      throw new InvalidParameter("an image is pushed by its name: give it one (-t, name=)");
    const vertex = { id: `${id} push`, name: `pushing ${names.join(", ")}` };
    await progress.vertex(vertex, async ({ progress }) => {
      const options = { credentials: request.credentials, onProgress: progress, signal };
      await pushBundle(backend, made, { names, byDigest: output.pushByDigest }, options);
      return {};
    });
  }
  const { descriptor, configDigest, manifests, provenance } = made;
  return { descriptor, configDigest, manifests, provenance, names };
}

function handOver(deliver: OutputRequest["deliver"], type: string): NonNullable<OutputRequest["deliver"]> {
  if (deliver) return deliver;
  throw new InvalidParameter(
    `the output type=${type} goes to the client, which has not said how it takes it`,
  );
}

async function writeBundle(
  parts: ExportParts,
  platforms: BuiltPlatform[],
  { format, names }: ImageOutput,
  attestations: AttestationOptions,
): Promise<Bundle> {
  const { backend, request, lease, signal } = parts;
  const { store } = backend;
  const inline = request.cacheTo?.some(({ type }) => type === "inline");
  const images = await Promise.all(
    platforms.map((built) => {
      const { state, packer } = built;
      const options = {
        format,
        labels: request.labels,
        inlineCache: inline ? (layers: PackedLayer[]) => inlineCache(built, layers) : undefined,
      };
      return writeImage({ store, packer, lease }, state, options, signal);
    }),
  );
  const about: Attested[] = [];
  for (const [i, image] of images.entries()) {
    const one = await attest(parts, platforms[i]!, image, { names, epoch: format.epoch }, attestations);
    if (one) about.push(one);
  }
  const split = request.platforms !== undefined && request.platforms.length > 0;
  return bundle({ store, lease }, images, { format, about, split });
}
