/** One image to a registry, under all of its tags. */
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { digestOf } from "../../../src/lib/digest.ts";
import { NotFound } from "../../../src/lib/errors.ts";
import { type ImageConfig, type Manifest, mediaTypes } from "../../../src/lib/oci.ts";
import type { RegistryClient, RepositoryClient } from "../../../src/registry/types.ts";
import type { ImageRecipe } from "./catalogue.ts";
import type { Layer } from "./layers.ts";

const architectures: Record<string, string> = { x64: "amd64", arm64: "arm64" };

/** @returns the tags that were not there as they are now */
export async function pushImage(
  client: RegistryClient,
  domain: string,
  image: ImageRecipe,
  layers: Layer[],
): Promise<string[]> {
  const repository = client.repository({ domain, path: image.repository });
  const config = Buffer.from(JSON.stringify(configOf(image, layers)));
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length },
    layers: layers.map((layer) => layer.descriptor),
    annotations: labelsOf(image),
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const digest = digestOf(bytes);
  const current = await Promise.all(image.tags.map((tag) => digestOfTag(repository, tag)));
  const missing = image.tags.filter((_, i) => current[i] !== digest);
  if (missing.length === 0) return [];
  for (const layer of layers) {
    await repository.pushBlob(layer.descriptor, () => createReadStream(layer.path));
  }
  await repository.pushBlob(manifest.config, () => Readable.from(config, { objectMode: false }));
  for (const tag of missing) await repository.pushManifest(tag, bytes, mediaTypes.ociManifest);
  return missing;
}

async function digestOfTag(repository: RepositoryClient, tag: string): Promise<string | undefined> {
  try {
    return (await repository.manifest(tag)).descriptor.digest;
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

function labelsOf({ repository, contents }: ImageRecipe): Record<string, string> {
  return {
    "io.gantry.stand-in": repository.replace(/^library\//, ""),
    "io.gantry.stand-in.contents": contents,
  };
}

function configOf(image: ImageRecipe, layers: Layer[]): ImageConfig {
  const created = layers.map((layer) => layer.created).sort();
  const architecture = architectures[process.arch];
  if (!architecture) throw new Error(`no base images for the architecture ${process.arch}`);
  return {
    created: created.at(-1),
    architecture,
    os: "linux",
    config: { ...image.config, Labels: labelsOf(image) },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((layer, i) => ({
      created: layer.created,
      created_by: `script/base-images: ${image.layers[i]}`,
      comment: `stand-in: ${image.contents}`,
    })),
  };
}
