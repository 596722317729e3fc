/** What all `inspect` commands do: fetch objects, print them as a list of JSON or each through a template. */
import { messageOf, NotFound } from "../lib/errors.ts";
import type { CliContext } from "./context.ts";
import { describe } from "./errors.ts";
import { compileTemplate, type MissingField, TemplateError, type Value } from "./template/index.ts";
import { stderrFd, writeAll } from "./terminal.ts";

/** Objects whose keys are data, where an absent key is simply not there. */
const maps = new Set(
  "Labels Networks Ports PortBindings ExposedPorts Volumes Sysctls Options Config Tmpfs StorageOpt Annotations DriverOpts Containers Data Log".split(
    " ",
  ),
);
/** Fields that the API leaves out when they are empty. */
const optional = new Set(
  "Health Healthcheck IPAMConfig UsageData Mounts Error SizeRw SizeRootFs ClusterVolume Parent Comment".split(
    " ",
  ),
);

const missingField: MissingField = (object, name, path) => {
  // OCI's documents have lower-case names in JSON, and Go's field names in Docker's templates.
  const lower = name.charAt(0).toLowerCase() + name.slice(1);
  if (lower in object) return object[lower];
  const owner = path.at(-1);
  if (owner !== undefined && maps.has(owner) && !(owner === "Config" && path.length === 1)) return undefined;
  if (optional.has(name)) return null;
  throw new TemplateError(`map has no entry for key ${JSON.stringify(name)}`);
};

/**
 * Fetches each object in turn; those that fail are reported after the rest.
 * @returns the exit status
 */
export async function inspectEach(
  context: CliContext,
  names: readonly string[],
  format: string | undefined,
  fetch: (name: string) => Promise<unknown>,
): Promise<number> {
  const template =
    format === undefined || format === "json" ? undefined : compileTemplate(format, missingField);
  const started = names.map(fetch);
  for (const promise of started) promise.catch(() => {});
  const found: unknown[] = [];
  const failures: string[] = [];
  for (const promise of started) {
    try {
      const value = await promise;
      if (template) context.line(template(value as Value));
      found.push(value);
    } catch (error) {
      failures.push(describe(error));
    }
  }
  if (!template)
    context.line(format === "json" ? JSON.stringify(found) : JSON.stringify(found, undefined, 4));
  else if (found.length === 0) context.line("");
  for (const failure of failures) writeAll(stderrFd, `${failure}\n`);
  return failures.length > 0 ? 1 : 0;
}

type Finder = (context: CliContext, name: string, size: boolean) => Promise<unknown>;

const get =
  (path: (name: string) => string): Finder =>
  (context, name, size) =>
    context.client.call("GET", path(encodeURIComponent(name)), { query: { size: size ? 1 : undefined } });

export const finders: Record<string, Finder> = {
  container: get((name) => `/containers/${name}/json`),
  image: (context, name) => context.client.call("GET", `/images/${name}/json`),
  network: get((name) => `/networks/${name}`),
  volume: get((name) => `/volumes/${name}`),
};

/** Looks for an object of any kind. @throws NotFound, or what else the engine said */
export async function findAny(context: CliContext, name: string, size: boolean): Promise<unknown> {
  for (const find of Object.values(finders)) {
    try {
      return await find(context, name, size);
    } catch (error) {
      // A name that one kind of object can't have is looked for among the others.
      if (!(error instanceof NotFound) && !/invalid reference/.test(messageOf(error))) throw error;
    }
  }
  throw new NotFound(`Error: No such object: ${name}`);
}
