import { join } from "node:path";
import type { Readable } from "node:stream";
import {
  createBuilder,
  describeAnswer,
  fetchContext,
  lintAnswer,
  outlineAnswer,
  ReceivedContext,
  type Subrequest,
  type SubrequestAnswer,
  targetsAnswer,
} from "../build/index.ts";
import type {
  BaseImage,
  BuildBackend,
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  ContainerRequest,
  LintReport,
  Output,
  StepContainer,
  StepUser,
} from "../build/types.ts";
import { isDigest } from "../lib/digest.ts";
import { newId } from "../lib/ids.ts";
import { familyOf } from "../lib/ip.ts";
import { Later } from "../lib/later.ts";
import { familiar, parseReference } from "../lib/reference.ts";
import { holdUserNamespace, mountIdMapped } from "../linux/user-namespaces.ts";
import { macFor, withPrefixOf } from "../net/index.ts";
import { BuildContexts } from "./build-contexts.ts";
import { BuildRecords } from "./build-history.ts";
import { checkStepNetwork, checkStepSettings } from "./build-limits.ts";
import { extraHostLines, hostResolvConf, hostsFile } from "./containers/etc-files.ts";
import { type Context, cgroupPath, paths } from "./context.ts";
import { untilFilter } from "./filters.ts";
import { imageEvent } from "./images/events.ts";
import { findImage, fullName, knownImage, requireImage } from "./images/names.ts";
import { pullImage } from "./images/pull.ts";
import type { NetworkService } from "./networks.ts";
import type { Remap } from "./remap.ts";
import type { BuildOptions, Builds, FillContext } from "./types.ts";

/** Addresses of build steps that run now, by network. They are no containers, but take addresses like them. */
type StepAddresses = Map<string, string[]>;

type FilesOfBuild = Awaited<ReturnType<FillContext>> & Pick<BuildRequest, "received">;

/** Milliseconds after a build until the cache is held to its rules, so that builds in a row don't wait for that. */
const collectionDelay = 2000;

