/** From files to a Project: the whole row of steps. */
import { type Decoder, extensions } from "./decode.ts";
import { withEnvironment } from "./environment.ts";
import { ComposeError, formatProblem } from "./errors.ts";
import { interpolate, TemplateError } from "./interpolation.ts";
import { type LayerContext, readLayer } from "./layer.ts";
import { merge, settle } from "./merge.ts";
import { projectName } from "./name.ts";
import { child, locate, type Mapping, mapping, type Node, parseYaml } from "./node.ts";
import { normalize } from "./normalize.ts";
import { fileObject, modelConfig, namedVolume, network, service } from "./shapes.ts";
import { unsupportedKeys } from "./support.ts";
import type { Project } from "./types.ts";
import { validate } from "./validate.ts";

export interface LoadOptions {
  /** Absolute paths, in the order in which each overrides those before; `-` is what `readFile("-")` gives. */
  files: string[];
  /** Absolute. */
  workingDir: string;
  /** Variables, `.env` files included. */
  environment: Record<string, string>;
  /** `-p`. */
  projectName?: string;
  /** Active profiles; `*` is all. */
  profiles: string[];
  /** Services named by the user: their profiles count as active. */
  named?: string[];
  /** false leaves variables as they are written. Default true. */
  interpolate?: boolean;
  /** Resources that no service uses stay. Default false. */
  allResources?: boolean;
  /** false leaves paths as they are written. Default true. */
  resolvePaths?: boolean;
  /** false leaves `env_file` and `label_file` unread, and variables without a value as they are. Default true. */
  resolveEnvironment?: boolean;
  /** false leaves out what is meant without being said: networks, names. Default true. */
  normalize?: boolean;
  /** What can't be run is no error. Default false. */
  shownOnly?: boolean;
  /** false: references between resources are not looked at. Default true. */
  consistency?: boolean;
  /** undefined: there is no such file. */
  readFile: (path: string) => string | undefined;
}

/** @throws ComposeError with every problem found at the first step that fails */
export function loadProject(options: LoadOptions): Project {
  const warnings: string[] = [];
  const warn = (message: string) => {
    if (!warnings.includes(message)) warnings.push(message);
  };
  const name = projectName({
    flag: options.projectName,
    environment: options.environment.COMPOSE_PROJECT_NAME,
    file: nameInFiles(options),
    directory: options.workingDir,
  });
  const environment = { ...options.environment, COMPOSE_PROJECT_NAME: name };
  const context: LayerContext = {
    readFile: options.readFile,
    lookup: (variable) => environmentValue(environment, variable),
    onUnset: (variable) =>
      warn(`The ${JSON.stringify(variable)} variable is not set. Defaulting to a blank string.`),
    warn,
    interpolate: options.interpolate ?? true,
    resolvePaths: options.resolvePaths ?? true,
  };

  let tree: Node | undefined;
  for (const file of options.files) {
    const layer = readLayer(file, options.workingDir, context);
    tree = tree ? merge(tree, layer) : layer;
  }
  const whole = settle(tree ?? mapping({}, { file: "", line: 1, column: 1 })) as Mapping;
  if (options.files.length > 0 && !child(whole, "services") && whole.entries.size === 0)
    throw ComposeError.at(undefined, "empty compose file");
  const { warnings: ignored, errors } = unsupportedKeys(whole);
  if (errors.length > 0 && !options.shownOnly) throw new ComposeError(errors);
  for (const problem of ignored) warn(formatProblem(problem));

  const project: Project = {
    name,
    workingDir: options.workingDir,
    files: options.files,
    environment,
    services: section(whole, "services", service),
    disabledServices: {},
    networks: section(whole, "networks", network),
    volumes: section(whole, "volumes", namedVolume),
    secrets: section(whole, "secrets", fileObject),
    configs: section(whole, "configs", fileObject),
    models: section(whole, "models", modelConfig),
    extensions: extensions(whole),
    warnings,
  };
  const selected = selectProfiles(project, options.profiles, options.named ?? []);
  const resolved =
    options.resolveEnvironment === false
      ? selected
      : withEnvironment(selected, options.readFile, (...path) => locate(whole, ["services", ...path]));
  const normalized = options.normalize === false ? resolved : normalize(resolved, options.allResources);
  if (options.consistency !== false) validate(normalized, whole);
  return normalized;
}

function environmentValue(environment: Record<string, string>, name: string): string | undefined {
  return Object.hasOwn(environment, name) ? environment[name] : undefined;
}

function section<T extends object>(tree: Mapping, name: string, decode: Decoder<T>): Record<string, T> {
  const node = child(tree, name);
  if (node?.kind !== "mapping") return {};
  const names = [...node.entries.keys()].sort();
  return Object.fromEntries(
    names.map((key) => [key, decode(node.entries.get(key)!.value, `${name}.${key}`)]),
  );
}

/** The `name:` of the last file that has one, variables filled; needed before anything else is read. */
function nameInFiles(options: LoadOptions): string | undefined {
  let name: string | undefined;
  for (const file of options.files) {
    for (const document of parseYaml(options.readFile(file) ?? "", file)) {
      const node = child(document, "name");
      if (node?.kind !== "scalar" || typeof node.value !== "string") continue;
      try {
        name = interpolate(node.value, (variable) => environmentValue(options.environment, variable));
      } catch (error) {
        if (error instanceof TemplateError) throw ComposeError.at(node.at, `name: ${error.message}`);
        throw error;
      }
    }
  }
  return name;
}

/** Moves the services without an active profile aside. Naming a service activates its profiles. */
function selectProfiles(project: Project, profiles: string[], named: string[]): Project {
  const active = new Set(profiles);
  for (const name of named)
    if (project.services[name])
      for (const profile of project.services[name].profiles ?? []) active.add(profile);
  const inUse = (own: string[] | undefined) =>
    !own || own.length === 0 || active.has("*") || own.some((profile) => active.has(profile));
  const entries = Object.entries(project.services);
  return {
    ...project,
    services: Object.fromEntries(entries.filter(([, item]) => inUse(item.profiles))),
    disabledServices: Object.fromEntries(entries.filter(([, item]) => !inUse(item.profiles))),
  };
}
