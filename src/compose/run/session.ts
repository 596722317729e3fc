/** What every command has at hand: the project's files and flags, the engine, and where output goes. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { ApiClient } from "../../api/client/index.ts";
import { NotFound, NotImplemented } from "../../lib/errors.ts";
import type { BuildServices } from "../../lib/service-build.ts";
import { parseDotenv } from "../model/dotenv.ts";
import { ComposeError } from "../model/errors.ts";
import { type LoadOptions, loadProject } from "../model/load.ts";
import { projectName } from "../model/name.ts";
import type { Project } from "../model/types.ts";
import { EngineView } from "./engine.ts";
import { descriptorOutput, type Output } from "./output.ts";
import { Progress, type ProgressMode } from "./progress.ts";

/** What the caller gives. All but the client has a default: this process. */
export interface ComposeContext {
  client: ApiClient;
  env?: Record<string, string | undefined>;
  cwd?: string;
  out?: Output;
  err?: Output;
  /** The `X-Registry-Auth` header for an image, when the user has logged in to its registry. */
  registryAuth?: (reference: string) => Promise<string | undefined>;
  /** Builds images, which is another part's work. */
  buildServices?: BuildServices;
  /**
   * Runs one of the client's own commands, `["cp", "-a", …]`, with this process's streams.
   * @returns its exit status; what went wrong has been said
   */
  runCommand?: (words: string[]) => Promise<number>;
  /** What the file `-` is; default: standard input. */
  stdin?: string;
  /** Calls back at Ctrl-C and SIGTERM until the returned function is called. Default: this process's signals. */
  onInterrupt?: (handler: () => void) => () => void;
}

export interface GlobalFlags {
  file: string[];
  projectName?: string;
  projectDirectory?: string;
  envFile: string[];
  profile: string[];
  /** Networks, volumes, secrets and configs that no service uses are the project's too. */
  allResources: boolean;
  ansi: string;
  progress: string;
  /** 0 or less: no limit. */
  parallel: number;
  dryRun: boolean;
}

const fileNames = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const overrideNames = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];

interface ProjectOptions
  extends Pick<
    LoadOptions,
    "interpolate" | "resolvePaths" | "resolveEnvironment" | "normalize" | "consistency" | "shownOnly"
  > {
  allProfiles?: boolean;
}

export class Session {
  readonly engine: EngineView;
  readonly out: Output;
  readonly err: Output;
  readonly cwd: string;
  readonly env: Record<string, string>;
  #warned = new Set<string>();

  constructor(
    readonly context: ComposeContext,
    readonly flags: GlobalFlags,
  ) {
    this.engine = new EngineView(context.client);
    this.out = context.out ?? descriptorOutput(1);
    this.err = context.err ?? descriptorOutput(2);
    this.cwd = context.cwd ?? process.cwd();
    this.env = definedOnly(context.env ?? process.env);
  }

  get client(): ApiClient {
    return this.context.client;
  }

  /** Whether escape sequences for colours may be written to `output`. */
  colored(output: Output): boolean {
    if (this.flags.ansi === "never" || this.env.NO_COLOR) return false;
    return this.flags.ansi === "always" || output.isTerminal;
  }

  progress(title: string, quiet = false): Progress {
    return new Progress(this.err, this.#progressMode(quiet), { title, dryRun: this.flags.dryRun });
  }

  /** The same choice in the words of `build --progress`. */
  buildProgress(quiet = false): string {
    const mode = this.#progressMode(quiet);
    return mode === "json" ? "rawjson" : mode;
  }

  #progressMode(quiet: boolean): ProgressMode {
    const wanted = this.flags.progress || this.env.COMPOSE_PROGRESS || "auto";
    const known: ProgressMode[] = ["auto", "tty", "plain", "quiet", "json"];
    const mode = known.find((name) => name === wanted);
    if (!mode) throw ComposeError.at(undefined, `unsupported --progress value ${JSON.stringify(wanted)}`);
    return quiet ? "quiet" : mode === "auto" && this.flags.ansi === "never" ? "plain" : mode;
  }