/** The builder, given the engine's images, networks and disk. */
export class BuildService implements Builds, AsyncDisposable {
  readonly #steps: StepAddresses = new Map();
  readonly #builder: Builder;
  readonly #contexts: BuildContexts;
  readonly history: BuildRecords;
  readonly #collection = new Later(
    () => this.#collect(),
    collectionDelay,
    (error) => console.error("the build cache could not be collected:", error),
  );

  constructor(
    private readonly context: Context,
    private readonly networks: NetworkService,
  ) {
    this.#builder = createBuilder(this.#backend());
    const { options } = context;
    this.history = new BuildRecords(context.store.metadata, join(options.dataRoot, "build-history"));
    this.#contexts = new BuildContexts(join(options.dataRoot, "build-contexts"), paths.tmp(options));
  }

  get runDirectory(): string {
    return join(this.context.options.execRoot, "b");
  }

  /** Addresses that running steps hold, so that no container is given one. */
  stepAddresses(): string[] {
    return [...this.#steps.values()].flat();
  }

  build(
    source: Readable | FillContext,
    options: BuildOptions,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    if (options.internal) return this.#build(source, options, onEvent, signal);
    return this.history.record(options, onEvent, (noted) => this.#build(source, options, noted, signal));
  }

  async #build(
    source: Readable | FillContext,
    options: BuildOptions,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    checkStepSettings(options);
    const tags = options.tags.map(fullName);
    const outputs = options.outputs?.map((request) => ({
      ...request,
      output: withFullNames(request.output),
    }));
    return this.#withFiles(source, options, onEvent, signal, async (files) => {
      const result = await this.#builder.build({ ...options, ...files, tags, outputs }, onEvent, signal);
      const { image } = result;
      if (image) {
        const names = image.names.map((name) => familiar(parseReference(name)));
        const record = this.context.store.images.get(image.configDigest);
        if (record) {
          for (const name of names) imageEvent(this.context, record, "tag", name);
          imageEvent(this.context, record, "build", names[0]);
        }
      }
      return result;
    });
  }

  remote(url: string, keepGitDir: boolean, client: Pick<BuildRequest, "secret" | "ssh"> = {}): FillContext {
    const { layers } = this.context.store;
    return (open, onEvent, signal) => {
      const progress = (name: string, current: number, total?: number) =>
        onEvent({ type: "progress", id: "context", name, current, total });
      return fetchContext(url, open(), { layers, signal, keepGitDir, progress, ...client });
    };
  }

  check(source: Readable | FillContext, options: BuildOptions, signal: AbortSignal): Promise<LintReport> {
    return this.#withFiles(
      source,
      options,
      () => {},
      signal,
      (files) => this.#builder.check({ ...options, ...files }, signal),
    );
  }

  container(request: ContainerRequest, signal: AbortSignal): StepContainer {
    return this.#builder.container(request, signal);
  }

  async imageConfig(
    reference: string,
    options: Parameters<BuildBackend["resolveImage"]>[1],
  ): Promise<{ digest: string; config: Uint8Array }> {
    const { id, manifest } = await this.#backend().resolveImage(reference, options);
    return { digest: manifest ?? id, config: await this.context.store.content.bytes(id) };
  }

  ask(
    request: Subrequest,
    source: Readable | FillContext,
    options: BuildOptions,
    signal: AbortSignal,
  ): Promise<SubrequestAnswer> {
    if (request === "subrequests.describe") return Promise.resolve(describeAnswer());
    const quiet = () => {};
    return this.#withFiles(source, options, quiet, signal, async (files) => {
      const asked = { ...options, ...files };
      switch (request) {
        case "outline":
          return outlineAnswer(await this.#builder.outline(asked));
        case "targets":
          return targetsAnswer(await this.#builder.targets(asked));
        case "lint":
          return lintAnswer(await this.#builder.check(asked, signal));
      }
    });
  }

  lint(source: Readable | FillContext, options: BuildOptions, signal: AbortSignal): Promise<LintReport> {
    return this.#withFiles(
      source,
      options,
      () => {},
      signal,
      (files) => this.#builder.lint({ ...options, ...files }),
    );
  }

  /** Brings the files here, and keeps them until the builder releases them. */
  async #withFiles<T>(
    source: Readable | FillContext,
    { contexts, archives = {} }: Pick<BuildOptions, "contexts" | "archives">,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
    work: (files: FilesOfBuild & Pick<BuildRequest, "release">) => Promise<T>,
  ): Promise<T> {
    await using directories = new AsyncDisposableStack();
    const open = (key?: string) => directories.use(this.#contexts.open(key)).path;
    try {
      const files: FilesOfBuild =
        typeof source === "function"
          ? await source(open, onEvent, signal)
          : await this.#receive(source, open(), signal);
      const named = { ...contexts, ...files.contexts };
      for (const [name, bring] of Object.entries(archives)) {
        const directory = open();
        await bring((archive) => this.extract(archive, directory, signal), signal);
        named[name] = { directory };
      }
      // The builder's from here on: it may need them for longer than the build goes.
      const owned = directories.move();
      return await work({ ...files, contexts: named, release: () => owned.disposeAsync() });
    } finally {
      this.#collection.request();
    }
  }

  extract(archive: Readable, directory: string, signal: AbortSignal): Promise<void> {
    return this.context.store.layers.extract(archive, directory, {}, signal);
  }

  async #receive(
    archive: Readable,
    contextDir: string,
    signal: AbortSignal,
  ): Promise<Pick<BuildRequest, "contextDir" | "received">> {
    const { layers } = this.context.store;
    const hashes = await layers.receiveContext(archive, contextDir, signal);
    return { contextDir, received: new ReceivedContext(hashes) };
  }

  async prune(policy: Parameters<Builds["prune"]>[0]): Promise<{ removed: string[]; bytes: number }> {
    const { until, "unused-for": unusedFor, ...filters } = policy.filters ?? {};
    const before = untilFilter({ until: unusedFor ?? until ?? [] });
    const result = await this.#builder.prune({ ...policy, filters, before });
    if (before === undefined && policy.all) await this.#contexts.prune();
    this.context.events.publish("builder", "prune", "", { reclaimed: String(result.bytes) });
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#collection[Symbol.asyncDispose]();
    await this.#contexts[Symbol.asyncDispose]();
  }

  /** Applies the rules of garbage collection, one after the other. */
  async #collect(): Promise<void> {
    for (const { unusedFor, ...rule } of this.context.options.buildGc) {
      const before = unusedFor === undefined ? undefined : Date.now() - unusedFor;
      await this.#builder.prune({ ...rule, before });
    }
  }

  usage(): ReturnType<Builder["usage"]> {
    return this.#builder.usage();
  }

  #backend(): BuildBackend {
    const { context } = this;
    return {
      store: context.store,
      registry: context.registry,
      runtime: context.runtime,
      execDir: this.runDirectory,
      cgroupParent: cgroupPath(context.options.cgroupParent ?? "", ""),
      resolveImage: async (reference, options): Promise<BaseImage> => {
        const { images } = context.store;
        const here = () => knownImage(images, reference, options.platform);
        // An image's ID names one that is here; no registry knows it.
        const known = isDigest(reference) ? findImage(images, reference) : options.pull ? undefined : here();
        if (known) {
          context.signatures.check(reference, known.id);
          return requireImage(known, reference);
        }
        const signal = options.signal ?? new AbortController().signal;
        const auth = await options.credentials?.(parseReference(reference).domain, signal);
        const pulled = await pullImage(
          context,
          reference,
          { platform: options.platform, auth, signal },
          ({ id, status, progressDetail: { current, total } = {} }) => {
            // One figure a layer, which does not go back when it is unpacked.
            const counts = status === "Downloading" || current === total;
            if (id && current !== undefined && counts) options.onProgress?.(id, current, total);
          },
        );
        return requireImage(pulled, reference);
      },
      stepUser: context.remap && (() => holdStepUser(context.remap!)),
      stepNetwork: (_id, mode, extraHosts, namespace) => this.#stepNetwork(mode, extraHosts, namespace),
    };
  }

  async #stepNetwork(
    mode: string,
    extraHosts: string[],
    namespace?: string,
  ): ReturnType<BuildBackend["stepNetwork"]> {
    const { network, options } = this.context;
    const bridge = this.networks.defaultBridge();
    const extra = extraHostLines(extraHosts, this.networks.hostGateways());
    const nameservers = options.dns.length > 0 ? options.dns : hostResolvConf().nameservers;
    const resolvConf = `${nameservers.map((server) => `nameserver ${server}`).join("\n")}\n`;
    if (mode === "host")
      return {
        hosts: hostsFile("buildkitsandbox", [], extra),
        resolvConf,
        [Symbol.asyncDispose]: async () => {},
      };
    checkStepNetwork(mode);
    const sandboxId = `build${newId().slice(0, 20)}`;
    const sandbox = network.createSandbox(sandboxId, namespace);
    const release = async () => {
      this.#steps.delete(sandboxId);
      network.removeSandbox(sandboxId);
    };
    try {
      if (mode === "none" || !bridge)
        return {
          namespacePath: sandbox.path,
          hosts: hostsFile("buildkitsandbox", [], extra),
          resolvConf,
          [Symbol.asyncDispose]: release,
        };
      const pools = bridge.ipam.config;
      const addresses = pools.map(({ subnet }) => this.networks.takeAddress(bridge, familyOf(subnet)));
      this.#steps.set(sandboxId, addresses);
      network.connect(sandboxId, {
        networkId: bridge.id,
        endpointId: newId(),
        bridge: bridge.bridge,
        interfaceName: "eth0",
        macAddress: macFor(addresses.find((address) => familyOf(address) === 4)),
        addresses: pools.map(({ subnet }, index) => withPrefixOf(subnet, addresses[index]!)),
        gateways: pools.flatMap(({ gateway }) => gateway ?? []),
      });
      return {
        namespacePath: sandbox.path,
        hosts: hostsFile("buildkitsandbox", addresses, extra),
        resolvConf,
        [Symbol.asyncDispose]: release,
      };
    } catch (error) {
      await release();
      throw error;
    }
  }
}

async function holdStepUser({ map, view }: Remap): Promise<StepUser> {
  const held = await holdUserNamespace({ map }, { network: true });
  return {
    path: held.path,
    networkPath: held.networkPath,
    idMap: map,
    view,
    mountMapped: (source, target) => mountIdMapped(source, target, held),
    [Symbol.asyncDispose]: () => held[Symbol.asyncDispose](),
  };
}

function withFullNames(output: Output): Output {
  return "names" in output ? { ...output, names: output.names.map(fullName) } : output;
}
