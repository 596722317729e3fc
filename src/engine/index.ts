import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { newId } from "../lib/ids.ts";
import { openNetwork } from "../net/index.ts";
import { createRegistryClient } from "../registry/index.ts";
import { openRuntime } from "../runtime/index.ts";
import { openStore } from "../store/index.ts";
import { BuildService } from "./builds.ts";
import { checkStore } from "./check.ts";
import { ContainerService } from "./containers/index.ts";
import { Lifecycle } from "./containers/lifecycle.ts";
import { Networking } from "./containers/networking.ts";
import { ContainerTable } from "./containers/table.ts";
import { type Context, paths } from "./context.ts";
import { EventBus } from "./events.ts";
import { ExecService } from "./execs.ts";
import { ImageCollector } from "./images/collector.ts";
import { ImageService } from "./images/index.ts";
import { requireImage } from "./images/names.ts";
import { SignaturePolicy } from "./images/signature-policy.ts";
import { diskSizes } from "./images/sizes.ts";
import { Info } from "./info.ts";
import { completePools } from "./network-pools.ts";
import { type Members, NetworkService } from "./networks.ts";
import { reconcile } from "./reconcile.ts";
import { reload } from "./reload.ts";
import { Remap } from "./remap.ts";
import { Tokens } from "./tokens.ts";
import type { DiskUsage, Engine, EngineOptions } from "./types.ts";
import { Volumes } from "./volumes.ts";

export type * from "./config.ts";
export type * from "./types.ts";

/** Opens the engine on its roots and brings it in line with what the kernel, the monitors and the database say. */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  mkdirSync(options.dataRoot, { recursive: true, mode: 0o711 });
  mkdirSync(options.execRoot, { recursive: true, mode: 0o711 });
  await using stack = new AsyncDisposableStack();
  const store = stack.use(await openStore(options.dataRoot, { limits: options.layerLimits }));
  const remap =
    options.usernsRemap === undefined
      ? undefined
      : stack.use(await Remap.open(options.usernsRemap, store.snapshots.root, paths.mapped(options)));
  const configured = options.runtime !== undefined && options.runtime in options.runtimes;
  const runtime = await openRuntime({
    binary: configured ? undefined : options.runtime,
    root: join(options.execRoot, "runtime"),
  });
  await runtime.configure(options.runtimes, configured ? options.runtime : undefined);
  const network = stack.use(
    await openNetwork({
      execRoot: options.execRoot,
      instance: instanceOf(options.dataRoot),
      filtered: options.filterIpv6 ? undefined : [4],
    }),
  );
  const registry = createRegistryClient({
    mirrors: options.registryMirrors,
    insecure: options.insecureRegistries,
    userAgent: "gantry/0.1",
  });
  const events = new EventBus();
  const signatures = new SignaturePolicy(store, options.signatures);
  const context: Context = { options, store, runtime, network, registry, events, signatures, remap };

  const table = new ContainerTable(store.metadata);
  const records = () => table.all().map((container) => container.record);
  const members: Members = {
    on: (networkId) =>
      records().flatMap((container) =>
        Object.values(container.endpoints)
          .filter((endpoint) => endpoint.networkId === networkId)
          .map((endpoint) => ({ container, endpoint })),
      ),
    alsoTaken: () => builds.stepAddresses(),
  };
  const identity = store.metadata.table<string>("identity");
  const id = identity.get("id") ?? newId();
  identity.put("id", id);
  const networks = new NetworkService(context, members, completePools(options.addressPools, id));
  const networking = new Networking(context, table, networks);
  const volumes = new Volumes(context, (name) =>
    records()
      .filter((record) => record.mounts.some((mount) => mount.name === name))
      .map((record) => record.id),
  );
  const images = new ImageService(context, records);
  const lifecycle = new Lifecycle(context, table, networking, volumes);
  const containers = new ContainerService({
    context,
    table,
    networks,
    networking,
    volumes,
    lifecycle,
    findImage: (reference, platform) => requireImage(images.find(reference, platform), reference),
    isAncestor: (reference, record) => images.isAncestor(reference, record),
  });
  const execs = new ExecService(context, table);
  lifecycle.hooks = {
    probe: (container, command, timeoutMs) => execs.probe(container, command, timeoutMs),
    ended: (container) => execs.forgetUnstarted(container),
    autoRemove: (container) => containers.removeStopped(container, true),
  };
  if (options.imageGc) stack.use(new ImageCollector(context, images, options.imageGc));
  const builds = stack.use(new BuildService(context, networks));
  await reconcile({
    context,
    table,
    networks,
    volumes,
    lifecycle,
    containers,
    keepImageMounts: (mounted) => images.keepMounts(mounted),
  });

  const info = new Info(context, id, () => records().map((record) => record.state.status));
  const resources = stack.move();
  return {
    containers,
    execs,
    images,
    networks: {
      create: async (request) => networks.create(request),
      get: (target) => networks.inspect(target),
      list: (filters) => networks.list(filters),
      remove: async (target) => networks.remove(target),
      connect: (target, container, endpoint) => containers.connect(target, container, endpoint),
      disconnect: (target, container, force) => containers.disconnect(target, container, force),
      prune: async (filters) => networks.prune(filters),
    },
    volumes,
    events,
    builds,
    tokens: new Tokens(store.metadata),
    experimental: options.experimental,
    info: () => info.read(),
    reload: (settings) => reload(context, id, settings),
    check: (options) => checkStore(context, records(), options),
    diskUsage: () => diskUsage({ images, containers, volumes, builds, context }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Keeps the kernel objects of daemons with different roots apart. */
function instanceOf(dataRoot: string): string {
  return createHash("sha256").update(dataRoot).digest("hex").slice(0, 8);
}

async function diskUsage(parts: {
  images: ImageService;
  containers: ContainerService;
  volumes: Volumes;
  builds: BuildService;
  context: Context;
}): Promise<DiskUsage> {
  const sizes = diskSizes(parts.context.store);
  return {
    images: parts.images
      .list({ all: true, filters: {} })
      .map((summary) => ({ ...summary, ...sizes.of(summary.record) })),
    layersSize: sizes.total,
    containers: await Promise.all(
      parts.containers
        .list({ all: true, filters: {} })
        .map(async (record) => ({ record, ...(await parts.containers.sizes(record.id)) })),
    ),
    volumes: await Promise.all(
      parts.volumes.list({}).map(async (record) => ({ record, ...(await parts.volumes.usage(record.name)) })),
    ),
    buildCache: await parts.builds.usage(),
  };
}
