import { InvalidParameter, messageOf, NotFound } from "../../lib/errors.ts";
import { shortId } from "../../lib/ids.ts";
import type { Descriptor, Platform } from "../../lib/oci.ts";
import { parseManifest } from "../../lib/oci-schema.ts";
import { bestMatch, formatPlatform, hostPlatform } from "../../lib/platform.ts";
import { familiar, familiarName, parseReference, type Reference } from "../../lib/reference.ts";
import { Slots } from "../../lib/slots.ts";
import { together } from "../../lib/together.ts";
import type { Credentials, RepositoryClient } from "../../registry/types.ts";
import { isIndex } from "../../store/index.ts";
import type { ImageName, Lease, Target, TargetManifest } from "../../store/types.ts";
import type { Context } from "../context.ts";
import type { OnProgress } from "../types.ts";
import { explainRefusal } from "./damage.ts";
import { throttle } from "./download.ts";
import { digestName, imagesOf } from "./names.ts";

/** Layers that go up at once, Docker's default. */
const parallelUploads = 5;

export interface PushOptions {
  tag?: string;
  /** Only the manifest for it, of an index. */
  platform?: Platform;
  auth?: Credentials;
  signal: AbortSignal;
}

/**
 * Pushes one tag of a repository, or all of its tags when none is given and `all` of them is meant. An index goes as
 * it is when all of it is here or there; else the image that suits this host goes alone, as with Docker 28.
 * @throws NotFound when the repository has no such tag or platform here, Unauthorized, Unavailable
 */
export async function pushImage(
  context: Context,
  name: string,
  options: PushOptions,
  onProgress: OnProgress,
): Promise<void> {
  const parsed = parseReference(name);
  const { domain, path } = parsed;
  const wantedTag = options.tag || parsed.tag;
  const tagged = context.store.images
    .names()
    .map((name) => ({ reference: parseReference(name.reference), name }))
    .filter(
      ({ reference }) =>
        reference.domain === domain &&
        reference.path === path &&
        reference.tag !== undefined &&
        (!wantedTag || reference.tag === wantedTag),
    );
  const shown = familiarName(parsed);
  onProgress({ status: `The push refers to repository [${domain}/${path}]` });
  if (tagged.length === 0) throw new NotFound(`An image does not exist locally with the tag: ${shown}`);
  for (const { reference, name } of tagged)
    await new Push(context, reference, name, options, onProgress).run();
}

const digestIn = (of: Descriptor | TargetManifest) => ("digest" in of ? of : of.descriptor).digest;

/** One tag on its way. */
class Push {
  readonly #repository: RepositoryClient;
  readonly #target: Target;
  readonly #slots = new Slots(parallelUploads);
  /** Progress is shown by the uncompressed layer's digest, as Docker does. */
  readonly #shownAs: Map<string, string>;

