/**
 * Image references as Docker reads them: `[domain/]path[:tag][@digest]`. A short name gets the domain
 * `docker.io` and, with a single component, the path `library/...`.
 */
import { type Digest, isDigest } from "./digest.ts";
import { InvalidParameter } from "./errors.ts";

/** A repository: registry host (with port) and path. */
export interface RepositoryName {
  domain: string;
  path: string;
}

export interface Reference extends RepositoryName {
  tag?: string;
  digest?: Digest;
}

export const defaultDomain = "docker.io";
export const defaultTag = "latest";
const officialPrefix = "library/";
const maxPathLength = 255;

const pathComponent = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const domainLabel = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domainPattern = `(?:${domainLabel}(?:\\.${domainLabel})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const tagPattern = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const digestPattern = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";

const whole = new RegExp(
  `^(${domainPattern})/(${pathComponent}(?:/${pathComponent})*)(?::(${tagPattern}))?(?:@(${digestPattern}))?$`,
);
const pathOnly = new RegExp(`^${pathComponent}(?:/${pathComponent})*$`);
const tagOnly = new RegExp(`^${tagPattern}$`);

/** Whether `text` is a repository path (distribution-spec, `<name>`). */
export function isRepositoryPath(text: string): boolean {
  return text.length <= maxPathLength && pathOnly.test(text);
}

/** Whether `text` is a tag. */
export function isTag(text: string): boolean {
  return tagOnly.test(text);
}

/**
 * Reads a reference as a user writes it, e.g. `ubuntu:20.04`, `localhost:5000/a/b@sha256:…`.
 * @throws InvalidParameter with Docker's text
 */
export function parseReference(text: string): Reference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw new InvalidParameter(
      `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`,
    );
  }
  const { domain, rest } = splitDomain(text);
  const path = rest.split(":", 1)[0]!;
  if (path.toLowerCase() !== path) {
    throw new InvalidParameter(`invalid reference format: repository name (${path}) must be lowercase`);
  }
  const match = whole.exec(`${domain}/${rest}`);
  if (!match) throw new InvalidParameter("invalid reference format");
  return build(match[1]!, match[2]!, match[3], match[4]);
}

function build(domain: string, path: string, tag?: string, digest?: string): Reference {
  if (path.length > maxPathLength) {
    throw new InvalidParameter(`repository name must not be more than ${maxPathLength} characters`);
  }
  const reference: Reference = { domain, path };
  if (tag !== undefined) reference.tag = tag;
  if (digest !== undefined) reference.digest = checkDigest(digest);
  return reference;
}

function checkDigest(text: string): Digest {
  if (isDigest(text)) return text;
  const algorithm = text.slice(0, text.indexOf(":"));
  if (algorithm !== "sha256" && algorithm !== "sha512") {
    throw new InvalidParameter("unsupported digest algorithm");
  }
  const length = algorithm === "sha256" ? 64 : 128;
  throw new InvalidParameter(
    text.length - algorithm.length - 1 === length
      ? "invalid checksum digest format"
      : "invalid checksum digest length",
  );
}

/** The first component is a domain when it can't be a namespace: it has a dot, a colon or an upper-case letter. */
function splitDomain(text: string): { domain: string; rest: string } {
  const slash = text.indexOf("/");
  if (slash < 0) return { domain: defaultDomain, rest: officialPrefix + text };
  const first = text.slice(0, slash);
  const after = text.slice(slash + 1);
  const isDomain = first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first;
  if (isDomain && first !== defaultDomain && first !== "index.docker.io")
    return { domain: first, rest: after };
  const rest = isDomain ? after : text;
  return { domain: defaultDomain, rest: rest.includes("/") ? rest : officialPrefix + rest };
}

/** The same reference with tag `latest` when it has neither tag nor digest. */
export function normalize(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: defaultTag }
    : reference;
}

/** In full: `docker.io/library/ubuntu:20.04`. */
export function formatReference(reference: Reference): string {
  return `${reference.domain}/${reference.path}${suffix(reference)}`;
}

/** As Docker shows it: `docker.io/library/x:t` is `x:t`, `docker.io/a/b` is `a/b`, others stay in full. */
export function familiar(reference: Reference): string {
  return familiarName(reference) + suffix(reference);
}

/**
 * `familiar` of a reference that formatReference wrote. Nothing is checked: a list has hundreds, and each has been
 * checked when it was made.
 */
export function familiarForm(full: string): string {
  if (!full.startsWith(`${defaultDomain}/`)) return full;
  const path = full.slice(defaultDomain.length + 1);
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  return short.includes("/") ? path : short;
}

/** The repository as Docker shows it, without tag and digest. */
export function familiarName({ domain, path }: RepositoryName): string {
  if (domain !== defaultDomain) return `${domain}/${path}`;
  const short = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  return short.includes("/") ? path : short;
}

function suffix({ tag, digest }: Reference): string {
  return (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
}
