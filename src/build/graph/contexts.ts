/** Named contexts (`--build-context`): what goes before a stage or an image of the same name. */
import { formatReference, normalize, parseReference } from "../../lib/reference.ts";
import type { BuildRequest, ImageLayout } from "../types.ts";

export type NamedContext = NonNullable<BuildRequest["contexts"]>[string];

/** The context that a name stands for; `alpine` and `docker.io/library/alpine:latest` are one name. */
export function contextNamed(contexts: BuildRequest["contexts"], name: string): NamedContext | undefined {
  if (!contexts) return undefined;
  const wanted = canonical(name);
  const found = Object.keys(contexts).find((key) => key === name.toLowerCase() || canonical(key) === wanted);
  return found === undefined ? undefined : contexts[found];
}

/** Where an image is that a context means by this name, when it is a client's alone. */
export function layoutNamed(contexts: BuildRequest["contexts"], image: string): ImageLayout | undefined {
  for (const context of Object.values(contexts ?? {}))
    if ("image" in context && context.image === image && context.layout) return context.layout;
  return undefined;
}

function canonical(name: string): string {
  try {
    return formatReference(normalize(parseReference(name)));
  } catch {
    // A stage's name need not be a reference.
    return name.toLowerCase();
  }
}
