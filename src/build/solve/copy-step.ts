/** COPY and ADD as steps: what they select, what that means for the cache, and how it is written. */
import { expandText } from "../dockerfile/expand.ts";
import type { Copy } from "../dockerfile/instructions.ts";
import { stepError } from "../errors.ts";
import { addArchive, isArchive } from "../files/archive.ts";
import { type Chmod, parseChmod } from "../files/chmod.ts";
import { CopyError, copySelections, type InlineFile } from "../files/copy.ts";
import { fetchCommit, type GitOptions, isGitSource, parseGitSource, resolveCommit } from "../files/git.ts";
import { fetchRemote, isRemote } from "../files/remote.ts";
import { selectSources } from "../files/sources.ts";
import type { Selection, SourceTree } from "../files/tree.ts";
import { workdir } from "../graph/metadata.ts";
import { expandProblem } from "../graph/stages.ts";
import type { NamedInput } from "./inputs.ts";
import { keyOf } from "./key.ts";
import { ownerOf } from "./owner.ts";
import type { Vertex } from "./progress.ts";
import type { LayerStep, StageBuilder } from "./stage.ts";

/** Files of one tree, with what is done with them. */
interface Part {
  /** The sources, as the instruction has them. */
  name: string;
  tree: SourceTree;
  selections: Selection[];
  /** They are tar archives: unpacked instead of copied. */
  unpack: boolean;
  /** Owners are as in the source: it is a stage or an image. */
  keepOwners?: boolean;
}

/** What the sources mean for the key; `load` gives the files when the step has to be done. */
interface Sources {
  inputs: unknown[];
  named: () => Promise<NamedInput[]>;
  load: (signal: AbortSignal) => Promise<Part[]>;
  /** They are fetched with what only this build's client has. */
  bound?: boolean;
}

/** @throws DockerfileError, NotImplemented */
export async function copyStep(builder: StageBuilder, copy: Copy, vertex: Vertex): Promise<LayerStep> {
  const { session, state } = builder;
  const expand = (text: string) => builder.expand(text, copy);
  const named = copy.sources.map(expand);
  const given = expand(copy.destination);
  const destination = destinationOf(workdir(state.config.WorkingDir, given), given);
  const chown = copy.chown === undefined ? undefined : expand(copy.chown);
  const mode = copy.chmod === undefined ? undefined : expand(copy.chmod) || undefined;
  const chmod = mode === undefined ? undefined : chmodOf(copy, mode);
  const exclude = copy.exclude.map(expand);

  if (named.length + copy.inline.length > 1 && !destination.endsWith("/")) {
    const message = `When using ${copy.kind} with more than one source file, the destination must be a directory and end with a /`;
    throw stepError(copy.range, message);
  }
  const { inputs, named: sources, load, bound } = await sourcesOf(builder, copy, named, exclude, vertex);
  const inline = inlineFiles(builder, copy);
  return {
    inputs: [copy.kind, copy.parents, destination, chown ?? null, mode ?? null, inline, inputs],
    createdBy: `${copy.kind} ${createdBy(copy, [...named, ...inline.map(({ name }) => `<<${name}`)], given)}`,
    named: sources,
    bound,
    work: async (workspace, { signal }) => {
      const parts = await load(signal);
      const count = parts.reduce((sum, part) => sum + part.selections.length, inline.length);
      // Wildcards that match nothing have no owner that must be known.
      const owner =
        chown === undefined || count === 0 ? undefined : await ownerOf(workspace.root, chown, copy.range);
      if (count > 1 && !destination.endsWith("/")) {
        const message = `When using ${copy.kind} with more than one source file, the destination must be a directory and end with a /`;
        throw stepError(copy.range, message);
      }
      const options = { destination, owner: owner ?? { uid: 0, gid: 0 }, chmod, signal };
      try {
        for (const { tree, selections, unpack, keepOwners } of parts) {
          if (!unpack) {
            await copySelections(tree.root, selections, [], workspace.root, {
              ...options,
              owner: owner ?? (keepOwners ? "keep" : options.owner),
              takeOver: tree.received && { from: tree.received, layer: workspace },
            });
            continue;
          }
          for (const archive of selections) {
            const from = { root: tree.root, path: archive.entries[0]!.path };
            await addArchive(session.backend.store.layers, from, workspace.root, {
              destination,
              owner,
              signal,
            });
          }
        }
        await copySelections("", [], inline, workspace.root, options);
      } catch (error) {
        if (error instanceof CopyError) {
          throw stepError(copy.range, `${copy.kind} failed: ${error.message}`);
        }
        throw error;
      }
    },
  };
}

