/** Low-level definitions as they travel (solver/pb), read and checked. */
import { fromBinary } from "@bufbuild/protobuf";
import type { LowLevel } from "../../../build/types.ts";
import { type Digest, digestOf } from "../../../lib/digest.ts";
import { InvalidParameter, NotImplemented } from "../../../lib/errors.ts";
import {
  CacheSharingOpt,
  type ChownOpt,
  type Definition,
  DefinitionSchema,
  type ExecOp,
  type FileAction,
  type Mount,
  MountType,
  NetMode,
  type Op,
  OpSchema,
  SecurityMode,
  type UserOpt,
} from "./proto/ops_pb.ts";

/** Also results of other builds, by the definitions that are given out for them. */
const knownSource = /^(?:docker-image|local|git|https?|oci-layout|gantry-result):\/\//;

/** Operations of one definition. */
const maxOps = 100_000;

/** @throws InvalidParameter, NotImplemented */
export function parseDefinition(definition: Definition): LowLevel.Definition {
  if (definition.def.length > maxOps)
    throw new InvalidParameter(`a definition of ${definition.def.length} operations is too long`);
  const ops = new Map<Digest, LowLevel.Op>();
  let last: Op | undefined;
  for (const bytes of definition.def) {
    const op = decode(OpSchema, bytes);
    const id = digestOf(bytes);
    last = op;
    if (op.op.case === undefined) continue;
    ops.set(id, parseOp(id, op, definition));
  }
  if (!last || last.op.case !== undefined) {
    if (!last) return { ops };
    throw new InvalidParameter("invalid low-level definition: its last operation names no result");
  }
  const [result] = last.inputs.map(edgeOf);
  const whole = { ops, result };
  checkGraph(whole);
  return whole;
}

/** As it is kept in a file. @throws InvalidParameter, NotImplemented */
export const readDefinition = (bytes: Uint8Array): LowLevel.Definition =>
  parseDefinition(decode(DefinitionSchema, bytes));

function decode<S extends Parameters<typeof fromBinary>[0]>(schema: S, bytes: Uint8Array) {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new InvalidParameter("invalid low-level definition", { cause: error });
  }
}

/** What is named is there. A digest of itself is in no operation, so there are no circles. */
function checkGraph({ ops, result }: LowLevel.Definition): void {
  const edges = [...ops.values()].flatMap(({ inputs }) => inputs);
  for (const { op } of result ? [...edges, result] : edges)
    if (!ops.has(op)) throw new InvalidParameter(`invalid low-level definition: ${op} is not there`);
}

function edgeOf({ digest, index }: { digest: string; index: bigint }): LowLevel.Edge {
  return { op: digest as Digest, output: Number(index) };
}

function parseOp(id: Digest, op: Op, { metadata, source }: Definition): LowLevel.Op {
  const known = metadata[id];
  const [place] = source?.locations[id]?.locations ?? [];
  const lines = place?.ranges.map(({ start, end }) => [start?.line ?? 0, end?.line ?? 0] as const) ?? [];
  const info = place && source?.infos[place.sourceIndex];
  const range = info &&
    lines.length > 0 && {
      file: info.filename,
      line: Math.min(...lines.map(([from]) => from)),
      endLine: Math.max(...lines.map(([, to]) => to)),
      source: textOf(info.data, Math.min(...lines.map(([from]) => from))),
    };
  const { platform } = op;
  return {
    id,
    inputs: op.inputs.map(edgeOf),
    name: known?.description["llb.customname"] || undefined,
    fresh: known?.ignoreCache ?? false,
    platform:
      platform && platform.os !== "" ? { ...platform, variant: platform.variant || undefined } : undefined,
    range: range || undefined,
    does: parseAct(op),
  };
}

const textOf = (data: Uint8Array, line: number) =>
  new TextDecoder().decode(data).split(/\r?\n/)[line - 1]?.trim() ?? "";

