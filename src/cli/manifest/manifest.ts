/** `manifest`: lists of images for several platforms, put together here and pushed to a registry by the engine. */
import { join } from "node:path";
import { Conflict, InvalidParameter, NotFound } from "../../lib/errors.ts";
import { atLeast, between, defineCommand, exactly, type Flags } from "../command.ts";
import type { CliContext } from "../context.ts";
import { forEach } from "../each.ts";
import { type Entry, entryOf, listDocument, ManifestLists } from "./lists.ts";
import { byDigest, fetchManifest, isList, manifestOf, pushList, type Remote } from "./remote.ts";

/** Accepted for scripts that give it: which registries are insecure is the engine's configuration. */
const insecure = {
  insecure: { kind: "bool", help: "Accepted for Docker's sake; the engine knows insecure registries" },
} as const satisfies Flags;

const listsOf = (context: CliContext) => new ManifestLists(join(context.configDir, "manifests"));

async function fetchEntry(context: CliContext, name: string): Promise<Entry> {
  const remote = await fetchManifest(context, name);
  if (isList(remote)) throw new InvalidParameter(`${name} is a manifest list`);
  return entryOf(name, remote.Descriptor, remote.Raw);
}

export const create = defineCommand({
  name: "manifest create",
  usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
  summary: "Create a local manifest list for annotating and pushing to a registry",
  flags: { amend: { kind: "bool", short: "a", help: "Add to a list that is there" }, ...insecure },
  arity: atLeast(2),
  examples: ["manifest create reg.example/app:1 reg.example/app:1-amd64 reg.example/app:1-arm64"],
  async run(context, { flags, args: [list = "", ...names] }) {
    const lists = listsOf(context);
    if (!flags.amend && lists.has(list))
      throw new Conflict("refusing to amend an existing manifest list with no --amend flag");
    const missing = names.filter((name) => !lists.entry(list, name));
    const entries = await Promise.all(missing.map((name) => fetchEntry(context, name)));
    for (const [index, name] of missing.entries()) lists.put(list, name, entries[index]!);
    context.line(`Created manifest list ${list}`);
    return 0;
  },
});

export const annotate = defineCommand({
  name: "manifest annotate",
  usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
  summary: "Add additional information to a local image manifest",
  flags: {
    arch: { kind: "string", help: "Set the architecture" },
    os: { kind: "string", help: "Set the operating system" },
    "os-features": { kind: "strings", help: "Add features of the operating system" },
    "os-version": { kind: "string", help: "Set the version of the operating system" },
    variant: { kind: "string", help: "Set the variant of the architecture" },
  },
  arity: exactly(2),
  examples: ["manifest annotate --arch arm64 reg.example/app:1 reg.example/app:1-arm64"],
  async run(context, { flags, args: [list = "", name = ""] }) {
    const lists = listsOf(context);
    const entry = lists.entry(list, name);
    if (!entry) throw new NotFound(`manifest for image ${name} does not exist in ${list}`);
    const { architecture, os, ...rest } = entry.Descriptor.platform ?? { architecture: "", os: "" };
    const features = [...new Set([...(rest["os.features"] ?? []), ...flags["os-features"]])];
    const platform = {
      architecture: flags.arch ?? architecture,
      os: flags.os ?? os,
      "os.version": flags["os-version"] ?? rest["os.version"],
      "os.features": features.length > 0 ? features : undefined,
      variant: flags.variant ?? rest.variant,
    };
    lists.put(list, name, { ...entry, Descriptor: { ...entry.Descriptor, platform } });
    return 0;
  },
});

export const inspect = defineCommand({
  name: "manifest inspect",
  usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
  summary: "Display an image manifest, or manifest list",
  flags: { verbose: { kind: "bool", short: "v", help: "Show layers and platforms too" }, ...insecure },
  arity: between(1, 2),
  examples: ["manifest inspect reg.example/app:1"],
  async run(context, { flags, args: [first = "", second] }) {
    const lists = listsOf(context);
    const show = (entries: Entry[]) =>
      context.line(
        flags.verbose
          ? JSON.stringify(entries, undefined, "\t")
          : JSON.stringify(listDocument(entries), undefined, 3),
      );
    if (second !== undefined) {
      const entry = lists.entry(first, second);
      if (!entry) throw new NotFound(`No such manifest: ${second}`);
      context.line(JSON.stringify(flags.verbose ? entry : manifestOf(entry.Raw), undefined, "\t"));
      return 0;
    }
    if (lists.has(first)) {
      show(lists.entries(first));
      return 0;
    }
    const remote = await fetchManifest(context, first);
    if (!isList(remote)) {
      const entry = entryOf(first, remote.Descriptor, remote.Raw);
      context.line(JSON.stringify(flags.verbose ? entry : manifestOf(remote.Raw), undefined, "\t"));
    } else if (flags.verbose) show(await childrenOf(context, first, remote));
    else context.line(JSON.stringify(manifestOf(remote.Raw), undefined, 3));
    return 0;
  },
});

/** Each manifest of a list in a registry, with the platform that the list gives it. */
async function childrenOf(context: CliContext, name: string, list: Remote): Promise<Entry[]> {
  const { manifests } = manifestOf(list.Raw) as { manifests: Entry["Descriptor"][] };
  return Promise.all(
    manifests.map(async (descriptor) => {
      const reference = byDigest(name, descriptor.digest);
      const { Raw } = await fetchManifest(context, reference);
      return entryOf(reference, descriptor, Raw);
    }),
  );
}

export const push = defineCommand({
  name: "manifest push",
  usage: "[OPTIONS] MANIFEST_LIST",
  summary: "Push a manifest list to a repository",
  flags: { purge: { kind: "bool", short: "p", help: "Remove the local list afterwards" }, ...insecure },
  arity: exactly(1),
  examples: ["manifest push --purge reg.example/app:1"],
  async run(context, { flags, args: [list = ""] }) {
    const lists = listsOf(context);
    const entries = lists.entries(list);
    for (const { Ref, Descriptor } of entries)
      if (!Descriptor.platform?.os || !Descriptor.platform.architecture)
        throw new InvalidParameter(
          `manifest ${Ref} must have an OS and Architecture to be pushed to a registry`,
        );
    const document = listDocument(entries);
    const { Digest, Brought } = await pushList(context, list, {
      mediaType: document.mediaType,
      // Indented by three, as Docker pushes it: the same list has the same digest.
      bytes: Buffer.from(JSON.stringify(document, undefined, 3)),
      sources: entries.map(({ Ref, Descriptor }) => byDigest(Ref, Descriptor.digest)),
    });
    for (const reference of Brought) context.line(`Pushed ref ${reference}`);
    if (flags.purge) lists.remove(list);
    context.line(Digest);
    return 0;
  },
});

export const rm = defineCommand({
  name: "manifest rm",
  usage: "MANIFEST_LIST [MANIFEST_LIST...]",
  summary: "Delete one or more manifest lists from local storage",
  flags: {},
  arity: atLeast(1),
  examples: ["manifest rm reg.example/app:1"],
  run: (context, { args }) =>
    forEach(context, args, async (list) => {
      listsOf(context).remove(list);
      return undefined;
    }),
});
