/** Where a stage's variables come from: of ENV and ARG the later one, build arguments over defaults, and the predefined. */
import type { Platform } from "../../lib/oci.ts";
import type { Lookup } from "../dockerfile/expand.ts";
import type { Arg } from "../dockerfile/instructions.ts";

/** `--build-arg`; null: named without a value, and not set on the client's side. */
export type BuildArgs = Readonly<Record<string, string | null>>;

/** Usable in RUN without an ARG; then they are no part of cache keys and history. */
export const proxyArgs = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"].flatMap(
  (name) => [name, name.toLowerCase()],
);

/** The value that an ARG gets: build argument, else its own default. */
export function argValue(
  name: string,
  fallback: string | undefined,
  buildArgs: BuildArgs,
  expand: (text: string) => string,
): string | undefined {
  const given = Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined;
  if (given !== undefined && given !== null) return given;
  return fallback === undefined ? undefined : expand(fallback);
}

/** The platform ARGs, for FROM lines and for stages that declare them. */
export function platformArgs(
  build: Platform,
  target: Platform,
  stage: string | undefined,
): Map<string, string> {
  const args = new Map<string, string>();
  for (const [prefix, platform] of [
    ["BUILD", build],
    ["TARGET", target],
  ] as const) {
    args.set(`${prefix}PLATFORM`, formatPlatform(platform));
    args.set(`${prefix}OS`, platform.os);
    args.set(`${prefix}OSVERSION`, platform["os.version"] ?? "");
    args.set(`${prefix}ARCH`, platform.architecture);
    args.set(`${prefix}VARIANT`, platform.variant ?? "");
  }
  args.set("TARGETSTAGE", stage ?? "default");
  return args;
}

/** `linux/arm/v7`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join("/");
}

/** `linux/amd64`, `arm64`, `linux`; undefined when malformed. Missing parts are the host's. */
export function parsePlatform(text: string, host: Platform): Platform | undefined {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) return undefined;
  const [first, second, third] = parts;
  if (second === undefined) {
    if (["linux", "windows", "darwin", "freebsd"].includes(first!)) return { ...host, os: first! };
    return { os: host.os, ...architectureOf(first!) };
  }
  return { os: first!, ...architectureOf(second, third) };
}

function architectureOf(name: string, variant?: string): { architecture: string; variant?: string } {
  const known: Record<string, { architecture: string; variant?: string }> = {
    x86_64: { architecture: "amd64" },
    "x86-64": { architecture: "amd64" },
    aarch64: { architecture: "arm64" },
    armhf: { architecture: "arm", variant: "v7" },
    armel: { architecture: "arm", variant: "v6" },
    i386: { architecture: "386" },
  };
  const found = known[name] ?? { architecture: name };
  return variant === undefined ? found : { ...found, variant };
}

export function hostPlatform(): Platform {
  const architectures: Record<string, string> = { x64: "amd64", ia32: "386", arm64: "arm64", arm: "arm" };
  return { os: "linux", architecture: architectures[process.arch] ?? process.arch };
}

/** ARGs and ENV of one stage as its instructions go by. */
export class Scope {
  /** Declared ARGs with a value, in order. */
  readonly args: Map<string, string>;
  /** Those of them that an ENV after them has set. */
  private readonly hidden: Set<string>;

  constructor(
    /** Global ARGs and platform ARGs: what a declaration without value takes. */
    private readonly inherited: Lookup,
    private readonly buildArgs: BuildArgs,
    private readonly consumed: Set<string>,
    parent?: Scope,
  ) {
    this.args = new Map(parent?.args);
    this.hidden = new Set(parent?.hidden);
  }

  /** @param expand - substitutes in a default */
  declare(arg: Arg, expand: (text: string) => string): void {
    for (const { name, value } of arg.args) {
      this.consumed.add(name);
      const result = argValue(name, value, this.buildArgs, expand) ?? this.inherited(name);
      if (result === undefined) continue;
      this.args.set(name, result);
      this.hidden.delete(name);
    }
  }

  /** An ENV sets these variables: from here on it goes over an ARG of the same name. */
  hide(names: Iterable<string>): void {
    for (const name of names) this.hidden.add(name);
  }

  /** An ARG goes over an ENV that stands before it, or comes with the base image. */
  lookup(env: readonly string[]): Lookup {
    const map = envMap(env);
    return (name) => (this.hidden.has(name) ? undefined : this.args.get(name)) ?? map.get(name);
  }

  /** What RUN sees of ARGs: the declared ones that no ENV hides. */
  runArgs(): [name: string, value: string][] {
    return [...this.args].filter(([name]) => !this.hidden.has(name));
  }

  /** Proxy settings that were given and not declared: in both cases, for programs look for one or the other. */
  proxies(): string[] {
    return proxyArgs.flatMap((name) => {
      const value = this.#given(name) ?? this.#given(otherCase(name));
      return value === undefined || this.args.has(name) ? [] : [`${name}=${value}`];
    });
  }

  #given(name: string): string | undefined {
    return (Object.hasOwn(this.buildArgs, name) ? this.buildArgs[name] : undefined) ?? undefined;
  }
}

function otherCase(name: string): string {
  return name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
}

/** Proxy settings of a build, declared or not. */
export function proxyValues({ buildArgs }: { buildArgs: BuildArgs }): (string | null)[] {
  return proxyArgs.map((name) => (Object.hasOwn(buildArgs, name) ? (buildArgs[name] ?? null) : null));
}

export function envMap(env: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (const line of env) {
    const at = line.indexOf("=");
    map.set(at < 0 ? line : line.slice(0, at), at < 0 ? "" : line.slice(at + 1));
  }
  return map;
}

/** Sets variables in place, in the order they first came. */
export function setEnv(env: readonly string[], pairs: Iterable<readonly [string, string]>): string[] {
  const map = envMap(env);
  for (const [name, value] of pairs) map.set(name, value);
  return [...map].map(([name, value]) => `${name}=${value}`);
}