function parseAct({ op, inputs }: Op): LowLevel.Op["does"] {
  switch (op.case) {
    case "source": {
      const { identifier, attrs } = op.value;
      if (!knownSource.test(identifier))
        throw new NotImplemented(`the source ${identifier} of a low-level definition is not supported`);
      return { type: "source", identifier, attrs };
    }
    case "exec":
      return parseExec(op.value);
    case "file":
      return {
        type: "file",
        actions: op.value.actions.map((action, i) => parseAction(action, inputs.length + i)),
      };
    case "build": {
      const { builder, inputs, attrs } = op.value;
      const from = inputs["buildkit.llb.definition"];
      if (builder !== -1n || !from)
        throw new NotImplemented("of nested builds those are supported whose definition is low-level");
      return {
        type: "build",
        input: Number(from.input),
        filename: attrs["llbbuild.filename"] || "buildkit.llb.definition",
      };
    }
    case "merge":
      return { type: "merge", inputs: op.value.inputs.map(({ input }) => Number(input)) };
    case "diff":
      return {
        type: "diff",
        lower: indexOf(op.value.lower?.input ?? -1n),
        upper: indexOf(op.value.upper?.input ?? -1n),
      };
    default:
      throw new NotImplemented("an operation of a low-level definition is of a kind that is not known");
  }
}

/** -1: none. */
const indexOf = (index: bigint): number | undefined => (index < 0n ? undefined : Number(index));

export function parseExec({
  meta,
  mounts,
  network,
  security,
  secretenv,
  cdiDevices,
}: ExecOp): LowLevel.ExecOp {
  const proxy = meta?.proxyEnv;
  const proxies = {
    http_proxy: proxy?.httpProxy,
    https_proxy: proxy?.httpsProxy,
    ftp_proxy: proxy?.ftpProxy,
    no_proxy: proxy?.noProxy,
    all_proxy: proxy?.allProxy,
  };
  return {
    type: "exec",
    args: meta?.args ?? [],
    env: meta?.env ?? [],
    cwd: meta?.cwd ?? "/",
    user: meta?.user ?? "",
    hostname: meta?.hostname ?? "",
    proxies: Object.entries(proxies).flatMap(([name, value]) =>
      value ? [`${name}=${value}`, `${name.toUpperCase()}=${value}`] : [],
    ),
    extraHosts: meta?.extraHosts.map(({ host, ip }) => `${host}:${ip}`) ?? [],
    ulimits:
      meta?.ulimit.map(({ name, soft, hard }) => ({ name, soft: Number(soft), hard: Number(hard) })) ?? [],
    cgroupParent: meta?.cgroupParent || undefined,
    validExitCodes: meta?.validExitCodes ?? [],
    network: network === NetMode.HOST ? "host" : network === NetMode.NONE ? "none" : "default",
    insecure: security === SecurityMode.INSECURE,
    secretEnv: secretenv.map(({ id, name, optional }) => ({ id, name, optional })),
    devices: cdiDevices.map(({ name, optional }) => ({ name, required: !optional })),
    mounts: mounts.map(parseMount),
  };
}

const sharings = {
  [CacheSharingOpt.SHARED]: "shared",
  [CacheSharingOpt.PRIVATE]: "private",
  [CacheSharingOpt.LOCKED]: "locked",
} as const;

