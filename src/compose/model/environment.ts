/** Environments and labels complete: files read, and what has no value filled with the caller's. */
import { parseDotenv } from "./dotenv.ts";
import { ComposeError } from "./errors.ts";
import type { Position } from "./node.ts";
import type { Project, Service } from "./types.ts";

type ReadFile = (path: string) => string | undefined;

/** Where in the files a key of a service is. */
type Place = (service: string, ...path: string[]) => Position | undefined;

/** @throws ComposeError for a file that is missing or malformed */
export function withEnvironment(project: Project, readFile: ReadFile, place: Place): Project {
  const services = Object.entries(project.services).map(([name, service]): [string, Service] => {
    const {
      env_file: _files,
      label_file: _labels,
      environment: _environment,
      labels: _own,
      ...rest
    } = service;
    const environment = environmentOf(service, project, readFile, (...path) => place(name, ...path));
    const labels = labelsOf(service, readFile, (...path) => place(name, ...path));
    return [
      name,
      {
        ...rest,
        ...(Object.keys(environment).length > 0 && { environment }),
        ...(Object.keys(labels).length > 0 && { labels }),
      },
    ];
  });
  return { ...project, services: Object.fromEntries(services) };
}

/** `env_file` below `environment`; names without value take the caller's. */
function environmentOf(
  service: Service,
  project: Project,
  readFile: ReadFile,
  at: (...path: string[]) => Position | undefined,
): Record<string, string | null> {
  const result: Record<string, string | null> = {};
  for (const [index, { path, required, format }] of (service.env_file ?? []).entries()) {
    const text = readFile(path);
    if (text === undefined) {
      if (required)
        throw ComposeError.at(
          at("env_file", String(index)),
          `env file ${path} not found`,
          "set required: false if it may be missing",
        );
      continue;
    }
    if (format !== undefined && format !== "raw")
      throw ComposeError.at(
        at("env_file", String(index), "format"),
        `unsupported env_file format ${JSON.stringify(format)} of ${path}`,
        "only raw is known",
      );
    const lookup = (name: string) => project.environment[name] ?? result[name] ?? undefined;
    Object.assign(result, parseDotenv(text, path, lookup, format === "raw"));
  }
  for (const [name, value] of Object.entries(service.environment ?? {}))
    result[name] = value ?? project.environment[name] ?? null;
  return Object.fromEntries(Object.entries(result).sort(byKey));
}

function labelsOf(
  service: Service,
  readFile: ReadFile,
  at: (...path: string[]) => Position | undefined,
): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [index, path] of (service.label_file ?? []).entries()) {
    const text = readFile(path);
    if (text === undefined)
      throw ComposeError.at(at("label_file", String(index)), `label file ${path} not found`);
    Object.assign(
      result,
      parseDotenv(text, path, () => undefined),
    );
  }
  return Object.fromEntries(Object.entries({ ...result, ...service.labels }).sort(byKey));
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
