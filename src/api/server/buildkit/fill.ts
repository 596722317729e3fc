/** A build's files, brought from where its client says they are: Dockerfile, ignore file, contexts. */
import { mkdirSync } from "node:fs";
import { join, posix } from "node:path";
import type { Readable } from "node:stream";
import * as v from "valibot";
import { readInside, resolveInside } from "../../../build/index.ts";
import type { BuildEvent, BuildRequest, ImageLayout, LowLevel } from "../../../build/types.ts";
import type { Engine, FillContext } from "../../../engine/types.ts";
import { InvalidParameter, NotFound } from "../../../lib/errors.ts";
import { ignorePatterns } from "../../../lib/ignore.ts";
import { parseJson, validate } from "../exchange.ts";
import { blobDirectory } from "./content.ts";
import { resultId, sourcesOf } from "./definition.ts";
import { syncDirectory } from "./file-sync.ts";
import type { ContextSource, DockerfileBuild } from "./frontend.ts";
import type { HeldResult } from "./held-result.ts";
import { readDefinition } from "./low-level.ts";
import { sessionSecret, sessionSsh } from "./secrets.ts";
import type { Session } from "./session.ts";
import { shown } from "./shown.ts";
import type { Source } from "./source.ts";

export interface FillParts {
  engine: Engine;
  session: Session;
  /** The context, Dockerfile and all, when it comes so. */
  archive?: Readable;
  /** What another build has come to, by its reference. */
  result(id: string): HeldResult | undefined;
  /** Called with the Dockerfile when it is here: errors point into it. */
  onSource(source: Source): void;
}

type Open = Parameters<FillContext>[0];

export function fillFrom(parts: FillParts, build: DockerfileBuild): FillContext {
  return (open, onEvent, signal) => new Filling(parts, build, open, onEvent, signal).fill();
}

class Filling {
  constructor(
    private readonly parts: FillParts,
    private readonly build: DockerfileBuild,
    private readonly open: Open,
    private readonly onEvent: (event: BuildEvent) => void,
    private readonly signal: AbortSignal,
  ) {}

  async fill(): ReturnType<FillContext> {
    const { build } = this;
    if (build.lowLevel) return this.#definitions(build.lowLevel);
    const filename = posix.join(".", build.filename);
    const local =
      build.dockerfileDirectory === undefined || this.parts.archive
        ? undefined
        : await this.#localDockerfile(filename);
    if (local) this.#told(filename, local.text);
    let contextDir: string;
    let dockerfile: BuildRequest["dockerfile"] | undefined;
    if (this.parts.archive) {
      contextDir = below(await this.#archive(this.parts.archive), build.subdirectory);
      dockerfile = { path: filename };
      const text = readInside(contextDir, filename);
      if (text !== undefined) this.#told(filename, text);
    } else if (build.remote !== undefined) {
      const fetched = await this.#fetch("context", "[internal] load remote build context", build.remote);
      contextDir = below(fetched.contextDir, build.subdirectory);
      if (!local) {
        dockerfile = fetched.dockerfile ?? { path: filename };
        const text = "text" in dockerfile ? dockerfile.text : readInside(contextDir, filename);
        if (text !== undefined) this.#told(filename, text);
      }
    } else if (build.result !== undefined) {
      const { root } = await this.#result(build.result).files();
      contextDir = below(root, build.subdirectory);
      if (!local) {
        dockerfile = { path: filename };
        const text = readInside(contextDir, filename);
        if (text !== undefined) this.#told(filename, text);
      }
    } else if (build.contextDirectory !== undefined) {
      const ignore = local?.ignore ?? (await this.#ignoreFile());
      const exclude = ignorePatterns(ignore);
      const root = await this.#sync("context", "[internal] load build context", build.contextDirectory, {
        exclude,
      });
      contextDir = below(root, build.subdirectory);
      if (local) dockerfile = { text: local.text, name: filename, ignore };
    } else contextDir = this.#nothing();
    if (local) dockerfile ??= { text: local.text, name: filename, ignore: local.ignore };
    return { contextDir, contexts: await this.#contexts(), dockerfile };
  }

  #told(filename: string, text: string): void {
    if (text.trim() === "") throw new InvalidParameter(`the Dockerfile (${filename}) cannot be empty`);
    this.parts.onSource({ filename, text });
  }

