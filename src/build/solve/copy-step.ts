/** COPY and ADD as steps: what they select, what that means for the cache, and how it is written. */
import { expandText } from "../dockerfile/expand.ts";
import type { Copy } from "../dockerfile/instructions.ts";
import { stepError } from "../errors.ts";
import { addArchive, isArchive } from "../files/archive.ts";
import { type ModeChange, parseChmod } from "../files/chmod.ts";
import { CopyError, copySelections, type InlineFile } from "../files/copy.ts";
import { fetchCommit, type GitOptions, isGitSource, parseGitSource, resolveCommit } from "../files/git.ts";
import { fetchRemote, isRemote } from "../files/remote.ts";
import { selectSources } from "../files/sources.ts";
import type { Selection, SourceTree } from "../files/tree.ts";
import { workdir } from "../graph/metadata.ts";
import { expandProblem } from "../graph/stages.ts";
import { keyOf } from "./key.ts";
import { ownerOf } from "./owner.ts";
import type { Vertex } from "./progress.ts";
import type { LayerStep, StageBuilder } from "./stage.ts";

/** Files of one tree, with what is done with them. */
interface Part {
  tree: SourceTree;
  selections: Selection[];
  /** They are tar archives: unpacked instead of copied. */
  unpack: boolean;
  /** Owners are as in the source: it is a stage or an image. */
  keepOwners?: boolean;
}

