/** Credentials of registries in `config.json` or in the helpers that it names. */
import { messageOf, NotFound } from "../../lib/errors.ts";
import { parseReference } from "../../lib/reference.ts";
import { changeConfig } from "../config-file.ts";
import type { CliContext } from "../context.ts";

/** Docker's AuthConfig. */
export interface Credentials {
  username?: string;
  password?: string;
  identitytoken?: string;
  registrytoken?: string;
  serveraddress: string;
}

/** The key of Docker Hub in `config.json`. */
export const hubAddress = "https://index.docker.io/v1/";

/** The key under which a registry's credentials are kept. */
export function serverAddress(domain: string): string {
  return domain === "docker.io" || domain === "index.docker.io" ? hubAddress : domain;
}

/** What is known about a registry; an empty config when nothing is. A helper that fails is told, as what it has may not be needed. */
export async function credentialsOf(context: CliContext, address: string): Promise<Credentials> {
  const helper = helperOf(context, address);
  if (helper) {
    try {
      const { Username, Secret } = JSON.parse(await runHelper(helper, "get", address)) as Record<
        string,
        string
      >;
      if (Username === "<token>") return { identitytoken: Secret, serveraddress: address };
      return { username: Username, password: Secret, serveraddress: address };
    } catch (error) {
      if (!(error instanceof NotFound)) context.err(`WARNING: ${messageOf(error)}\n`);
      return { serveraddress: address };
    }
  }
  const auths = context.config.auths ?? {};
  const key = Object.keys(auths).find((name) => sameHost(name, address));
  const entry = key === undefined ? undefined : auths[key];
  if (!entry) return { serveraddress: address };
  const { identitytoken, registrytoken } = entry;
  const decoded = Buffer.from(entry.auth ?? "", "base64")
    .toString()
    .replaceAll("\0", "");
  const colon = decoded.indexOf(":");
  return {
    ...(colon < 0 ? {} : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }),
    ...(identitytoken ? { identitytoken } : {}),
    ...(registrytoken ? { registrytoken } : {}),
    serveraddress: address,
  };
}

/** The helper program that keeps this registry's credentials, if any. */
export function helperOf(context: CliContext, address: string): string | undefined {
  return (
    context.config.credHelpers?.[hostOf(address)] ??
    context.config.credHelpers?.[address] ??
    (context.config.credsStore || undefined)
  );
}

const doing = { get: "getting", store: "storing", erase: "erasing", list: "listing" };

/**
 * Runs `docker-credential-<helper> <verb>` with text on its stdin.
 * @throws NotFound when it has no such credentials; Error with what it said otherwise
 */
async function runHelper(helper: string, verb: keyof typeof doing, input = ""): Promise<string> {
  const program = `docker-credential-${helper}`;
  const failed = (reason: string, output = "") =>
    new Error(`error ${doing[verb]} credentials - err: ${reason}, out: \`${output}\``);
  if (!Bun.which(program)) throw failed(`exec: "${program}": executable file not found in $PATH`);
  const child = Bun.spawn([program, verb], { stdin: Buffer.from(input), stdout: "pipe", stderr: "inherit" });
  const output = (await new Response(child.stdout).text()).trim();
  if ((await child.exited) === 0) return output;
  if (/credentials not found/i.test(output)) throw new NotFound(output);
  throw failed(`exit status ${child.exitCode}`, output);
}

/** The value of X-Registry-Auth. */
export function encodeAuth(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

/** The header for a request about one image, e.g. `reg.example/app:1`. */
export async function registryAuthHeader(
  context: CliContext,
  domain: string,
): Promise<Record<string, string>> {
  return { "x-registry-auth": encodeAuth(await credentialsOf(context, serverAddress(domain))) };
}

/** The value of X-Registry-Auth for an image, when something is known about its registry. */
export async function imageAuth(context: CliContext, image: string): Promise<string | undefined> {
  const credentials = await credentialsOf(context, serverAddress(parseReference(image).domain));
  return Object.keys(credentials).length > 1 ? encodeAuth(credentials) : undefined;
}

/** Everything that is known, for builds: the engine takes what it needs. */
export async function allCredentials(context: CliContext): Promise<Record<string, Credentials>> {
  const addresses = new Set([
    ...Object.keys(context.config.auths ?? {}),
    ...Object.keys(context.config.credHelpers ?? {}),
    ...(await storedAddresses(context)),
  ]);
  const found = await Promise.all([...addresses].map((address) => credentialsOf(context, address)));
  return Object.fromEntries(found.map((credentials) => [credentials.serveraddress, credentials]));
}

/** What the helper for all registries has, whoever put it there. */
async function storedAddresses(context: CliContext): Promise<string[]> {
  if (!context.config.credsStore) return [];
  try {
    return Object.keys(JSON.parse(await runHelper(context.config.credsStore, "list")) as object);
  } catch (error) {
    context.err(`WARNING: ${messageOf(error)}\n`);
    return [];
  }
}

/**
 * Keeps credentials in the registry's helper, or in `config.json` without one.
 * @returns a warning when they lie there for everyone who can read the file
 */
export async function storeCredentials(
  context: CliContext,
  credentials: Credentials,
): Promise<string | undefined> {
  const { serveraddress: address, username = "", password = "", identitytoken } = credentials;
  const helper = helperOf(context, address);
  if (helper) {
    const [Username, Secret] = identitytoken ? ["<token>", identitytoken] : [username, password];
    await runHelper(helper, "store", JSON.stringify({ ServerURL: address, Username, Secret }));
  }
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  const entry = helper ? {} : identitytoken ? { auth, identitytoken } : { auth };
  changeConfig(context, (config) => ({ ...config, auths: { ...config.auths, [address]: entry } }));
  if (helper) return undefined;
  return `WARNING! Your credentials are stored unencrypted in '${context.configDir}/config.json'.\nConfigure a credential helper to remove this warning.`;
}

/** Forgets a registry's credentials; that there are none is no failure. */
export async function eraseCredentials(context: CliContext, address: string): Promise<void> {
  const helper = helperOf(context, address);
  if (helper) {
    try {
      await runHelper(helper, "erase", address);
    } catch (error) {
      if (!(error instanceof NotFound)) context.err(`WARNING: ${messageOf(error)}\n`);
    }
  }
  const kept = Object.entries(context.config.auths ?? {}).filter(([name]) => !sameHost(name, address));
  if (kept.length === Object.keys(context.config.auths ?? {}).length) return;
  changeConfig(context, (config) => ({ ...config, auths: Object.fromEntries(kept) }));
}

function sameHost(a: string, b: string): boolean {
  return a === b || hostOf(a) === hostOf(b);
}

function hostOf(address: string): string {
  return address.replace(/^https?:\/\//, "").split("/", 1)[0]!;
}