  /** Tells the user once. */
  warn(message: string): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.err.write(this.colored(this.err) ? `\x1b[33mWARN\x1b[0m ${message}\n` : `warning: ${message}\n`);
  }

  /** @throws NotImplemented where the client's commands aren't there */
  runCommand(words: string[]): Promise<number> {
    if (!this.context.runCommand) throw new NotImplemented(`${words[0]} can't be run here`);
    return this.context.runCommand(words);
  }

  onInterrupt(handler: () => void): () => void {
    if (this.context.onInterrupt) return this.context.onInterrupt(handler);
    process.on("SIGINT", handler);
    process.on("SIGTERM", handler);
    return () => {
      process.off("SIGINT", handler);
      process.off("SIGTERM", handler);
    };
  }

  /**
   * The project of the files given or found, with its warnings told.
   * @param named services that the user named: their profiles count as active
   * @throws NotFound "no configuration file provided: not found"; ComposeError
   */
  project(named: string[] = [], options: ProjectOptions = {}): Project {
    const files = this.#files();
    if (!files) throw new NotFound("no configuration file provided: not found");
    const workingDir = this.#workingDir(files);
    const environment = this.#environment(workingDir);
    const profiles = [...this.flags.profile, ...splitList(environment.COMPOSE_PROFILES, ",")];
    const project = loadProject({
      files,
      workingDir,
      environment,
      projectName: this.flags.projectName,
      profiles: options.allProfiles ? ["*"] : profiles,
      named,
      ...options,
      allResources: this.flags.allResources,
      readFile: (path) => (path === "-" ? (this.context.stdin ?? standardInput()) : readFile(path)),
    });
    for (const message of project.warnings) this.warn(message);
    return project;
  }

  /** The name alone, for commands that need no files: from the files when there are some. */
  projectNameOnly(): { name: string; project?: Project } {
    const flag = this.flags.projectName ?? this.env.COMPOSE_PROJECT_NAME;
    if (flag && this.flags.file.length === 0 && !this.env.COMPOSE_FILE) {
      const name = projectName({ flag, directory: this.cwd });
      const files = this.#files();
      if (!files) return { name };
    }
    const project = this.project([], { allProfiles: true });
    return { name: project.name, project };
  }

  #files(): string[] | undefined {
    const given = this.flags.file.length > 0 ? this.flags.file : this.#filesOfEnvironment();
    if (given.length > 0)
      return given.map((file) => {
        if (file === "-") return file;
        const path = isAbsolute(file) ? file : resolve(this.cwd, file);
        if (!existsSync(path)) throw new NotFound(`open ${path}: no such file or directory`);
        return path;
      });
    let directory = this.flags.projectDirectory ? resolve(this.cwd, this.flags.projectDirectory) : this.cwd;
    for (;;) {
      const found = fileNames.filter((name) => isFile(join(directory, name)));
      const [first] = found;
      if (first) {
        if (found.length > 1) {
          this.warn(
            `Found multiple config files with supported names: ${found.map((name) => join(directory, name)).join(", ")}`,
          );
          this.warn(`Using ${join(directory, first)}`);
        }
        const override = overrideNames.find((name) => isFile(join(directory, name)));
        return override ? [join(directory, first), join(directory, override)] : [join(directory, first)];
      }
      const parent = dirname(directory);
      if (parent === directory || this.flags.projectDirectory) return undefined;
      directory = parent;
    }
  }

  #filesOfEnvironment(): string[] {
    const separator = this.env.COMPOSE_PATH_SEPARATOR || ":";
    return splitList(this.env.COMPOSE_FILE, separator);
  }

  #workingDir(files: string[]): string {
    if (this.flags.projectDirectory) return resolve(this.cwd, this.flags.projectDirectory);
    const first = files.find((file) => file !== "-");
    return first ? dirname(first) : this.cwd;
  }

  /** `--env-file`s or the project's `.env`, below the caller's own variables. */
  #environment(workingDir: string): Record<string, string> {
    const given =
      this.flags.envFile.length > 0 ? this.flags.envFile : splitList(this.env.COMPOSE_ENV_FILES, ",");
    const files =
      given.length > 0 ? given.map((file) => resolve(this.cwd, file)) : [join(workingDir, ".env")];
    const fromFiles: Record<string, string> = {};
    for (const file of files) {
      const text = isFile(file) || given.length > 0 ? readFile(file) : undefined;
      if (text === undefined && given.length > 0) throw new NotFound(`couldn't find env file: ${file}`);
      Object.assign(
        fromFiles,
        parseDotenv(text ?? "", file, (name) => this.env[name] ?? fromFiles[name]),
      );
    }
    return { ...fromFiles, ...this.env };
  }
}

/** The text of a file, or of standard input for `-`. */
export function readFile(path: string): string | undefined {
  if (path === "-") return standardInput();
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw ComposeError.at(
      undefined,
      `read ${path}: ${code === "EISDIR" ? "is a directory" : (error as Error).message}`,
    );
  }
}

let input: string | undefined;
/** Standard input can be read once, but a file is asked for more than once. */
function standardInput(): string {
  input ??= readFileSync(0, "utf8");
  return input;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function splitList(text: string | undefined, separator: string): string[] {
  return (text ?? "").split(separator).filter((part) => part !== "");
}

function definedOnly(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