async function sourcesOf(
  builder: StageBuilder,
  copy: Copy,
  named: string[],
  exclude: string[],
  vertex: Vertex,
): Promise<Sources> {
  const { session } = builder;
  const { signal } = session;
  const request = { exclude, keyword: copy.kind, range: copy.range, parents: copy.parents };
  if (copy.from !== undefined) {
    const source = await session.source(copy.from, copy.range);
    if (source.kind === "context") {
      const selections = await selectSources(
        source.files,
        { ...request, sources: named, fromContext: true },
        signal,
      );
      return partsOf(builder, [{ tree: source.files, selections, unpack: false, name: named.join(" ") }]);
    }
    const { tree: identity, files } = source;
    const select = (signal: AbortSignal) =>
      selectSources(files(), { ...request, sources: named, fromContext: false }, signal);
    // The tree never changes under its name, so a selection's digest is remembered.
    let selected: Selection[] | undefined;
    const key = keyOf(identity.id, named, exclude, copy.parents);
    const digest = await session.digests.get(key, signal, async (signal) => {
      selected = await select(signal);
      return files().digest(selected, { owners: true, signal });
    });
    const name = `${named.join(" ")} (from ${copy.from})`;
    const load = async (signal: AbortSignal) => {
      const selections = selected ?? (await select(signal));
      return [{ tree: files(), selections, unpack: false, keepOwners: true, name }];
    };
    const list = async (): Promise<NamedInput[]> => {
      const options = { owners: true, digest: session.explanations.digest };
      return [
        { kind: "file", name, digest, files: selected && (await files().fingerprints(selected, options)) },
      ];
    };
    return { inputs: [digest], named: list, load };
  }
  const parts: Part[] = [];
  const remote = copy.kind === "ADD" ? named.filter(isRemote) : [];
  const repositories: Repository[] = [];
  for (const url of remote) {
    if (isGitSource(url)) {
      repositories.push(await repository(builder, copy, url, exclude));
      continue;
    }
    const tree = await fetchRemote(url, session.downloads(), {
      checksum: copy.checksum,
      progress: vertex.progress,
      signal,
      fail: (why) => stepError(copy.range, `ADD failed: ${why}`),
    });
    const selections = await selectSources(tree, { ...request, sources: ["*"], fromContext: false }, signal);
    parts.push(...(await splitArchives(tree, selections, copy.unpack === true, url)));
  }
  if (copy.checksum !== undefined && remote.length === 0) {
    throw stepError(copy.range, "checksum requires HTTP(S) or Git sources");
  }
  const local = named.filter((source) => !remote.includes(source));
  if (local.length > 0) {
    const tree = session.context();
    const selections = await selectSources(tree, { ...request, sources: local, fromContext: true }, signal);
    const unpacks = copy.kind === "ADD" && copy.unpack !== false;
    parts.push(...(await splitArchives(tree, selections, unpacks, local.join(" "))));
  }
  const files = await partsOf(builder, parts);
  return {
    inputs: [...files.inputs, ...repositories.map(({ key }) => key)],
    named: async () => [
      ...(await files.named()),
      ...repositories.map(
        ({ key, name }): NamedInput => ({ kind: "file", name, digest: keyOf(key).slice(0, 16) }),
      ),
    ],
    load: async (signal) => [
      ...parts,
      ...(await Promise.all(repositories.map(({ fetch }) => fetch(signal)))),
    ],
    bound: repositories.length > 0,
  };
}

/** Known by its commit: it is fetched only when the step has to be done. */
interface Repository {
  /** As the instruction has it. */
  name: string;
  key: unknown;
  fetch: (signal: AbortSignal) => Promise<Part>;
}