/** @throws DockerfileError, NotImplemented */
export async function copyStep(builder: StageBuilder, copy: Copy, vertex: Vertex): Promise<LayerStep> {
  const { session, state } = builder;
  const expand = (text: string) => builder.expand(text, copy);
  const named = copy.sources.map(expand);
  const given = expand(copy.destination);
  const destination = destinationOf(workdir(state.config.WorkingDir, given), given);
  const chown = copy.chown === undefined ? undefined : expand(copy.chown);
  const mode = copy.chmod === undefined ? undefined : expand(copy.chmod);
  const chmod = mode === undefined ? undefined : chmodOf(copy, mode);
  const exclude = copy.exclude.map(expand);

  if (named.length + copy.inline.length > 1 && !destination.endsWith("/")) {
    const message = `When using ${copy.kind} with more than one source file, the destination must be a directory and end with a /`;
    throw stepError(copy.range, message);
  }
  const { inputs, load } = await sourcesOf(builder, copy, named, exclude, vertex);
  const inline = inlineFiles(builder, copy);
  return {
    inputs: [copy.kind, copy.parents, destination, chown ?? null, mode ?? null, inline, inputs],
    createdBy: `${copy.kind} ${createdBy(copy, [...named, ...inline.map(({ name }) => `<<${name}`)], given)}`,
    work: async (workspace) => {
      const owner = chown === undefined ? undefined : await ownerOf(workspace.root, chown, copy.range);
      const parts = await load();
      const many = parts.reduce((sum, part) => sum + part.selections.length, inline.length) > 1;
      if (many && !destination.endsWith("/")) {
        const message = `When using ${copy.kind} with more than one source file, the destination must be a directory and end with a /`;
        throw stepError(copy.range, message);
      }
      const { signal } = session;
      const options = { destination, owner: owner ?? { uid: 0, gid: 0 }, chmod, signal };
      try {
        for (const { tree, selections, unpack, keepOwners } of parts) {
          if (!unpack) {
            await copySelections(tree.root, selections, [], workspace.root, {
              ...options,
              owner: owner ?? (keepOwners ? "keep" : options.owner),
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

/** What the sources mean for the key; `load` gives the files when the step has to be done. */
async function sourcesOf(
  builder: StageBuilder,
  copy: Copy,
  named: string[],
  exclude: string[],
  vertex: Vertex,
): Promise<{ inputs: unknown[]; load: () => Promise<Part[]> }> {
  const { session } = builder;
  const { signal } = session;
  const request = { exclude, keyword: copy.kind, range: copy.range, parents: copy.parents };
  if (copy.from !== undefined) {
    const source = await session.source(copy.from, builder.stage, copy.range);
    if (source.kind === "context") {
      const selections = await selectSources(
        source.files,
        { ...request, sources: named, fromContext: true },
        signal,
      );
      return partsOf([{ tree: source.files, selections, unpack: false }], signal);
    }
    const { tree: identity, files } = source;
    const select = () => selectSources(files(), { ...request, sources: named, fromContext: false }, signal);
    // The tree never changes under its name, so a selection's digest is remembered.
    const digest = await session.digests.get(keyOf(identity.id, named, exclude, copy.parents), async () =>
      files().digest(await select(), { owners: true, signal }),
    );
    const load = async () => [{ tree: files(), selections: await select(), unpack: false, keepOwners: true }];
    return { inputs: [digest], load };
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
      vertex,
      signal,
      range: copy.range,
    });
    const selections = await selectSources(tree, { ...request, sources: ["*"], fromContext: false }, signal);
    parts.push(...(await splitArchives(tree, selections, copy.unpack === true)));
  }
  if (copy.checksum !== undefined && remote.length === 0) {
    throw stepError(copy.range, "checksum requires HTTP(S) or Git sources");
  }
  const local = named.filter((source) => !remote.includes(source));
  if (local.length > 0) {
    const tree = session.context();
    const selections = await selectSources(tree, { ...request, sources: local, fromContext: true }, signal);
    parts.push(...(await splitArchives(tree, selections, copy.kind === "ADD" && copy.unpack !== false)));
  }
  const { inputs } = await partsOf(parts, signal);
  return {
    inputs: [...inputs, ...repositories.map(({ key }) => key)],
    load: async () => [...parts, ...(await Promise.all(repositories.map(({ fetch }) => fetch())))],
  };
}

/** Known by its commit: it is fetched only when the step has to be done. */
interface Repository {
  key: unknown;
  fetch: () => Promise<Part>;
}

async function repository(
  { session }: StageBuilder,
  copy: Copy,
  url: string,
  exclude: string[],
): Promise<Repository> {
  const { signal, request } = session;
  const parsed = parseGitSource(url, copy.range);
  const source = {
    ...parsed,
    keepGitDir: copy.keepGitDir ?? parsed.keepGitDir ?? false,
    checksum: copy.checksum ?? parsed.checksum,
  };
  const withAgent = async <T>(use: (options: GitOptions) => Promise<T>): Promise<T> => {
    await using agent = await request.ssh?.("default", signal);
    return use({
      directory: session.downloads(),
      secret: async (id) => request.secret?.(id, signal),
      sshSocket: agent?.socket,
      signal,
      range: copy.range,
    });
  };
  const commit = await withAgent((options) => resolveCommit(source, options));
  return {
    key: ["git", source.url, commit, source.subdirectory, source.keepGitDir, source.submodules, exclude],
    fetch: async () => {
      const tree = await withAgent((options) => fetchCommit(source, commit, options));
      const sources = [source.subdirectory || "."];
      const { kind: keyword, range } = copy;
      const selected = await selectSources(
        tree,
        { sources, exclude, keyword, fromContext: false, range },
        signal,
      );
      return { tree, selections: selected, unpack: false };
    },
  };
}

/** Files of the client's: known by their content. */
async function partsOf(parts: Part[], signal: AbortSignal) {
  const inputs = await Promise.all(
    parts.map(async ({ tree, selections, unpack }) => [
      unpack,
      await tree.digest(selections, { owners: false, signal }),
    ]),
  );
  return { inputs, load: async () => parts };
}

/** In the order that they are named: a later one writes over an earlier one. */
async function splitArchives(tree: SourceTree, selections: Selection[], unpacks: boolean): Promise<Part[]> {
  const parts: Part[] = [];
  for (const selection of selections) {
    const [first] = selection.entries;
    const unpack = unpacks && !selection.directory && (await isArchive(tree.root, first!.path));
    const last = parts.at(-1);
    if (last?.unpack === unpack) last.selections.push(selection);
    else parts.push({ tree, selections: [selection], unpack });
  }
  return parts;
}

function inlineFiles(builder: StageBuilder, copy: Copy): InlineFile[] {
  const { scope, config } = builder.state;
  const lookup = scope.lookup(config.Env ?? []);
  return copy.inline.map(({ name, content, expand }) => {
    if (!expand) return { name, content };
    try {
      return { name, content: expandText(content, lookup, builder.session.dockerfile.esc) };
    } catch (error) {
      throw expandProblem(error, copy.range);
    }
  });
}

function chmodOf(copy: Copy, text: string): ModeChange {
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