  constructor(
    private readonly context: Context,
    private readonly reference: Reference,
    private readonly name: ImageName,
    private readonly options: PushOptions,
    private readonly onProgress: OnProgress,
  ) {
    const { images } = context.store;
    this.#repository = context.registry.repository(reference, options.auth);
    this.#target = images.target(name.target)!;
    this.#shownAs = new Map(
      imagesOf(images, this.#target).flatMap(({ layers }) =>
        layers.map(({ descriptor, diffId }) => [descriptor.digest, diffId] as const),
      ),
    );
  }

  async run(): Promise<void> {
    using lease = this.context.store.images.lease();
    this.#hold(lease);
    const index = this.#target.descriptor;
    const chosen = await this.#choose();
    const pushed = chosen?.descriptor ?? index;
    for (const manifest of this.#target.manifests)
      if (manifest.blobs && !manifest.subject && (!chosen || manifest === chosen)) {
        await this.#pushContent(manifest);
        if (manifest !== chosen) await this.#pushManifest(manifest.descriptor.digest, manifest.descriptor);
      }
    // Before the name: who sees that can look for signatures already.
    const sent = new Set(
      chosen ? [chosen.descriptor.digest] : [index, ...this.#target.manifests].map(digestIn),
    );
    for (const manifest of this.#target.manifests)
      if (manifest.subject && sent.has(manifest.subject)) {
        await this.#pushReferrer(manifest);
        sent.add(manifest.descriptor.digest);
      }
    const { tag } = this.reference;
    await this.#pushManifest(tag!, pushed);
    if (pushed.digest === index.digest)
      this.context.store.images.tag(digestName(this.reference, pushed.digest), this.name.id, pushed.digest);
    this.onProgress({ status: `${tag}: digest: ${pushed.digest} size: ${pushed.size}` });
    this.onProgress({ status: "", aux: { Tag: tag, Digest: pushed.digest, Size: pushed.size } });
    if (pushed.digest !== index.digest && !this.options.platform)
      this.onProgress({
        status: "",
        aux: { manifestPushedInsteadOfIndex: true, originalIndex: index, selectedManifest: pushed },
      });
    const repository = familiarName(this.reference);
    const labels = this.context.store.images.get(this.name.id)?.config.config?.Labels ?? {};
    const attributes = { ...labels, name: repository };
    this.context.events.publish("image", "push", `${repository}:${tag}`, attributes, labels);
  }

  #hold(lease: Lease): void {
    lease.addBlob(this.#target.descriptor.digest);
    for (const { descriptor, blobs } of this.#target.manifests)
      for (const digest of [descriptor.digest, ...(blobs ?? [])]) lease.addBlob(digest);
  }

  /** The one manifest that goes; undefined for the whole index. */
  async #choose(): Promise<TargetManifest | undefined> {
    const { manifests, descriptor } = this.#target;
    const { images } = this.context.store;
    const here = manifests.filter(({ image, blobs }) => image && blobs);
    const platformOf = ({ image }: TargetManifest) => images.get(image!)?.platform;
    const { platform } = this.options;
    if (platform) {
      const fit = bestMatch(here, platformOf, platform);
      if (fit) return fit;
      throw new NotFound(
        `image with reference ${familiar(this.reference)} was found but does not provide the specified platform (${formatPlatform(platform)})`,
      );
    }
    if (!isIndex(descriptor.mediaType)) return here[0];
    if (await this.#complete()) return undefined;
    const chosen = bestMatch(here, platformOf, hostPlatform) ?? (here.length === 1 ? here[0] : undefined);
    if (chosen) return chosen;
    this.onProgress({ status: "", aux: { contentMissing: true, desc: descriptor } });
    throw new NotFound(
      `content of ${familiar(this.reference)} is missing: not all of its platforms are here`,
    );
  }

  /** Whether each manifest of the index is here, or in the registry already. */
  async #complete(): Promise<boolean> {
    for (const { descriptor, blobs } of this.#target.manifests)
      if (!blobs && !(await this.#isThere(descriptor))) return false;
    return true;
  }

  async #isThere({ digest }: Descriptor): Promise<boolean> {
    try {
      await this.#repository.manifestDigest(digest, this.options.signal);
      return true;
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
  }

  /** Config and layers of a manifest; an index inside has nothing but itself. */
  async #pushContent({ descriptor, kind }: TargetManifest): Promise<void> {
    if (isIndex(descriptor.mediaType)) return;
    const { config, layers } = parseManifest(await this.context.store.content.bytes(descriptor.digest));
    const mountFrom = this.#elsewhere();
    await together(this.options.signal, (signal) =>
      layers.map((layer) => {
        const id = shortId(this.#shownAs.get(layer.digest) ?? layer.digest);
        if (kind === "image") this.onProgress({ id, status: "Preparing", progressDetail: {} });
        return this.#slots.run(() => this.#pushLayer(layer, id, mountFrom, signal), signal);
      }),
    );
    await this.#repository.pushBlob(config, () => this.context.store.content.open(config.digest), {
      signal: this.options.signal,
    });
  }

  async #pushLayer(
    layer: Descriptor,
    id: string,
    mountFrom: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { store } = this.context;
    const outcome = await this.#repository
      .pushBlob(layer, () => store.content.open(layer.digest), {
        mountFrom,
        onProgress: throttle((current) =>
          this.onProgress({ id, status: "Pushing", progressDetail: { current, total: layer.size } }),
        ),
        signal,
      })
      .catch((error: unknown) => explainRefusal(store, layer.digest, error));
    const statuses = {
      pushed: "Pushed",
      exists: "Layer already exists",
      mounted: `Mounted from ${mountFrom}`,
    };
    const status = statuses[outcome];
    this.onProgress({ id, status, progressDetail: {} });
  }

  /** An image goes also to a registry that takes nothing else. */
  async #pushReferrer(manifest: TargetManifest): Promise<void> {
    const { descriptor } = manifest;
    try {
      await this.#pushContent(manifest);
      await this.#pushManifest(descriptor.digest, descriptor);
    } catch (error) {
      if (!(error instanceof InvalidParameter || error instanceof NotFound)) throw error;
      this.onProgress({ status: `Referrer ${shortId(descriptor.digest)} left out: ${messageOf(error)}` });
    }
  }

  async #pushManifest(reference: string, descriptor: Descriptor): Promise<void> {
    const bytes = await this.context.store.content.bytes(descriptor.digest);
    await this.#repository.pushManifest(reference, bytes, descriptor.mediaType, this.options.signal);
  }

  /** Another repository of the same registry that has the image, to mount its layers from. */
  #elsewhere(): string | undefined {
    const { domain, path } = this.reference;
    return this.context.store.images
      .namesOf(this.name.id)
      .map((name) => parseReference(name.reference))
      .find((other) => other.domain === domain && other.path !== path && other.digest !== undefined)?.path;
  }
}