async function repository(
  { session }: StageBuilder,
  copy: Copy,
  url: string,
  exclude: string[],
): Promise<Repository> {
  const { request } = session;
  const parsed = parseGitSource(url, (why) => stepError(copy.range, why));
  const source = {
    ...parsed,
    keepGitDir: copy.keepGitDir ?? parsed.keepGitDir ?? false,
    checksum: copy.checksum ?? parsed.checksum,
  };
  const withAgent = async <T>(signal: AbortSignal, use: (options: GitOptions) => Promise<T>): Promise<T> => {
    await using agent = await request.ssh?.("default", signal);
    // The agent is there until it is done.
    return await use({
      directory: session.downloads(),
      secret: async (id) => request.secret?.(id, signal),
      sshSocket: agent?.socket,
      signal,
      fail: (why) => stepError(copy.range, `ADD failed: ${why}`),
    });
  };
  const commit = await withAgent(session.signal, (options) => resolveCommit(source, options));
  return {
    name: url,
    key: ["git", source.url, commit, source.subdirectory, source.keepGitDir, source.submodules, exclude],
    fetch: async (signal) => {
      const tree = await withAgent(signal, (options) => fetchCommit(source, commit, options));
      const sources = [source.subdirectory || "."];
      const { kind: keyword, range } = copy;
      const selected = await selectSources(
        tree,
        { sources, exclude, keyword, fromContext: false, range },
        signal,
      );
      return { tree, selections: selected, unpack: false, name: url };
    },
  };
}

/** Files of the client's: known by their content. */
async function partsOf({ session }: StageBuilder, parts: Part[]): Promise<Sources> {
  const { signal } = session;
  const digests = await Promise.all(
    parts.map(({ tree, selections }) => tree.digest(selections, { owners: false, signal })),
  );
  return {
    inputs: parts.map(({ unpack }, i) => [unpack, digests[i]]),
    named: () => {
      const options = { owners: false, digest: session.explanations.digest };
      return Promise.all(
        parts.map(async ({ tree, selections, name }, i): Promise<NamedInput> => {
          const files = await tree.fingerprints(selections, options);
          return { kind: "file", name, digest: digests[i]!, files };
        }),
      );
    },
    load: async () => parts,
  };
}

/** In the order that they are named: a later one writes over an earlier one. */
async function splitArchives(
  tree: SourceTree,
  selections: Selection[],
  unpacks: boolean,
  name: string,
): Promise<Part[]> {
  const parts: Part[] = [];
  for (const selection of selections) {
    const [first] = selection.entries;
    const unpack = unpacks && !selection.directory && (await isArchive(tree.root, first!.path));
    const last = parts.at(-1);
    if (last?.unpack === unpack) last.selections.push(selection);
    else parts.push({ tree, selections: [selection], unpack, name });
  }
  return parts;
}

function inlineFiles(builder: StageBuilder, copy: Copy): InlineFile[] {
  const lookup = builder.lookup();
  return copy.inline.map(({ name, content, expand }) => {
    if (!expand) return { name, content };
    try {
      return { name, content: expandText(content, lookup) };
    } catch (error) {
      throw expandProblem(error, copy.range);
    }
  });
}

function chmodOf(copy: Copy, text: string): Chmod {
  const change = parseChmod(text);
  if (!change)
    throw stepError(copy.range, `invalid chmod parameter: '${text}'. it should be octal or symbolic`);
  return change;
}

/** A slash at the end, or `.`, names a directory; it has to survive cleaning. */
function destinationOf(clean: string, given: string): string {
  return clean !== "/" && /(?:^|\/)\.?$/.test(given) ? `${clean}/` : clean;
}

function createdBy(copy: Copy, sources: string[], destination: string): string {
  const flags = [
    copy.from === undefined ? [] : [`--from=${copy.from}`],
    copy.chown === undefined ? [] : [`--chown=${copy.chown}`],
    copy.chmod === undefined ? [] : [`--chmod=${copy.chmod}`],
  ].flat();
  return [...flags, ...sources, destination].join(" ");
}
