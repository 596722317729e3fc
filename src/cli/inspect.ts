/** What all `inspect` commands do: fetch objects, print them as a list of JSON or each through a template. */
import { messageOf, NotFound } from "../lib/errors.ts";
import type { CliContext } from "./context.ts";
import { describe } from "./errors.ts";
import { compileFormat } from "./format/template.ts";
import type { GoJson } from "./template/go-types.ts";
import { type Template, TemplateError, type Value } from "./template/index.ts";
import { stderrFd, writeAll } from "./terminal.ts";

/** A kind of object that the engine tells of, with Docker's type for it. */
export type Kind = "container" | "image" | "network" | "volume";

const typeNames = {
  container: "container.InspectResponse",
  image: "image.InspectResponse",
  network: "network.Inspect",
  volume: "volume.Volume",
} as const;

/** An object, and which kind it is of when the engine has told it. */
export interface Inspected {
  kind?: Kind;
  value: unknown;
}

/**
 * Fetches each object in turn; those that fail are reported after the rest.
 * @returns the exit status
 */
export async function inspectEach(
  context: CliContext,
  names: readonly string[],
  format: string | undefined,
  fetch: (name: string) => Promise<Inspected>,
): Promise<number> {
  const template = format && format !== "json" ? compileFormat(format) : undefined;
  const started = names.map(fetch);
  for (const promise of started) promise.catch(() => {});
  const found: unknown[] = [];
  const failures: string[] = [];
  for (const promise of started) {
    try {
      const inspected = await promise;
      if (template) context.line(await shown(template, inspected));
      found.push(inspected.value);
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

/** As Docker: over the value of the type that its client knows, else over the answer itself. */
async function shown(template: Template, { kind, value }: Inspected): Promise<string> {
  const json = value as GoJson;
  if (kind === undefined) return template(json as Value, "no value");
  const [{ shapes }, { untyped }] = await Promise.all([
    import("./go-shapes.ts"),
    import("./template/go-types.ts"),
  ]);
  try {
    return template(shapes[typeNames[kind]](json), "no value");
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return template(untyped(json), "error");
  }
}

type Finder = (context: CliContext, name: string, size: boolean) => Promise<Inspected>;

const get =
  (kind: Kind, path: (name: string) => string): Finder =>
  async (context, name, size) => ({
    kind,
    value: await context.client.call("GET", path(name), { query: { size: size ? 1 : undefined } }),
  });

export const finders: Record<Kind, Finder> = {
  container: get("container", (name) => `/containers/${encodeURIComponent(name)}/json`),
  image: (context, name) => get("image", () => `/images/${name}/json`)(context, name, false),
  network: get("network", (name) => `/networks/${encodeURIComponent(name)}`),
  volume: get("volume", (name) => `/volumes/${encodeURIComponent(name)}`),
};

/** Looks for an object of any kind. @throws NotFound, or what else the engine said */
export async function findAny(context: CliContext, name: string, size: boolean): Promise<Inspected> {
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