  async #localDockerfile(filename: string): Promise<{ text: string; ignore?: string }> {
    const files = await this.#sync(
      "definition",
      `[internal] load build definition from ${filename}`,
      this.build.dockerfileDirectory!,
      { include: [filename, `${filename}.dockerignore`] },
    );
    const text = readInside(files, filename);
    if (text === undefined)
      throw new InvalidParameter(`failed to read dockerfile: open ${filename}: no such file or directory`);
    return { text, ignore: readInside(files, `${filename}.dockerignore`) };
  }

  async #ignoreFile(): Promise<string> {
    const name = posix.join(this.build.subdirectory ?? ".", ".dockerignore");
    const files = await this.#sync("ignore", "[internal] load .dockerignore", this.build.contextDirectory!, {
      include: [name],
    });
    return readInside(files, name) ?? "";
  }

  async #contexts(): Promise<NonNullable<BuildRequest["contexts"]>> {
    const contexts: NonNullable<BuildRequest["contexts"]> = {};
    for (const [name, source] of Object.entries(this.build.contexts))
      contexts[name] = await this.#named(name, source);
    return contexts;
  }

  async #named(name: string, source: ContextSource): Promise<NonNullable<BuildRequest["contexts"]>[string]> {
    if ("image" in source) return source;
    const id = `load-${name}`;
    if ("local" in source)
      return { directory: await this.#sync(id, `[context ${name}] load from client`, source.local, {}) };
    if ("remote" in source) {
      const { contextDir } = await this.#fetch(id, `[context ${name}] load ${source.remote}`, source.remote);
      return { directory: contextDir };
    }
    if ("store" in source) {
      const directory = blobDirectory(this.parts.session, `oci:${source.store}`);
      const { digest } = source;
      return { image: `oci-layout://${name}@${digest}`, layout: { directory, digest } };
    }
    const { layout } = await this.#result(source.result).files();
    return { image: `target://${name}@${layout.digest}`, layout };
  }

  #result(id: string): HeldResult {
    const held = this.parts.result(id);
    if (!held) throw new NotFound(`no result ${id} of another build`);
    return held;
  }

  /** What the sources of definitions need from elsewhere: directories of the client's, results of other builds. */
  async #definitions(lowLevel: NonNullable<DockerfileBuild["lowLevel"]>): ReturnType<FillContext> {
    const directories: Record<string, string> = {};
    const layouts: Record<string, ImageLayout> = {};
    for (const { definition } of lowLevel.results)
      for (const { identifier, attrs, op } of sourcesOf(definition)) {
        const result = resultId(identifier);
        if (result !== undefined) layouts[identifier] = (await this.#result(result).files()).layout;
        else if (identifier.startsWith("local://") && !(op.id in directories))
          directories[op.id] = await this.#local(identifier.slice("local://".length), attrs, op);
      }
    return {
      contextDir: this.#nothing(),
      lowLevel: { ...lowLevel, directories, layouts, parse: readDefinition },
    };
  }

  #local(name: string, attrs: Record<string, string>, op: LowLevel.Op): Promise<string> {
    const list = (attribute: string) => {
      const text = attrs[attribute];
      return text ? validate(v.array(v.string()), parseJson(text, `invalid ${attribute}`)) : undefined;
    };
    const patterns = {
      include: list("local.includepattern"),
      exclude: list("local.excludepatterns"),
      follow: list("local.followpaths"),
    };
    return this.#sync(op.id, op.name ?? `[internal] load ${name}`, name, patterns);
  }

  #sync(
    id: string,
    title: string,
    name: string,
    patterns: { include?: string[]; exclude?: string[]; follow?: string[] },
  ): Promise<string> {
    const { session } = this.parts;
    // Single files are not worth keeping, and without a key nobody would find them again.
    const key =
      patterns.include || !session.sharedKey ? undefined : JSON.stringify([session.sharedKey, name, id]);
    return shown(this.onEvent, { id, name: title }, (progress) =>
      syncDirectory(
        session,
        this.open(key),
        { name, ...patterns, onProgress: (...amounts) => progress(`transferring ${name}:`, ...amounts) },
        this.signal,
      ),
    );
  }

  #fetch(id: string, title: string, url: string): ReturnType<FillContext> {
    const keepGitDir = /^(?:1|t|true)$/i.test(
      this.build.options.buildArgs.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? "",
    );
    const { engine, session } = this.parts;
    const fill = engine.builds.remote(url, keepGitDir, {
      secret: sessionSecret(session),
      ssh: sessionSsh(session, engine.builds.runDirectory),
    });
    return shown(this.onEvent, { id, name: title }, (progress) =>
      fill(
        this.open,
        (event) => {
          if (event.type === "progress") progress(event.name, event.current, event.total);
        },
        this.signal,
      ),
    );
  }

  #archive(archive: Readable): Promise<string> {
    const directory = this.open();
    return shown(this.onEvent, { id: "context", name: "[internal] load build context" }, async () => {
      await this.parts.engine.builds.extract(archive, directory, this.signal);
      return directory;
    });
  }

  #nothing(): string {
    const directory = join(this.open(), "nothing");
    mkdirSync(directory, { recursive: true });
    return directory;
  }
}

/** @throws InvalidParameter when there is no such directory inside */
function below(root: string, subdirectory: string | undefined): string {
  if (subdirectory === undefined) return root;
  const inside = resolveInside(root, subdirectory);
  if (inside === undefined) throw new InvalidParameter(`no directory ${subdirectory} in the context`);
  return join(root, inside);
}
