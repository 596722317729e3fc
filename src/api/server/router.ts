/** Paths to handlers, and API versions. */
import { InvalidParameter } from "../../lib/errors.ts";
import type { Exchange } from "./exchange.ts";

export type Handler = (exchange: Exchange) => void | Promise<void>;

export interface Route {
  method: string;
  /** `/containers/{id}/json`; `{name*}` takes slashes too. */
  path: string;
  handle: Handler;
}

export const newest = 51;
export const oldest = 24;

interface Compiled extends Route {
  pattern: RegExp;
}

export class Router {
  /** By method and first word, so that few patterns are tried. */
  readonly #routes = new Map<string, Compiled[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const key = `${route.method} ${firstWord(route.path)}`;
      const list = this.#routes.get(key) ?? [];
      list.push({ ...route, pattern: compile(route.path) });
      this.#routes.set(key, list);
    }
  }

  /** The route of a request, named as `operation`: `GET /containers/{id}/json`. */
  find(
    method: string,
    path: string,
  ): { handle: Handler; params: Record<string, string>; operation: string } | undefined {
    for (const { pattern, handle, path: template } of this.#routes.get(`${method} ${firstWord(path)}`) ??
      []) {
      const match = pattern.exec(path);
      if (match) return { handle, params: decode(match.groups ?? {}), operation: `${method} ${template}` };
    }
    return undefined;
  }
}

const firstWord = (path: string) => path.slice(1).split("/", 1)[0]!;

function compile(path: string): RegExp {
  const source = path.replace(/\{(\w+)(\*?)\}/g, (_, name, rest) => `(?<${name}>${rest ? ".+" : "[^/]+"})`);
  return new RegExp(`^${source}$`);
}

function decode(groups: Record<string, string>): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [name, value] of Object.entries(groups)) {
    try {
      params[name] = decodeURIComponent(value);
    } catch (error) {
      throw new InvalidParameter(`invalid escape in the path: ${value}`, { cause: error });
    }
  }
  return params;
}

/** Takes the version off a path. @throws InvalidParameter in dockerd's words when it's not spoken here */
export function splitVersion(path: string): { version: number; path: string } {
  const match = /^\/v(\d+)\.(\d+)(\/.*)$/.exec(path);
  if (!match) return { version: newest, path };
  const [, major, minor, rest] = match as unknown as [string, string, string, string];
  const version = Number(minor);
  if (major !== "1" || version > newest)
    throw new InvalidParameter(
      `client version ${major}.${minor} is too new. Maximum supported API version is 1.${newest}`,
    );
  if (version < oldest)
    throw new InvalidParameter(
      `client version ${major}.${minor} is too old. Minimum supported API version is 1.${oldest}, please upgrade your client to a newer version`,
    );
  return { version, path: rest };
}