export function parseMount(mount: Mount): LowLevel.ExecMount {
  const place = { target: mount.dest, output: indexOf(mount.output) };
  const { readonly, selector } = mount;
  switch (mount.mountType) {
    case MountType.BIND:
      return { ...place, type: "bind", input: indexOf(mount.input), selector, readonly };
    case MountType.CACHE: {
      const { id = "", sharing = CacheSharingOpt.SHARED } = mount.cacheOpt ?? {};
      const input = indexOf(mount.input);
      return {
        ...place,
        type: "cache",
        id: id || mount.dest,
        sharing: sharings[sharing],
        input,
        selector,
        readonly,
      };
    }
    case MountType.TMPFS:
      return { ...place, type: "tmpfs", size: Number(mount.tmpfsOpt?.size ?? 0n) || undefined };
    case MountType.SECRET: {
      const { id = "", uid = 0, gid = 0, mode = 0o400, optional = false } = mount.secretOpt ?? {};
      return { ...place, type: "secret", id, uid, gid, mode: mode & 0o7777, required: !optional };
    }
    case MountType.SSH: {
      const { id = "", uid = 0, gid = 0, mode = 0o600, optional = false } = mount.sshOpt ?? {};
      return {
        ...place,
        type: "ssh",
        id: id || "default",
        uid,
        gid,
        mode: mode & 0o7777,
        required: !optional,
      };
    }
    default:
      throw new NotImplemented(`a mount of kind ${mount.mountType} is not supported`);
  }
}

/** @param number what comes before it: the op's inputs, and earlier actions */
function parseAction(
  { input, secondaryInput, output, action }: FileAction,
  number: number,
): LowLevel.FileAction {
  const before = (index: bigint) => {
    const at = indexOf(index);
    if (at !== undefined && at >= number)
      throw new InvalidParameter(`a file action takes what comes after it: ${at}`);
    return at;
  };
  return { input: before(input), output: indexOf(output), act: parseFileAct(action, before(secondaryInput)) };
}

function parseFileAct(action: FileAction["action"], from: number | undefined): LowLevel.FileAction["act"] {
  switch (action.case) {
    case "copy": {
      const copy = action.value;
      if (from === undefined) throw new InvalidParameter("a copy needs something to copy from");
      return {
        type: "copy",
        from,
        source: copy.src,
        destination: copy.dest,
        owner: parseOwner(copy.owner),
        mode: copy.modeStr || (copy.mode < 0 ? undefined : copy.mode.toString(8)),
        followLinks: copy.followSymlink,
        contentsOnly: copy.dirCopyContents,
        unpack: copy.attemptUnpackDockerCompatibility,
        makeParents: copy.createDestPath,
        wildcard: copy.allowWildcard,
        allowNone: copy.allowEmptyWildcard,
        replace: copy.alwaysReplaceExistingDestPaths,
        include: copy.includePatterns,
        exclude: copy.excludePatterns,
        time: timeOf(copy.timestamp),
      };
    }
    case "mkfile": {
      const { path, mode, data, owner, timestamp } = action.value;
      return { type: "mkfile", path, mode, data, owner: parseOwner(owner), time: timeOf(timestamp) };
    }
    case "mkdir": {
      const { path, mode, makeParents, owner, timestamp } = action.value;
      return { type: "mkdir", path, mode, makeParents, owner: parseOwner(owner), time: timeOf(timestamp) };
    }
    case "rm": {
      const { path, allowNotFound, allowWildcard } = action.value;
      return { type: "rm", path, allowNone: allowNotFound, wildcard: allowWildcard };
    }
    case "symlink": {
      const { oldpath, newpath, owner, timestamp } = action.value;
      return {
        type: "symlink",
        target: oldpath,
        path: newpath,
        owner: parseOwner(owner),
        time: timeOf(timestamp),
      };
    }
    default:
      throw new NotImplemented("a file action is of a kind that is not known");
  }
}

/** Nanoseconds since the epoch; -1: as it is. */
const timeOf = (timestamp: bigint): Date | undefined =>
  timestamp < 0n ? undefined : new Date(Number(timestamp / 1_000_000n));

function parseOwner(owner: ChownOpt | undefined): LowLevel.Ownership | undefined {
  return owner && { user: parseUser(owner.user), group: parseUser(owner.group) };
}

function parseUser(user: UserOpt | undefined): LowLevel.Ownership["user"] {
  switch (user?.user.case) {
    case "byId":
      return { id: user.user.value };
    case "byName":
      return { name: user.user.value.name, input: indexOf(user.user.value.input) };
    default:
      return undefined;
  }
}
