import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createBuilder } from "../build/index.ts";
import type {
  BaseImage,
  BuildBackend,
  BuildEvent,
  Builder,
  BuildRequest,
  BuildResult,
  LintReport,
} from "../build/types.ts";
import { InvalidParameter } from "../lib/errors.ts";
import { newId } from "../lib/ids.ts";
import { Later } from "../lib/later.ts";
import { parseReference } from "../lib/reference.ts";
import { macFromIpv4 } from "../net/index.ts";
import type { Credentials } from "../registry/types.ts";
import { extraHostLines, hostResolvConf, hostsFile } from "./containers/etc-files.ts";
import { sharedWith } from "./containers/networking.ts";
import { type Context, paths } from "./context.ts";
import { untilFilter } from "./filters.ts";
import { fullName, knownImage } from "./images/names.ts";
import { pullImage } from "./images/pull.ts";
import type { NetworkService } from "./networks.ts";
import type { Builds, StreamedBuild } from "./types.ts";

/** Addresses of build steps that run now, by network. They are no containers, but take addresses like them. */
type StepAddresses = Map<string, string>;

/** Milliseconds after a build until the cache is held to its rules, so that builds in a row don't wait for that. */
const collectionDelay = 2000;

/** The builder, given the engine's images, networks and disk. */
export class BuildService implements Builds, AsyncDisposable {
  readonly #steps: StepAddresses = new Map();
  readonly #shared: Builder;
  readonly #collection = new Later(
    () => this.#collect(),
    collectionDelay,
    (error) => console.error("the build cache could not be collected:", error),
  );

  constructor(
    private readonly context: Context,
    private readonly networks: NetworkService,
  ) {
    this.#shared = createBuilder(this.#backend({}));
  }

  /** Addresses that running steps hold, so that no container is given one. */
  stepAddresses(): string[] {
    return [...this.#steps.values()];
  }

  async build(
    context: Readable,
    request: StreamedBuild,
    onEvent: (event: BuildEvent) => void,
    signal: AbortSignal,
  ): Promise<BuildResult> {
    const references = request.tags.map(fullName);
    return this.#withContext(context, request, signal, async (builder, rest) => {
      const result = await builder.build({ ...rest, tags: references }, onEvent, signal);
      const name = request.tags[0] ?? result.imageId;
      this.context.events.publish("image", "build", result.imageId, { name });
      return result;
    });
  }

  check(context: Readable, request: StreamedBuild, signal: AbortSignal): Promise<LintReport> {
    return this.#withContext(context, request, signal, (builder, rest) => builder.check(rest, signal));
  }

  /** Unpacks a context for the time that it is worked on. */
  async #withContext<T>(
    context: Readable,
    { auth, ...rest }: StreamedBuild,
    signal: AbortSignal,
    work: (builder: Builder, request: BuildRequest) => Promise<T>,
  ): Promise<T> {
    const contextDir = join(paths.tmp(this.context.options), `build-${crypto.randomUUID()}`);
    mkdirSync(contextDir, { recursive: true, mode: 0o700 });
    try {
      await this.context.store.layers.extract(context, contextDir, {}, signal);
      const builder = Object.keys(auth).length === 0 ? this.#shared : createBuilder(this.#backend(auth));
      return await work(builder, { ...rest, contextDir });
    } finally {
      this.#collection.request();
      await rm(contextDir, { recursive: true, force: true });
    }
  }

  async prune(policy: Parameters<Builds["prune"]>[0]): Promise<{ removed: string[]; bytes: number }> {
    const { until, "unused-for": unusedFor, ...filters } = policy.filters ?? {};
    const before = untilFilter({ until: unusedFor ?? until ?? [] });
    const result = await this.#shared.prune({ ...policy, filters, before });
    this.context.events.publish("builder", "prune", "", { reclaimed: String(result.bytes) });
    return result;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#collection[Symbol.asyncDispose]();
  }

  /** Applies the rules of garbage collection, one after the other. */
  async #collect(): Promise<void> {
    for (const { unusedFor, ...rule } of this.context.options.buildGc) {
      const before = unusedFor === undefined ? undefined : Date.now() - unusedFor;
      await this.#shared.prune({ ...rule, before });
    }
  }

  usage(): ReturnType<Builder["usage"]> {
    return this.#shared.usage();
  }

  #backend(auth: Record<string, Credentials>): BuildBackend {
    const { context } = this;
    return {
      store: context.store,
      runtime: context.runtime,
      execDir: join(context.options.execRoot, "b"),
      cgroupParent: "/gantry",
      resolveImage: async (reference, options): Promise<BaseImage> => {
        const known = options.pull
          ? undefined
          : knownImage(context.store.images, reference, options.platform);
        if (known) {
          context.signatures.check(reference, known);
          return known;
        }
        return pullImage(
          context,
          reference,
          {
            platform: options.platform,
            auth: auth[parseReference(reference).domain],
            signal: options.signal ?? new AbortController().signal,
          },
          ({ id, progressDetail }) => {
            if (id && progressDetail?.current !== undefined)
              options.onProgress?.(id, progressDetail.current, progressDetail.total);
          },
        );
      },
      stepNetwork: (_id, mode, extraHosts) => this.#stepNetwork(mode, extraHosts),
    };
  }

  async #stepNetwork(mode: string, extraHosts: string[]): ReturnType<BuildBackend["stepNetwork"]> {
    const { network, options } = this.context;
    const bridge = this.networks.find("bridge");
    const gateway = this.networks.gatewayOf(bridge);
    const extra = extraHostLines(extraHosts, gateway);
    const nameservers = options.dns.length > 0 ? options.dns : hostResolvConf().nameservers;
    const resolvConf = `${nameservers.map((server) => `nameserver ${server}`).join("\n")}\n`;
    if (mode === "host")
      return {
        hosts: hostsFile("buildkitsandbox", [], extra),
        resolvConf,
        [Symbol.asyncDispose]: async () => {},
      };
    if (sharedWith(mode) !== undefined || !["", "default", "bridge", "none"].includes(mode)) {
      throw new InvalidParameter(
        `network mode ${JSON.stringify(mode)} is not supported by Gantry's builder: use default, none or host`,
      );
    }
    const sandboxId = `build${newId().slice(0, 20)}`;
    const sandbox = network.createSandbox(sandboxId);
    const release = async () => {
      this.#steps.delete(sandboxId);
      network.removeSandbox(sandboxId);
    };
    try {
      if (mode === "none")
        return {
          namespacePath: sandbox.path,
          hosts: hostsFile("buildkitsandbox", [], extra),
          resolvConf,
          [Symbol.asyncDispose]: release,
        };
      const address = this.networks.takeAddress(bridge);
      this.#steps.set(sandboxId, address);
      network.connect(sandboxId, {
        networkId: bridge.id,
        endpointId: newId(),
        bridge: bridge.bridge,
        interfaceName: "eth0",
        macAddress: macFromIpv4(address),
        addresses: [this.networks.withPrefix(bridge, address)],
        gateways: [gateway],
      });
      return {
        namespacePath: sandbox.path,
        hosts: hostsFile("buildkitsandbox", [address], extra),
        resolvConf,
        [Symbol.asyncDispose]: release,
      };
    } catch (error) {
      await release();
      throw error;
    }
  }
}
