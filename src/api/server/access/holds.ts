/** How a token that is restricted to labels is held to them, by what an operation touches. */
import { Forbidden, NotFound } from "../../../lib/errors.ts";
import type { Exchange } from "../exchange.ts";

export type Labels = Readonly<Record<string, string>>;
/** @throws NotFound for what has not the labels: it says no more than if it weren't there; Forbidden */
export type Hold = (x: Exchange, labels: Labels) => void;

export const fits = (labels: Labels, own: Record<string, string> | undefined): boolean =>
  Object.entries(labels).every(([name, value]) => own !== undefined && own[name] === value);

/** Touches nothing of anybody's. */
export const free: Hold = () => {};

/** A list, a prune: only what has the labels. */
export const listed: Hold = (x, labels) => {
  const wanted = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  x.query.set("filters", JSON.stringify({ ...x.filters, label: [...(x.filters.label ?? []), ...wanted] }));
};

/** Events of what has the labels, also where Docker's events don't show them. */
export const observed: Hold = (x, labels) => {
  x.observes = labels;
};

/** @returns its id, which no other container takes over meanwhile as one may a name */
export function checkContainer(x: Exchange, labels: Labels, target: string): string {
  const { id, config } = x.engine.containers.get(target);
  if (!fits(labels, config.Labels)) throw new NotFound(`No such container: ${target}`);
  return id;
}

export function checkImage(x: Exchange, labels: Labels, target: string): void {
  // A name may stand for images of several platforms, each with its own labels.
  const all = x.engine.images.platforms(target);
  if (!all.every(({ config }) => fits(labels, config.config?.Labels)))
    throw new NotFound(`No such image: ${target}`);
}

/** @returns its id */
export function checkNetwork(x: Exchange, labels: Labels, target: string): string {
  const { id, labels: own } = x.engine.networks.get(target);
  if (!fits(labels, own)) throw new NotFound(`network ${target} not found`);
  return id;
}

export function checkVolume(x: Exchange, labels: Labels, name: string): void {
  if (!fits(labels, x.engine.volumes.get(name).labels)) throw new NotFound(`get ${name}: no such volume`);
}

export const container: Hold = (x, labels) => {
  x.params.id = checkContainer(x, labels, x.params.id!);
};
/** Any directory of the host would be told of, or be gone on from. */
const noDirectory =
  (parameter: string): Hold =>
  (x, labels) => {
    container(x, labels);
    if (x.text(parameter) !== "")
      throw new Forbidden(`a token restricted to labels may not set ${parameter}`);
  };
export const checkpoints = noDirectory("dir");
export const restored = noDirectory("checkpoint-dir");
export const network: Hold = (x, labels) => {
  x.params.id = checkNetwork(x, labels, x.params.id!);
};
export const volume: Hold = (x, labels) => checkVolume(x, labels, x.params.name!);
export const image: Hold = (x, labels) => checkImage(x, labels, x.params.name!);
export const exec: Hold = (x, labels) => {
  checkContainer(x, labels, x.engine.execs.get(x.params.id!).containerId);
};

export const images: Hold = (x, labels) => {
  for (const name of x.query.getAll("names").flatMap((names) => names.split(",")))
    checkImage(x, labels, name);
};

/** A process in a container of its own, with no more rights than the container has. */
export const newExec: Hold = (x, labels) => {
  container(x, labels);
  x.revise = (body) => {
    if (body.Privileged) throw new Forbidden("a token restricted to labels may not run privileged processes");
    return body;
  };
};

/** A container of its own with a network of its own. */
export const connection: Hold = (x, labels) => {
  network(x, labels);
  x.revise = (body) => ({
    ...body,
    Container: checkContainer(x, labels, String(body.Container ?? "")),
  });
};

/** What is made gets the labels. Options of drivers reach the host: a volume can be any directory. */
export const labelled =
  (options: "Options" | "DriverOpts"): Hold =>
  (x, labels) => {
    x.revise = (body) => {
      if (!isEmpty(body[options])) throw new Forbidden(`a token restricted to labels may not set ${options}`);
      return { ...body, Labels: withLabels(body.Labels, labels) };
    };
  };

/** A volume of that name that is there already is answered with: it must be one of the token's. */
export const newVolume: Hold = (x, labels) => {
  labelled("DriverOpts")(x, labels);
  const { revise } = x;
  x.revise = (body) => {
    const name = String(body.Name ?? "");
    if (x.engine.volumes.list({}).some((record) => record.name === name)) checkVolume(x, labels, name);
    return revise(body);
  };
};

/** The wanted labels over those of a body; what is no object is left for the schema to refuse. */
export const withLabels = (own: unknown, labels: Labels): unknown =>
  own === undefined || own === null || (typeof own === "object" && !Array.isArray(own))
    ? { ...own, ...labels }
    : own;

/** Whether a field asks for nothing, however clients write that. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === "") return true;
  return typeof value === "object" && Object.values(value).every(isEmpty);
}
